"""HTTP in (HTML): what links open, what problems mean, which certificates are valid, what organisers do."""

from services.enrolment.pages import desk, links, trainer_roster, verification

__all__ = ["desk", "links", "trainer_roster", "verification"]
