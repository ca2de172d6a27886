from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from services.catalogue.rules.offers import Source
from services.catalogue.rules.sessions import CalendarSession
from shared.events.vocabulary import Status
from shared.events.zones import PARIS

LONGEST_ENTRY = timedelta(days=3)
"""A longer session is not written into each of its days."""
SHOWN = 3


class Unavailable(StrEnum):
    CANCELLED = "cancelled"
    OVER = "over"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class DayEntry:
    """``module`` is the title of that day's part, if the session has several."""

    session: CalendarSession
    starts_at: datetime
    unavailable: Unavailable | None
    module: str | None = None


@dataclass(frozen=True, slots=True)
class CalendarDay:
    day: date
    is_of_month: bool
    is_today: bool
    entries: Sequence[DayEntry]
    others: int


@dataclass(frozen=True, slots=True)
class CalendarMonth:
    """``has_examples``: a session is an example of the offer's files."""

    first: date
    weeks: Sequence[Sequence[CalendarDay]]
    long: Sequence[DayEntry]
    has_examples: bool

    @property
    def previous(self) -> date:
        return (self.first - timedelta(days=1)).replace(day=1)

    @property
    def following(self) -> date:
        return (self.first + timedelta(days=31)).replace(day=1)


def month_of(first: date, found: Sequence[CalendarSession], now: datetime) -> CalendarMonth:
    today = now.astimezone(ZoneInfo(PARIS)).date()
    entries: dict[date, list[DayEntry]] = defaultdict(list)
    long: list[DayEntry] = []
    for session in found:
        own = _entries(session, now)
        if not own:
            long.append(DayEntry(session, session.starts_at, _unavailable(session, session.ends_at, now)))
        for day, entry in own:
            entries[day].append(entry)
    start = first - timedelta(days=first.weekday())
    weeks = []
    while start.replace(day=1) <= first:
        weeks.append([_day(start + timedelta(days=number), first, today, entries) for number in range(7)])
        start += timedelta(days=7)
    return CalendarMonth(first, weeks, long, any(session.source == Source.ILLUSTRATIVE for session in found))


def _day(day: date, first: date, today: date, entries: Mapping[date, Sequence[DayEntry]]) -> CalendarDay:
    is_of_month = (day.year, day.month) == (first.year, first.month)
    own = sorted(entries.get(day, ()), key=lambda entry: entry.starts_at) if is_of_month else []
    return CalendarDay(day, is_of_month, day == today, own[:SHOWN], max(0, len(own) - SHOWN))


def _entries(session: CalendarSession, now: datetime) -> list[tuple[date, DayEntry]]:
    zone = ZoneInfo(session.timezone)
    parts = [(module.starts_at, module.ends_at, module.title) for module in session.modules]
    parts = parts or [(session.starts_at, session.ends_at, "")]
    if any(ends_at - starts_at > LONGEST_ENTRY for starts_at, ends_at, _ in parts):
        return []
    found = []
    for starts_at, ends_at, title in parts:
        day, last = (
            starts_at.astimezone(zone).date(),
            (ends_at - timedelta(seconds=1)).astimezone(zone).date(),
        )
        unavailable = _unavailable(session, ends_at, now)
        while day <= last:
            found.append((day, DayEntry(session, starts_at, unavailable, title or None)))
            day += timedelta(days=1)
    return found


def _unavailable(session: CalendarSession, ends_at: datetime, now: datetime) -> Unavailable | None:
    if session.status is Status.CANCELLED:
        return Unavailable.CANCELLED
    if ends_at <= now:
        return Unavailable.OVER
    return Unavailable.FULL if session.is_full else None
