"""The end of an offer (rule 2) and of the waiting list (rule 10).

An offer that would end at night or on a day off ends at noon of the next working day, so that nobody loses a
seat in their sleep. No offer outlives the last moment to offer.
"""

import functools
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import holidays

from services.enrolment.rules.policy import Policy
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Delegation, WaitingList

_MORNING, _EVENING, _NOON = time(8), time(20), time(12)
_SATURDAY = 5

_OVERSEAS: Mapping[str, str] = {
    Delegation.GUADELOUPE: "971",
    Delegation.MARTINIQUE: "972",
    Delegation.GUYANE: "973",
    Delegation.LA_REUNION: "974",
    Delegation.MAYOTTE: "976",
}


def last_moment_to_offer(session: SessionState, policy: Policy) -> datetime:
    return session.starts_at - policy.last_offer


def line_ends_at(session: SessionState, policy: Policy) -> datetime:
    """With offers it is the last moment to offer, else the later of close and start (rule 10)."""
    if session.waiting_list is WaitingList.OFFER:
        return last_moment_to_offer(session, policy)
    return max(session.starts_at, session.enrolment_closes_at)


def hold_until(session: SessionState, now: datetime, policy: Policy) -> datetime | None:
    """Return None if it is too late to offer."""
    last = last_moment_to_offer(session, policy)
    if now >= last:
        return None
    zone = ZoneInfo(session.timezone)
    end = now + timedelta(hours=session.offer_hold_hours)
    end = max(end, _in_working_hours(end.astimezone(zone), session.organiser).astimezone(end.tzinfo))
    return min(now + policy.longest(end - now), last)


def _in_working_hours(end: datetime, delegation: str) -> datetime:
    day = end.date()
    if _is_working_day(day, delegation) and _MORNING <= end.time() < _EVENING:
        return end
    if end.time() >= _EVENING:
        day += timedelta(days=1)
    while not _is_working_day(day, delegation):
        day += timedelta(days=1)
    return datetime.combine(day, _NOON, end.tzinfo)


def _is_working_day(day: date, delegation: str) -> bool:
    return day.weekday() < _SATURDAY and day not in _public_holidays(_OVERSEAS.get(delegation))


@functools.cache
def _public_holidays(department: str | None) -> holidays.HolidayBase:
    return holidays.country_holidays("FR", subdiv=department)
