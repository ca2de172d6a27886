"""How long the certificate of a server is still valid. Only a certificate that was verified is looked at."""

import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from services.console.findings import Finding, Mark, duration

SOON = timedelta(days=21)
"""Before its end a certificate is to be renewed: services that are not restarted keep the old one."""


def finding(about: str, certificate: Mapping[str, Any] | None, now: datetime) -> Finding:
    """Return the line about what a server presented; None where there is no TLS, or it is not verified."""
    if not certificate or "notAfter" not in certificate:
        return Finding(about, "certificate", Mark.SKIPPED, "none, or not verified")
    end = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)
    left = end - now
    is_soon = left < SOON
    return Finding(
        about,
        "certificate",
        Mark.ACT if is_soon else Mark.OK,
        f"valid for {duration(left)}",
        "renew it" if is_soon else "",
        {"not_after": end.isoformat()},
    )
