from datetime import datetime
from typing import TypedDict
from uuid import UUID

from services.enrolment.rules.promotion import promote
from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.states import Cause, State
from shared.events.enrolment import EndedBecause, MinimumMissed, SelectionDue
from shared.events.reasons import Reason


class _About(TypedDict):
    session_id: UUID
    session_version: int
    organiser: str


def expire(roster: SessionRoster, until: datetime) -> None:
    """End unanswered offers, undecided pending enrolments, and the loaded part of the waiting list.

    At the close of enrolment, notify the organiser of pending decisions. Every reply given before ``until``
    has been read. The offers and pending enrolments must be loaded.
    """
    over = until - roster.policy.grace
    for offer in roster.in_state(State.OFFERED):
        if offer.hold_until is not None and offer.hold_until <= over:
            roster.lapse(offer, EndedBecause.SILENCE)
    if roster.session.enrolment_closes_at <= over:
        for pending in roster.in_state(State.PENDING_APPROVAL):
            roster.refuse_pending(
                pending, Cause.APPROVAL_MISSING, Reason.APPROVAL_DENIED, because=EndedBecause.SILENCE
            )
    if roster.session.ends_at <= over:
        for pending in roster.in_state(State.PENDING_SELECTION):
            roster.refuse_pending(
                pending, Cause.SELECTION_MISSING, Reason.NOT_SELECTED, because=EndedBecause.SILENCE
            )
    for group in roster.waiting_list.groups.values():
        group.is_passed |= group.kept_until is not None and group.kept_until <= over
    promote(roster)
    if roster.line_ends_at() <= over:
        roster.end_line()
    due_at = roster.close_due_at()
    if due_at is not None and due_at <= over:
        _close(roster)


def _close(roster: SessionRoster) -> None:
    """Notify the organiser of a missed minimum and of candidates to rank.

    Agents who may still get a seat by an offer or the selection count for the minimum. The candidates must
    be loaded.
    """
    session, seats = roster.session, roster.seats
    candidates = len(roster.in_state(State.PENDING_SELECTION))
    roster.close_judged_for = session.enrolment_closes_at
    about: _About = {
        "session_id": session.session_id,
        "session_version": session.version,
        "organiser": session.organiser,
    }
    if session.minimum is not None and seats.taken + candidates < session.minimum:
        missed = MinimumMissed(
            **about,
            minimum=session.minimum,
            enrolled=seats.enrolled,
            offered=seats.offered,
            candidates=candidates,
        )
        roster.notices.append(missed)
    if candidates:
        roster.notices.append(
            SelectionDue(**about, candidates=candidates, capacity=session.capacity, enrolled=seats.enrolled)
        )
