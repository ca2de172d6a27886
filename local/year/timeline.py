"""What was expected and what was heard, day by day, as a person reads it. Pure.

A line is a day, the way it came by and what it was:

    2025-02-26 courriel inscription confirmée
    2025-03-04 courriel ~ accusé d’une demande

`~`: docs/domain.md has it, and it is not built yet. It must not be heard; once it is, the mark is to go.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

MAIL, PORTAL = "courriel", "portail"
_NOT_BUILT = "~ "


@dataclass(frozen=True, order=True)
class Heard:
    """Something that somebody heard."""

    day: date
    way: str
    what: str


@dataclass(frozen=True)
class Line:
    """A line of a timeline. `verdict`: "" as expected; else missing, unexpected or not built yet."""

    heard: Heard
    verdict: str = ""


MISSING, UNEXPECTED, NOT_BUILT = "NOT HEARD", "NOT EXPECTED", "not built yet"


@dataclass(frozen=True)
class Timeline:
    """What one listener heard, in order, held against what was expected."""

    name: str
    lines: Sequence[Line]

    @property
    def differences(self) -> int:
        """How many lines are not as expected."""
        return sum(line.verdict in (MISSING, UNEXPECTED) for line in self.lines)


def parse(text: str) -> tuple[list[Heard], list[Heard]]:
    """Return what is expected, and what is not built yet."""
    expected: list[Heard] = []
    to_come: list[Heard] = []
    for row in filter(None, map(str.strip, text.splitlines())):
        day, way, what = row.split(maxsplit=2)
        if way not in (MAIL, PORTAL):
            raise ValueError(f"no way to hear something: {row}")
        waits = what.startswith(_NOT_BUILT)
        heard = Heard(date.fromisoformat(day), way, what.removeprefix(_NOT_BUILT).strip())
        (to_come if waits else expected).append(heard)
    return expected, to_come


def compare(name: str, expected_text: str, heard: Iterable[Heard]) -> Timeline:
    """Hold what was heard against what was expected; the order within a day does not count."""
    expected, to_come = parse(expected_text)
    came, due = Counter(heard), Counter(expected)
    lines = [Line(event) for event in (came & due).elements()]
    lines += [Line(event, MISSING) for event in (due - came).elements()]
    lines += [Line(event, UNEXPECTED) for event in (came - due).elements()]
    lines += [Line(event, NOT_BUILT) for event in to_come]
    return Timeline(name, sorted(lines, key=lambda line: line.heard))


def shown(timeline: Timeline) -> list[str]:
    """Return the lines to print."""
    lines = [f"  {timeline.name}"]
    day = None
    for line in timeline.lines:
        heard = line.heard
        written = f"{heard.day:%d/%m/%Y}" if heard.day != day else ""
        mark = f"   <-- {line.verdict}" if line.verdict else ""
        lines.append(f"    {written:<10}  {heard.way:<8}  {heard.what}{mark}")
        day = heard.day
    return lines if timeline.lines else [*lines, "    (rien)"]
