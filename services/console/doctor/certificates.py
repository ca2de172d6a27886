from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from services.console.findings import Finding, Mark, duration
from shared.certificates import SOON, end_of, files_of, first_end


def finding(about: str, certificate: Mapping[str, Any] | None, now: datetime) -> Finding:
    """``certificate`` is None without TLS, or if it is not verified."""
    end = end_of(certificate)
    if end is None:
        return Finding(about, "certificate", Mark.SKIPPED, "none, or not verified")
    return _line(about, "certificate", end, now)


def of_files(about: str, kafka_ca_file: Path | None, now: datetime) -> list[Finding]:
    """Return a line for each file of authorities that is unreadable, or has one that ends soon."""
    found = []
    for name, file in files_of(kafka_ca_file).items():
        try:
            line = _line(about, name, first_end(file), now)
        except OSError as error:
            line = Finding(about, name, Mark.ACT, str(error), "mend it: docs/settings.md")
        if line.mark is Mark.ACT:
            found.append(line)
    return found


def _line(about: str, what: str, end: datetime, now: datetime) -> Finding:
    is_soon = end - now < SOON
    return Finding(
        about,
        what,
        Mark.ACT if is_soon else Mark.OK,
        f"valid for {duration(end - now)}",
        "renew it" if is_soon else "",
        {"not_after": end.isoformat()},
    )
