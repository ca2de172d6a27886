"""The releases that CHANGELOG.md tells of."""

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path

ROOT = Path(__file__).parents[2]
_HEADING = re.compile(
    r"^## \[(?P<version>\d+\.\d+\.\d+)\] - (?P<day>\S+)\n(?:\nCommit `(?P<commit>[0-9a-f]{40})`\.\n)?",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Release:
    """A version; its commit is named by a later one."""

    version: str
    day: date
    commit: str | None


def releases() -> list[Release]:
    """All of them, the newest first."""
    found = _HEADING.finditer((ROOT / "CHANGELOG.md").read_text())
    return [Release(match["version"], date.fromisoformat(match["day"]), match["commit"]) for match in found]
