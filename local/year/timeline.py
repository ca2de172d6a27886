"""Expected and received letters and answers, day by day. Pure.

A line has a day, the way and the name of the letter: `2025-02-26 courriel inscription confirmée`
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

MAIL, PORTAL = "courriel", "portail"
MISSING, UNEXPECTED = "NOT HEARD", "NOT EXPECTED"


@dataclass(frozen=True, order=True)
class Heard:
    day: date
    way: str
    what: str


@dataclass(frozen=True)
class Timeline:
    """A verdict is "" if the line was expected."""

    name: str
    lines: Sequence[tuple[Heard, str]]

    @property
    def differences(self) -> int:
        return sum(bool(verdict) for _, verdict in self.lines)

    def __str__(self) -> str:
        lines, day = [f"  {self.name}"], None
        for heard, verdict in self.lines:
            written = f"{heard.day:%d/%m/%Y}" if heard.day != day else ""
            mark = f"   <-- {verdict}" if verdict else ""
            lines.append(f"    {written:<10}  {heard.way:<8}  {heard.what}{mark}")
            day = heard.day
        return "\n".join(lines if self.lines else [*lines, "    (rien)"])


def parse(text: str) -> list[Heard]:
    expected: list[Heard] = []
    for row in text.splitlines():
        day, way, what = row.split(maxsplit=2)
        if way not in (MAIL, PORTAL):
            raise ValueError(f"no way to hear something: {row}")
        expected.append(Heard(date.fromisoformat(day), way, what))
    return expected


def compare(name: str, expected_text: str, heard: Iterable[Heard]) -> Timeline:
    came, due = Counter(heard), Counter(parse(expected_text))
    verdicts = {"": came & due, MISSING: due - came, UNEXPECTED: came - due}
    lines = [(event, verdict) for verdict, events in verdicts.items() for event in events.elements()]
    return Timeline(name, sorted(lines))
