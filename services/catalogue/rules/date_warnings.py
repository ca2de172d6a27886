"""What an organiser should know of a date before it is announced. Nothing here refuses a date."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from services.catalogue.rules.sessions import Plan, ShownSession
from shared.events.days_off import holiday, is_day_off
from shared.events.vocabulary import Format, Status

_TOGETHER = timedelta(days=7)
"""A longer session or séance does not meet each day: its first and last day count [choice]."""
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class DayOff:
    """``holiday`` is None on a weekend."""

    day: date
    holiday: str | None = None


@dataclass(frozen=True, slots=True)
class DateWarnings:
    """``close`` is the last day to enrol, if it is a day off."""

    days_off: tuple[DayOff, ...] = ()
    close: DayOff | None = None
    clashes: tuple[ShownSession, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.days_off or self.close or self.clashes)


def date_warnings(
    session: ShownSession, department: str | None, others: Sequence[ShownSession]
) -> DateWarnings:
    """``others`` are sessions of the same organiser."""
    plan = session.plan
    days_off = (_day_off(day, department) for day in _days(plan))
    return DateWarnings(
        tuple(found for found in days_off if found is not None),
        _day_off(_last_day(plan.enrolment_closes_at, plan), department),
        tuple(other for other in others if _clash(session, other)),
    )


def _day_off(day: date, department: str | None) -> DayOff | None:
    return DayOff(day, holiday(day, department)) if is_day_off(day, department) else None


def _clash(session: ShownSession, other: ShownSession) -> bool:
    """Nobody meets in a MOOC, so it clashes with nothing."""
    if other.session_id == session.session_id or other.status is Status.CANCELLED:
        return False
    if Format.MOOC in (session.format, other.format):
        return False
    return any(
        start < other_end and other_start < end
        for start, end in _meetings(session.plan)
        for other_start, other_end in _meetings(other.plan)
    )


def _days(plan: Plan) -> list[date]:
    return sorted({day for start, end in _meetings(plan) for day in _days_of(start, end, plan)})


def _days_of(start: datetime, end: datetime, plan: Plan) -> Iterator[date]:
    first, last = start.astimezone(ZoneInfo(plan.timezone)).date(), _last_day(end, plan)
    if end - start > _TOGETHER:
        yield from (first, last)
        return
    for number in range((last - first).days + 1):
        yield first + timedelta(days=number)


def _last_day(end: datetime, plan: Plan) -> date:
    """Ends are exclusive: midnight belongs to the day before."""
    return (end - _INSTANT).astimezone(ZoneInfo(plan.timezone)).date()


def _meetings(plan: Plan) -> list[tuple[datetime, datetime]]:
    if not plan.modules:
        return [(plan.starts_at, plan.ends_at)]
    return [(module.starts_at, module.ends_at) for module in plan.modules]
