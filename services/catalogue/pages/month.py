"""A month of sessions, week by week, as a calendar on a page. Pure."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from services.catalogue.rules.sessions import ListedSession

LONGEST_ENTRY = timedelta(days=3)
"""What lasts longer is not written into each of its days."""


@dataclass(frozen=True, slots=True)
class DayEntry:
    """A session on one of its days: ``module`` is the title of what takes place then, if it has several."""

    listed: ListedSession
    starts_at: datetime
    module: str | None = None


@dataclass(frozen=True, slots=True)
class CalendarDay:
    """A day of the grid; those of the months beside it have no entries."""

    day: date
    is_of_month: bool
    entries: Sequence[DayEntry]


@dataclass(frozen=True, slots=True)
class CalendarMonth:
    """The weeks of a month, from Monday on, and the sessions that run for longer than some days of it."""

    first: date
    weeks: Sequence[Sequence[CalendarDay]]
    long: Sequence[ListedSession]

    @property
    def previous(self) -> date:
        """The first day of the month before."""
        return (self.first - timedelta(days=1)).replace(day=1)

    @property
    def following(self) -> date:
        """The first day of the month after."""
        return (self.first + timedelta(days=31)).replace(day=1)


def month_of(first: date, found: Sequence[ListedSession]) -> CalendarMonth:
    """The month that begins at ``first``, with the sessions of it that were ``found``, by start."""
    entries: dict[date, list[DayEntry]] = defaultdict(list)
    long: list[ListedSession] = []
    for listed in found:
        own = _entries(listed)
        if not own:
            long.append(listed)
        for day, entry in own:
            entries[day].append(entry)
    start = first - timedelta(days=first.weekday())
    weeks = []
    while start.replace(day=1) <= first:
        weeks.append([_day(start + timedelta(days=number), first, entries) for number in range(7)])
        start += timedelta(days=7)
    return CalendarMonth(first, weeks, long)


def _day(day: date, first: date, entries: Mapping[date, Sequence[DayEntry]]) -> CalendarDay:
    is_of_month = (day.year, day.month) == (first.year, first.month)
    own = sorted(entries.get(day, ()), key=lambda entry: entry.starts_at) if is_of_month else ()
    return CalendarDay(day, is_of_month, own)


def _entries(listed: ListedSession) -> list[tuple[date, DayEntry]]:
    plan = listed.session.plan
    zone = ZoneInfo(plan.timezone)
    parts = [(module.starts_at, module.ends_at, module.title) for module in plan.modules]
    parts = parts or [(plan.starts_at, plan.ends_at, "")]
    if any(ends_at - starts_at > LONGEST_ENTRY for starts_at, ends_at, _ in parts):
        return []
    found = []
    for starts_at, ends_at, title in parts:
        day, last = (
            starts_at.astimezone(zone).date(),
            (ends_at - timedelta(seconds=1)).astimezone(zone).date(),
        )
        while day <= last:
            found.append((day, DayEntry(listed, starts_at, title or None)))
            day += timedelta(days=1)
    return found
