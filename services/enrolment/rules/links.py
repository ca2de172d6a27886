from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from services.enrolment.rules.eligibility import (
    Availability,
    Granted,
    judge,
    judge_withdrawal,
    takes_nominations,
)
from services.enrolment.rules.enrolments import Enrolment, EnrolmentInSession
from services.enrolment.rules.seats import Seats
from services.enrolment.rules.states import Cause, State
from shared.events.catalogue import SessionState
from shared.events.seances import NumberedModule, cancellation_reason
from shared.events.vocabulary import LATEST, Agent, Format, Status

ROSTER_FOR = timedelta(days=14)
"""Trainers can read the roster this long after a session [choice]."""

CODE_SHOWN_FOR = timedelta(days=31)
"""The agent's page shows the arrival code this long before a session [choice]."""


class LinkState(StrEnum):
    OPEN = "open"
    SEAT_TAKEN = "seat_taken"
    SEAT_LEFT = "seat_left"
    WITHDRAWN = "withdrawn"
    MOVED = "moved"
    UNKNOWN = "unknown"
    SESSION_CANCELLED = "session_cancelled"
    OFFER_TAKEN = "offer_taken"
    OFFER_EXPIRED = "offer_expired"
    OFFER_LEFT = "offer_left"
    OFFER_ENDED = "offer_ended"
    OFFER_REPLACED = "offer_replaced"
    ALREADY_ENDED = "already_ended"
    SESSION_STARTED = "session_started"
    ADDRESS_CHANGED = "address_changed"
    ADDRESS_GIVEN = "address_given"
    ADDRESS_CORRECTED = "address_corrected"
    ADDRESS_TOO_NEW = "address_too_new"
    ADDRESSES_DIFFER = "addresses_differ"
    CORRECTION_CONFIRMED = "correction_confirmed"
    NOTHING_TO_CONFIRM = "nothing_to_confirm"
    TOO_MANY_ADDRESSES = "too_many_addresses"
    NOT_CERTIFIED = "not_certified"


class RosterLinkState(StrEnum):
    OPEN = "open"
    NOT_A_TRAINER = "not_a_trainer"
    ROSTER_CANCELLED = "roster_cancelled"
    ROSTER_EXPIRED = "roster_expired"


class ListLinkState(StrEnum):
    OPEN = "open"
    NO_LIST = "no_list"
    LIST_CANCELLED = "list_cancelled"
    LIST_STARTED = "list_started"


def held_after(held: frozenset[str], replaced: frozenset[str], new: str) -> frozenset[str]:
    """Return the addresses whose readers may object to a correction that puts ``new`` for ``replaced``.

    ``held`` are addresses from before earlier corrections that nobody has confirmed yet. They stay: an
    address that is itself too new cannot confirm its successor. All addresses are in lower case.
    """
    return (held or replaced) - {new}


def is_too_new(address: str, held: frozenset[str]) -> bool:
    """Return whether links to this address of an agent open nothing yet."""
    return bool(held) and address.lower() not in held


def roster_state(session: SessionState | None, trainer_id: UUID, now: datetime) -> RosterLinkState:
    """Trainers may read the roster while the session names them, and some days after it."""
    if session is None or trainer_id not in session.trainer_ids:
        return RosterLinkState.NOT_A_TRAINER
    if session.status is Status.CANCELLED:
        return RosterLinkState.ROSTER_CANCELLED
    return RosterLinkState.ROSTER_EXPIRED if now >= session.ends_at + ROSTER_FOR else RosterLinkState.OPEN


def list_state(session: SessionState | None, siret: str, now: datetime) -> ListLinkState:
    """The authority's officer enrols until the start: after the close, only whoever replaces an agent."""
    if session is None or session.status is Status.DRAFT or not takes_nominations(session, siret):
        return ListLinkState.NO_LIST
    if session.status is Status.CANCELLED:
        return ListLinkState.LIST_CANCELLED
    return ListLinkState.LIST_STARTED if now >= session.starts_at else ListLinkState.OPEN


def offer_state(found: EnrolmentInSession, version: int, now: datetime) -> LinkState:
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


def withdrawal_state(found: EnrolmentInSession, now: datetime) -> LinkState:
    if found.session.status is Status.CANCELLED:
        return LinkState.SESSION_CANCELLED
    if not found.enrolment.state.is_live:
        return LinkState.ALREADY_ENDED
    if judge_withdrawal(found.session, found.enrolment, now) is not None:
        return LinkState.SESSION_STARTED
    return LinkState.OPEN


