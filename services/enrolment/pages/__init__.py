"""HTTP in (HTML): what links open, what problems mean, which certificates are valid, what organisers do."""

from services.enrolment.pages import links, manage, trainer_roster, verification

__all__ = ["links", "manage", "trainer_roster", "verification"]
