"""The end of an offer (rule 2) and of the waiting list (rule 10).

An offer that would end at night or on a day off ends at noon of the next working day, so that nobody loses a
seat in their sleep. No offer outlives the last moment to offer.
"""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from services.enrolment.rules.policy import Policy
from shared.events.catalogue import SessionState
from shared.events.days_off import department_of, is_day_off
from shared.events.vocabulary import WaitingList

_MORNING, _EVENING, _NOON = time(8), time(20), time(12)


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
    end = max(end, _in_working_hours(end.astimezone(zone), session).astimezone(end.tzinfo))
    return min(now + policy.longest(end - now), last)


def _in_working_hours(end: datetime, session: SessionState) -> datetime:
    day, department = end.date(), department_of(session.organiser, session.venue or "")
    if not is_day_off(day, department) and _MORNING <= end.time() < _EVENING:
        return end
    if end.time() >= _EVENING:
        day += timedelta(days=1)
    while is_day_off(day, department):
        day += timedelta(days=1)
    return datetime.combine(day, _NOON, end.tzinfo)