def move_state(found: EnrolmentInSession, now: datetime) -> LinkState:
    state = withdrawal_state(found, now)
    has_seat = found.enrolment.state.has_seat
    return LinkState.ALREADY_ENDED if state is LinkState.OPEN and not has_seat else state


def has_seat_for(session: SessionState, seats: Seats, agent: Agent, now: datetime) -> bool:
    """Ignore questions. Waiting agents may still come first: only the decision knows."""
    availability = Availability(seat_is_free=seats.may_take(session, agent.employer, now))
    return judge(session, agent, now, approved=False, availability=availability) is Granted.SEAT


@dataclass(frozen=True, slots=True)
class PastChange:
    at: datetime
    state: State
    cause: Cause


@dataclass(frozen=True, slots=True)
class EnrolmentNow:
    """``position`` is the place in line. ``taken`` counts the session's seats taken or offered."""

    found: EnrolmentInSession
    numbered_modules: Sequence[NumberedModule]
    changes: Sequence[PastChange]
    position: int | None
    updated_at: datetime
    taken: int


@dataclass(frozen=True, slots=True)
class AgentEnrolment:
    """``is_undecided``: the minimum is missed, and the organiser has not decided yet.

    ``shows_code``: whether to show the arrival code already, or None without a code.
    """

    enrolment: Enrolment
    session: SessionState
    numbered_modules: Sequence[NumberedModule]
    changes: Sequence[PastChange]
    position: int | None
    updated_at: datetime
    offer: LinkState
    withdrawal: LinkState
    move: LinkState
    is_past: bool
    is_undecided: bool
    shows_code: bool | None
    has_certificate: bool

    @property
    def must_answer(self) -> bool:
        return self.offer is LinkState.OPEN

    @property
    def may_withdraw(self) -> bool:
        return self.withdrawal is LinkState.OPEN

    @property
    def may_move(self) -> bool:
        return self.move is LinkState.OPEN and self.session.format is not Format.BESPOKE

    @property
    def was_cut_short(self) -> bool:
        """Return whether the session was cancelled after the agent's attendance was recorded (rule 11)."""
        return self.session.status is Status.CANCELLED and self.enrolment.state.has_seat

    @property
    def cancellation_reason(self) -> str | None:
        return cancellation_reason(self.session)


def seen_by_agent(known: EnrolmentNow, now: datetime) -> AgentEnrolment:
    found = known.found
    enrolment, session = found.enrolment, found.session
    is_over = session.status is Status.CANCELLED or session.ends_at <= now
    has_code = enrolment.state is State.ENROLLED and session.venue is not None and not is_over
    return AgentEnrolment(
        enrolment,
        session,
        known.numbered_modules,
        known.changes,
        known.position,
        known.updated_at,
        offer=offer_state(found, enrolment.version, now),
        withdrawal=withdrawal_state(found, now),
        move=move_state(found, now),
        is_past=is_over or not enrolment.state.is_live,
        is_undecided=enrolment.state.is_live and _misses_minimum(session, known.taken, now),
        shows_code=session.starts_at - CODE_SHOWN_FOR <= now if has_code else None,
        has_certificate=enrolment.state is State.CERTIFIED
        and session.certificate_leaves_at(_recorded_at(known)) <= now,
    )


def _recorded_at(known: EnrolmentNow) -> datetime:
    recorded = [change.at for change in known.changes if change.cause is Cause.ATTENDANCE]
    return max(recorded, default=known.updated_at)


def _misses_minimum(session: SessionState, taken: int, now: datetime) -> bool:
    """The minimum counts between close of enrolment and start (rule 15).

    With a selection this is unknown before the first candidate has a seat.
    """
    return (
        session.minimum is not None
        and session.status is Status.PUBLISHED
        and session.enrolment_closes_at <= now < session.starts_at
        and taken < session.minimum
        and (taken > 0 or not session.approval.by_selection)
    )


@dataclass(frozen=True, slots=True)
class AgentEnrolments:
    to_answer: Sequence[AgentEnrolment]
    to_come: Sequence[AgentEnrolment]
    past: Sequence[AgentEnrolment]


def arranged(enrolments: Sequence[AgentEnrolment]) -> AgentEnrolments:
    by_start = sorted(enrolments, key=lambda seen: (seen.session.starts_at, seen.enrolment.enrolment_id))
    to_answer = [seen for seen in by_start if seen.must_answer]
    return AgentEnrolments(
        sorted(to_answer, key=lambda seen: seen.enrolment.hold_until or LATEST),
        [seen for seen in by_start if not seen.is_past and not seen.must_answer],
        [seen for seen in reversed(by_start) if seen.is_past],
    )
