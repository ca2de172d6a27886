"""Whether a link of a letter still has something to answer."""

from datetime import datetime
from enum import StrEnum

from services.enrolment.rules.eligibility import judge_withdrawal
from services.enrolment.rules.enrolments import EnrolmentInSession
from services.enrolment.rules.states import State
from shared.events.vocabulary import Status


class LinkState(StrEnum):
    """Whether what a link is for can still be done, was done just now, or is over, and why."""

    OPEN = "open"
    SEAT_TAKEN = "seat_taken"
    SEAT_LEFT = "seat_left"
    WITHDRAWN = "withdrawn"
    UNKNOWN = "unknown"
    SESSION_CANCELLED = "session_cancelled"
    OFFER_TAKEN = "offer_taken"
    OFFER_EXPIRED = "offer_expired"
    OFFER_LEFT = "offer_left"
    OFFER_ENDED = "offer_ended"
    OFFER_REPLACED = "offer_replaced"
    ALREADY_ENDED = "already_ended"
    SESSION_STARTED = "session_started"


def offer_state(found: EnrolmentInSession | None, version: int, now: datetime) -> LinkState:
    """Return whether the offer of this version of the enrolment stands, or what became of it."""
    if found is None:
        return LinkState.UNKNOWN
    enrolment = found.enrolment
    over = enrolment.hold_until is None or enrolment.hold_until <= now
    if found.session.status is Status.CANCELLED:
        return LinkState.SESSION_CANCELLED
    if enrolment.state.has_seat:
        return LinkState.OFFER_TAKEN
    if enrolment.state is State.LAPSED:
        return LinkState.OFFER_EXPIRED if over else LinkState.OFFER_LEFT
    if enrolment.state is not State.OFFERED:
        return LinkState.OFFER_ENDED
    if enrolment.version != version:
        return LinkState.OFFER_REPLACED
    return LinkState.OFFER_EXPIRED if over else LinkState.OPEN


def withdrawal_state(found: EnrolmentInSession | None, now: datetime) -> LinkState:
    """Return whether one may withdraw from the enrolment, or why not."""
    if found is None:
        return LinkState.UNKNOWN
    if found.session.status is Status.CANCELLED:
        return LinkState.SESSION_CANCELLED
    if not found.enrolment.state.is_live:
        return LinkState.ALREADY_ENDED
    if judge_withdrawal(found.session, found.enrolment, now) is not None:
        return LinkState.SESSION_STARTED
    return LinkState.OPEN
