from datetime import datetime

from services.enrolment.rules.attendance import modules_held, publish_attendance, state_by_attendance
from services.enrolment.rules.enrolments import Enrolment
from services.enrolment.rules.holds import last_moment_to_offer, line_ends_at
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.promotion import promote
from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.states import Cause, State
from shared.events.catalogue import SessionState
from shared.events.enrolment import (
    Attendance,
    EndedBecause,
    EnrolmentWithdrawn,
    SeatOffered,
    SessionChangedForAgent,
    SessionPart,
    WithdrawnBy,
)
from shared.events.seances import cancellation_reason
from shared.events.vocabulary import ApprovalPolicy, Status

_CANCELLABLE = frozenset(
    {
        State.PENDING_APPROVAL,
        State.PENDING_SELECTION,
        State.WAITLISTED,
        State.OFFERED,
        State.ENROLLED,
    }
)
_RECORDED = frozenset({State.ATTENDED, State.ABSENT, State.ABSENT_JUSTIFIED, State.CERTIFIED})


def apply_state(roster: SessionRoster, session: SessionState) -> None:
    """A cancellation ends every live enrolment and is final.

    Otherwise free seats go to the waiting list. A lowered capacity takes no seat away. Every offer must be
    loaded; for a cancellation every live enrolment and its attendance; for the end of approvals the pending
    enrolments and all places in line; for a change that ends the waiting list,
    the whole list. If the session's row was lost, a new roster may have enrolments: their
    agents get the overdue decisions.
    """
    if roster.session.status is Status.CANCELLED and not roster.is_new:
        return
    before, roster.session = roster.session, session
    roster.session_has_changed = True
    if session.status is Status.CANCELLED:
        roster.cancelled_at = roster.cancelled_at or roster.now  # already known if the session's row was lost
        _cancel(roster)
    else:
        roster.parts_changed |= parts_changed(before, session)
        _shorten_offers(roster)
        promote(roster)
        if ends_line(before, session, roster.policy, roster.now):
            roster.end_line(cut=True)
        changed = roster.is_new or before.approval is not session.approval
        if session.approval is ApprovalPolicy.NONE and changed:
            _place_pending(roster)


def ends_line(before: SessionState, after: SessionState, policy: Policy, now: datetime) -> bool:
    """Return whether a change ends the waiting list. Its agents hear before a newcomer has a seat."""
    return line_ends_at(after, policy) <= now < line_ends_at(before, policy)


def _place_pending(roster: SessionRoster) -> None:
    for state in (State.PENDING_APPROVAL, State.PENDING_SELECTION):
        for pending in roster.in_state(state):
            roster.settle_pending(pending, Cause.APPROVAL_DROPPED, None)


def _shorten_offers(roster: SessionRoster) -> None:
    """A new date may bring the last moment for offers forward."""
    last = last_moment_to_offer(roster.session, roster.policy)
    for offer in roster.in_state(State.OFFERED):
        if offer.hold_until is None or offer.hold_until <= last:
            continue
        if last <= roster.now:
            roster.lapse(offer, EndedBecause.SESSION_CHANGED)
        else:
            shorter = roster.move(offer, State.OFFERED, Cause.OFFER_SHORTENED, hold_until=last)
            before = offer.hold_until
            roster.publish(SeatOffered(**roster.members(shorter), hold_until=last, shortened_from=before))


def _cancel(roster: SessionRoster) -> None:
    """End every live enrolment (rule 8). Recorded attendance stays (rule 11)."""
    for enrolment in list(roster.latest.values()):
        if enrolment.state in _CANCELLABLE:
            ended = roster.move(enrolment, State.SESSION_CANCELLED, Cause.SESSION_CANCELLED)
            by = WithdrawnBy.SESSION_CANCELLED
            reason = cancellation_reason(roster.session)
            roster.publish(EnrolmentWithdrawn(**roster.members(ended), by=by, reason=reason))
        elif enrolment.state in _RECORDED:
            _cancel_the_rest(roster, enrolment)


def _cancel_the_rest(roster: SessionRoster, enrolment: Enrolment) -> None:
    kept = roster.move(enrolment, enrolment.state, Cause.SESSION_CANCELLED)
    by = WithdrawnBy.SESSION_CANCELLED
    reason = cancellation_reason(roster.session)
    roster.publish(EnrolmentWithdrawn(**roster.members(kept), by=by, attendance_kept=True, reason=reason))
    if kept.state is State.ATTENDED and state_by_attendance(roster, kept) is State.CERTIFIED:
        recorded = roster.attendance[kept.enrolment_id]
        last = max(m for m in modules_held(roster) if recorded.get(m) == Attendance.ATTENDED)
        publish_attendance(roster, kept, last, Attendance.ATTENDED)


def parts_changed(before: SessionState, after: SessionState) -> set[SessionPart]:
    differ = {
        SessionPart.DATES: (before.starts_at, before.ends_at, before.modules)
        != (after.starts_at, after.ends_at, after.modules),
        SessionPart.PLACE: before.venue != after.venue,
        SessionPart.LINK: before.join_url != after.join_url,
    }
    return {part for part, is_new in differ.items() if is_new}


def change_event(
    session: SessionState, changed: set[SessionPart], enrolment: Enrolment
) -> SessionChangedForAgent:
    return SessionChangedForAgent(
        session_id=session.session_id,
        session_version=session.version,
        enrolment_id=enrolment.enrolment_id,
        agent=enrolment.agent,
        changed=tuple(part for part in SessionPart if part in changed),
        starts_at=session.starts_at,
        ends_at=session.ends_at,
        timezone=session.timezone,
        modules=session.modules,
        venue=session.venue,
    )
