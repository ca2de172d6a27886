"""HTTP in (HTML): what the links of letters open, what problems mean, whether a certificate is valid."""

from services.enrolment.pages import links, trainer_roster, verification

__all__ = ["links", "trainer_roster", "verification"]
