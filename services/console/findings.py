from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from shared.cli.running import json_to_read


class Mark(StrEnum):
    OK = "ok"
    ACT = "act"
    UNKNOWN = "unknown"
    """The question had no answer."""
    SKIPPED = "skipped"
    """The check was left out for a reason that is no fault."""


@dataclass(frozen=True, slots=True)
class Finding:
    """``figures`` are for scripts. ``at`` is set if the lines are steps in time."""

    about: str
    what: str
    mark: Mark
    found: str
    remedy: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)
    at: datetime | None = None


def exit_code(findings: Sequence[Finding]) -> int:
    """Return 1 if an operator must act, else 2 if a question had no answer, else 0."""
    marks = {finding.mark for finding in findings}
    if Mark.ACT in marks:
        return 1
    return 2 if Mark.UNKNOWN in marks else 0


def report(findings: Sequence[Finding], *, as_json: bool) -> None:
    if as_json:
        lines = [
            {
                "about": finding.about,
                "what": finding.what,
                "mark": finding.mark,
                "found": finding.found,
                "remedy": finding.remedy,
                **({"at": finding.at.isoformat()} if finding.at else {}),
                **finding.figures,
            }
            for finding in findings
        ]
        typer.echo(json_to_read({"code": exit_code(findings), "findings": lines}))
    else:
        _print_table(findings)
    raise SystemExit(exit_code(findings))


_STYLES = {Mark.OK: "green", Mark.ACT: "bold red", Mark.UNKNOWN: "yellow", Mark.SKIPPED: "dim"}


def _print_table(findings: Sequence[Finding]) -> None:
    in_time = any(finding.at for finding in findings)
    columns = ("", "at", "about", "what", "found", "do") if in_time else ("", "about", "what", "found", "do")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")  # uncut, because a remedy is copied
    for finding in findings:
        # No markup, because the text may come from outside.
        when = [_to_the_millisecond(finding.at)] if in_time else []
        cells = [*when, finding.about, finding.what, finding.found, finding.remedy]
        table.add_row(f"[{_STYLES[finding.mark]}]{finding.mark}[/]", *map(_plain, cells))
    Console(soft_wrap=False).print(table)


def _plain(text: str) -> str:
    return escape("".join(char if char.isprintable() else " " for char in text))


def _to_the_millisecond(at: datetime | None) -> str:
    return "" if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"


def moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") + "Z"


def duration(length: timedelta) -> str:
    """Write ``45 s``, ``12 min``, ``3 h 20 min`` or ``5 d 2 h``."""
    seconds = max(round(length.total_seconds()), 0)
    if seconds < 120:
        return f"{seconds} s"
    minutes = seconds // 60
    if minutes < 120:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
