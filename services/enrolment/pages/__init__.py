"""HTTP in (HTML): what the links of letters open, what problems mean, whether a certificate is valid."""

from services.enrolment.pages import links, verification

__all__ = ["links", "verification"]
