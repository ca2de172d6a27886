"""HTTP in (HTML): what links open, what problems mean, which certificates are valid, what organisers do.

And what operators see of this service alone.
"""

from services.enrolment.pages import links, manage, status, trainer_roster, verification

__all__ = ["links", "manage", "status", "trainer_roster", "verification"]
