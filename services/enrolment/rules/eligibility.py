"""Judges requests. Every refusal is a value (rules 1 to 8, 14, 16, 18, 22)."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.enrolment.rules.enrolments import Enrolment
from services.enrolment.rules.requests import OfferAnswer
from services.enrolment.rules.states import State
from shared.events.catalogue import Audience, SessionState
from shared.events.enrolment import AudiencePart
from shared.events.reasons import Reason
from shared.events.vocabulary import Agent, Format, Status, WaitingList


@dataclass(frozen=True, slots=True)
class Refused:
    reason: Reason


class Granted(StrEnum):
    SEAT = "seat"
    PLACE_IN_LINE = "place_in_line"
    AWAITS_APPROVAL = "awaits_approval"
    AWAITS_SELECTION = "awaits_selection"

    @property
    def state(self) -> State:
        return _STATES[self]


_STATES = {
    Granted.SEAT: State.ENROLLED,
    Granted.PLACE_IN_LINE: State.WAITLISTED,
    Granted.AWAITS_APPROVAL: State.PENDING_APPROVAL,
    Granted.AWAITS_SELECTION: State.PENDING_SELECTION,
}


@dataclass(frozen=True, slots=True)
class Availability:
    """``seat_is_free``: the agent may take a seat that nobody on the waiting list may take.

    ``is_live``: the agent has a live enrolment in the session. ``lacks_prerequisite``: the agent has no
    certificate of the required offer.
    """

    seat_is_free: bool
    is_live: bool = False
    quota_is_reached: bool = False
    overlaps: bool = False
    line_is_over: bool = False
    lacks_prerequisite: bool = False


def judge(
    session: SessionState,
    agent: Agent,
    received_at: datetime,
    *,
    approved: bool,
    availability: Availability,
    by_officer: bool = False,
    by_hand: bool = False,
) -> Granted | Refused:
    """``received_at`` is when the broker or our HTTP API received the request; deadlines use it.

    ``approved``: the employer agreed. ``by_officer``: the training officer named the agent, as a bespoke
    session requires (rule 14). ``by_hand``: an organiser enrols the agent, until the session is over (rule
    22).
    """
    refused = _judge_status(session)
    if refused is not None:
        return refused
    if availability.is_live:
        return Refused(Reason.ALREADY_ENROLLED)
    refused = _judge_moment(session, received_at, by_hand=by_hand)
    if refused is not None:
        return refused
    if not is_in_audience(session.audience, agent):
        return Refused(Reason.NOT_ELIGIBLE)
    if session.format is Format.BESPOKE and not by_officer:
        return Refused(Reason.NOT_NOMINATED)
    if availability.lacks_prerequisite:
        return Refused(Reason.PREREQUISITE_MISSING)
    if availability.overlaps:
        return Refused(Reason.OVERLAPPING_SESSION)
    if session.approval.by_employer and not approved:
        return Granted.AWAITS_APPROVAL
    if session.approval.by_selection:
        return Granted.AWAITS_SELECTION
    return judge_place(session, availability)


def judge_by_hand(session: SessionState, now: datetime) -> Refused | None:
    """Return why nobody can be enrolled by hand now, or None if it is possible (rule 22)."""
    refused = _judge_status(session) or _judge_moment(session, now, by_hand=True)
    if refused is None and session.format is Format.BESPOKE:
        return Refused(Reason.NOT_NOMINATED)
    return refused


def _judge_status(session: SessionState) -> Refused | None:
    if session.status is Status.CANCELLED:
        return Refused(Reason.SESSION_CANCELLED)
    return Refused(Reason.NOT_OPEN_YET) if session.status is Status.DRAFT else None


def _judge_moment(session: SessionState, received_at: datetime, *, by_hand: bool) -> Refused | None:
    if received_at < session.enrolment_opens_at:
        return Refused(Reason.NOT_OPEN_YET)
    ends_at = session.ends_at if by_hand else session.enrolment_closes_at
    return Refused(Reason.DEADLINE_PASSED) if received_at >= ends_at else None


def judge_place(session: SessionState, availability: Availability) -> Granted | Refused:
    if availability.quota_is_reached:
        return Refused(Reason.QUOTA_REACHED)
    if availability.seat_is_free:
        return Granted.SEAT
    if session.waiting_list is WaitingList.NONE or availability.line_is_over:
        return Refused(Reason.SESSION_FULL)
    return Granted.PLACE_IN_LINE


def is_in_audience(audience: Audience, agent: Agent) -> bool:
    return not outside_of(audience, agent)


def outside_of(audience: Audience, agent: Agent) -> tuple[AudiencePart, ...]:
    """Return the limits of the audience that exclude the agent."""
    within = {
        AudiencePart.FUNCTION: not audience.functions or agent.function in audience.functions,
        AudiencePart.EMPLOYER: not audience.sirets or agent.employer.siret in audience.sirets,
        AudiencePart.DELEGATION: not audience.delegations
        or agent.employer.delegation in audience.delegations,
    }
    return tuple(part for part, fits in within.items() if not fits)


def takes_nominations(session: SessionState, siret: str) -> bool:
    """The authority nominates the participants (rule 14)."""
    return session.format is Format.BESPOKE and siret in session.audience.sirets


def judge_withdrawal(
    session: SessionState, latest: Enrolment | None, received_at: datetime
) -> Refused | None:
    """Return why a withdrawal is refused, or None if it is allowed (rules 8 and 13).

    Once attendance is recorded a withdrawal is too late, even if it was sent before the start.
    """
    if latest is None or not latest.state.is_live:
        return Refused(Reason.NOT_ENROLLED)
    is_recorded = latest.state.has_seat and latest.state is not State.ENROLLED
    if is_recorded or (latest.state is State.ENROLLED and received_at >= session.withdrawal_ends_at):
        return Refused(Reason.DEADLINE_PASSED)
    return None


def judge_swap(
    session: SessionState, latest: Enrolment | None, received_at: datetime, there: Granted | Refused
) -> Refused | None:
    """Return why a move is refused, or None if it is allowed (rule 18).

    ``there`` is the result of a new request there: the agent moves only for a seat.
    """
    if latest is None or not latest.state.has_seat:
        return Refused(Reason.NOT_ENROLLED)
    refused = judge_withdrawal(session, latest, received_at)
    if refused is not None:
        return refused
    return there if isinstance(there, Refused) else _INSTEAD_OF_A_SEAT.get(there)


_INSTEAD_OF_A_SEAT = {
    Granted.PLACE_IN_LINE: Refused(Reason.SESSION_FULL),
    Granted.AWAITS_APPROVAL: Refused(Reason.APPROVAL_DENIED),
    Granted.AWAITS_SELECTION: Refused(Reason.NOT_SELECTED),
}


def judge_approval(
    session: SessionState, latest: Enrolment | None, received_at: datetime, *, granted: bool
) -> Refused | None:
    """Return why the employer's decision has no effect, or None if it has one (rule 5).

    A late agreement is refused for the reason that ends the enrolment, before and after its end.
    """
    is_late = granted and received_at >= session.enrolment_closes_at
    if session.status is Status.CANCELLED:
        return Refused(Reason.SESSION_CANCELLED)
    if latest is None:
        return Refused(Reason.NOT_ENROLLED)
    if not latest.state.is_live:
        was_denied = latest.reason is Reason.APPROVAL_DENIED
        return Refused(Reason.APPROVAL_DENIED if is_late and was_denied else Reason.NOT_ENROLLED)
    if latest.state is not State.PENDING_APPROVAL:
        return Refused(Reason.ALREADY_ENROLLED)
    return Refused(Reason.APPROVAL_DENIED) if is_late else None


def judge_reply(session: SessionState, latest: Enrolment | None, answer: OfferAnswer) -> Refused | None:
    """Return why the reply has no effect, or None if it has one (rule 2)."""
    if session.status is Status.CANCELLED:
        return Refused(Reason.SESSION_CANCELLED)
    if latest is None or latest.hold_until is None:
        return Refused(Reason.NO_OFFER)
    if latest.state.has_seat and answer.accepted:
        return Refused(Reason.ALREADY_ENROLLED)
    if latest.state not in (State.OFFERED, State.LAPSED):
        return Refused(Reason.NO_OFFER)
    if answer.version is not None and latest.state is State.OFFERED and answer.version != latest.version:
        return Refused(Reason.NO_OFFER)
    if answer.received_at >= latest.hold_until:
        return Refused(Reason.DEADLINE_PASSED)
    if latest.state is State.LAPSED:
        return Refused(Reason.NO_OFFER)
    return None
