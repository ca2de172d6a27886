"""The words of the rules: where an enrolment stands, what can be asked, what was answered."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypedDict
from uuid import UUID, uuid5

from shared.events.enrolment import EnrolmentRefused
from shared.events.vocabulary import Agent, Reason

_ENROLMENT_IDS = UUID("0b0c8f0a-6a55-5c0e-8f0e-3f3b5a1d9c77")
_TURN = UUID("0b0c8f0a-6a55-0c0e-0f0e-3f3b5a1d9c77").int
"""Makes an enrolment's id of a request's: another one, whose bits of version and variant stay as they are."""


class State(StrEnum):
    """Where an enrolment stands."""

    PENDING_APPROVAL = "pending_approval"
    PENDING_SELECTION = "pending_selection"
    WAITLISTED = "waitlisted"
    OFFERED = "offered"
    ENROLLED = "enrolled"
    ATTENDED = "attended"
    ABSENT = "absent"
    ABSENT_JUSTIFIED = "absent_justified"
    CERTIFIED = "certified"
    REFUSED = "refused"
    LAPSED = "lapsed"
    WITHDRAWN = "withdrawn"
    SESSION_CANCELLED = "session_cancelled"

    @property
    def is_live(self) -> bool:
        """Whether the enrolment has not ended: its agent may not ask for the session again."""
        return self not in _ENDED

    @property
    def has_seat(self) -> bool:
        """Whether the agent sits, or sat, on a seat of the session."""
        return self in _SEATED

    @property
    def holds_seat(self) -> bool:
        """Whether a seat is theirs, or held for their answer."""
        return self is State.OFFERED or self in _SEATED


_ENDED = frozenset({State.REFUSED, State.LAPSED, State.WITHDRAWN, State.SESSION_CANCELLED})
_SEEN = frozenset({State.ATTENDED, State.ABSENT, State.ABSENT_JUSTIFIED, State.CERTIFIED})
_SEATED = _SEEN | {State.ENROLLED}
_GIVEN_UP = frozenset({State.WITHDRAWN, State.SESSION_CANCELLED})
_PLACED = frozenset({State.ENROLLED, State.WAITLISTED, State.REFUSED}) | _GIVEN_UP

TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.PENDING_APPROVAL: _PLACED,
    State.PENDING_SELECTION: _PLACED,
    # To itself: another place in line.
    State.WAITLISTED: frozenset({State.WAITLISTED, State.OFFERED, State.ENROLLED}) | _GIVEN_UP,
    # To itself: the session was moved, and the offer with it.
    State.OFFERED: frozenset({State.OFFERED, State.ENROLLED, State.LAPSED}) | _GIVEN_UP,
    # To itself: attendance at one module of several. Attendance can be corrected.
    State.ENROLLED: frozenset({State.ENROLLED}) | _SEEN | _GIVEN_UP,
    State.ATTENDED: _SEEN | {State.ENROLLED},
    State.ABSENT: _SEEN | {State.ENROLLED},
    State.ABSENT_JUSTIFIED: _SEEN | {State.ENROLLED},
    State.CERTIFIED: _SEEN | {State.ENROLLED},
    **dict.fromkeys(_ENDED, frozenset()),
}
"""Where an enrolment may go from each state (the domain's lifecycle)."""


class Cause(StrEnum):
    """Why an enrolment moved, for whoever asks later."""

    WITHDRAWAL = "withdrawal"
    REPLACED = "replaced"
    SEAT_FREED = "seat_freed"
    OFFER_ACCEPTED = "offer_accepted"
    OFFER_DECLINED = "offer_declined"
    OFFER_EXPIRED = "offer_expired"
    OFFER_SHORTENED = "offer_shortened"
    APPROVAL_GRANTED = "approval_granted"
    APPROVAL_DENIED = "approval_denied"
    APPROVAL_MISSING = "approval_missing"
    APPROVAL_DROPPED = "approval_dropped"
    SELECTION = "selection"
    PRIORITY = "priority"
    ATTENDANCE = "attendance"
    SESSION_CANCELLED = "session_cancelled"


@dataclass(frozen=True, slots=True)
class Policy:
    """The choices that the domain leaves open, and their usual values."""

    last_offer: timedelta = timedelta(hours=48)
    """Before the start: no seat is offered later, and no offer stands longer."""
    grace: timedelta = timedelta(seconds=5)
    """How long after its end an offer, or an approval, waits for an answer that is on its way to us."""
    longest_hold: timedelta | None = None
    """Shortens every hold, for a rehearsal."""
    overlap_check: bool = False
    """Refuse a session that overlaps another in which the agent is enrolled or waits."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """One agent's enrolment in one session.

    ``ticket`` is its order of receipt (refused ones have none), ``priority`` puts it before lower ones in
    line. ``hold_until`` is that of its offer, also when that is over.
    """

    enrolment_id: UUID
    version: int
    session_id: UUID
    agent: Agent
    state: State
    reason: Reason | None
    ticket: int | None
    request_id: UUID
    received_at: datetime
    hold_until: datetime | None = None
    priority: int = 0

    @property
    def place(self) -> tuple[int, int]:
        """Sorts the line: higher priority first, then order of receipt."""
        return -self.priority, self.ticket or 0


# ---------------------------------------------------------------------------------------- requests


@dataclass(frozen=True, slots=True)
class SeatRequest:
    """An agent asks for a seat."""

    request_id: UUID
    received_at: datetime
    session_id: UUID
    agent: Agent
    approved: bool
    traceparent: str | None = None

    @property
    def agent_id(self) -> str:
        return self.agent.agent_id

    @property
    def agent_ids(self) -> tuple[str, ...]:
        return (self.agent.agent_id,)

    @property
    def asked_for(self) -> tuple[Agent, ...]:
        return (self.agent,)


@dataclass(frozen=True, slots=True)
class GroupRequest:
    """A training officer asks for several agents, in the order in which seats are to go to them."""

    request_id: UUID
    received_at: datetime
    session_id: UUID
    agents: tuple[Agent, ...]
    all_or_nothing: bool
    traceparent: str | None = None
    agent_id: None = None

    @property
    def agent_ids(self) -> tuple[str, ...]:
        return tuple(agent.agent_id for agent in self.agents)

    @property
    def asked_for(self) -> tuple[Agent, ...]:
        return self.agents


@dataclass(frozen=True, slots=True)
class Nomination:
    """An authority says, whole, who takes part in its private session."""

    request_id: UUID
    received_at: datetime
    session_id: UUID
    siret: str
    agents: tuple[Agent, ...]
    traceparent: str | None = None
    agent_id: None = None

    @property
    def agent_ids(self) -> tuple[str, ...]:
        return tuple(agent.agent_id for agent in self.agents)

    @property
    def asked_for(self) -> tuple[Agent, ...]:
        return self.agents


@dataclass(frozen=True, slots=True)
class _AboutOne:
    request_id: UUID
    received_at: datetime
    session_id: UUID
    agent_id: str

    @property
    def agent_ids(self) -> tuple[str, ...]:
        return (self.agent_id,)


@dataclass(frozen=True, slots=True)
class Withdrawal(_AboutOne):
    """Somebody gives up an enrolment."""

    reason: str | None
    by_employer: bool = False
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class ApprovalDecision(_AboutOne):
    """The employer agrees to an enrolment, or does not."""

    granted: bool
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class OfferAnswer(_AboutOne):
    """An agent takes the seat that is held for them, or leaves it.

    ``version`` says which offer is meant, the version of the enrolment when it was made; None: the last.
    """

    accepted: bool
    version: int | None = None
    traceparent: str | None = None


AsksForSeats = SeatRequest | GroupRequest | Nomination
Request = AsksForSeats | Withdrawal | ApprovalDecision | OfferAnswer


# ---------------------------------------------------------------------------------------- what came of it


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request, and the numbers it was decided by.

    ``outcome`` is the state that the enrolment came to, or ``refused``; of several agents, what all came to,
    ``mixed``, or ``unchanged`` when nobody is new.
    """

    request: Request
    outcome: str
    reason: Reason | None
    facts: Mapping[str, int | str | None]


@dataclass(frozen=True, slots=True)
class Change:
    """One move of an enrolment after its beginning, for whoever asks later."""

    enrolment: Enrolment
    cause: Cause
    request_id: UUID | None = None
    facts: Mapping[str, int | str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RankingFault:
    """Why a ranking cannot be taken: who is not a candidate, who was forgotten, who stands twice."""

    unknown: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    twice: tuple[str, ...] = ()


def enrolment_id(request_id: UUID, agent_id: str | None = None) -> UUID:
    """The id of the enrolment that a request begins: the same however often the request is decided.

    ``agent_id`` for a request about several.
    """
    if agent_id is None:
        return UUID(int=request_id.int ^ _TURN)
    return uuid5(_ENROLMENT_IDS, f"{request_id.hex}:{agent_id}")


class Common(TypedDict):
    """What every event about an enrolment says."""

    enrolment_id: UUID
    version: int
    session_id: UUID
    agent: Agent


def common(enrolment: Enrolment) -> Common:
    """The members that every event about this enrolment has."""
    return {
        "enrolment_id": enrolment.enrolment_id,
        "version": enrolment.version,
        "session_id": enrolment.session_id,
        "agent": enrolment.agent,
    }


def refused(request: AsksForSeats, agent: Agent, reason: Reason) -> Enrolment:
    """The enrolment that a refused request leaves behind, for one of its agents."""
    one_of_many = None if isinstance(request, SeatRequest) else agent.agent_id
    return Enrolment(
        enrolment_id=enrolment_id(request.request_id, one_of_many),
        version=1,
        session_id=request.session_id,
        agent=agent,
        state=State.REFUSED,
        reason=reason,
        ticket=None,
        request_id=request.request_id,
        received_at=request.received_at,
    )


def refusal(enrolment: Enrolment, request_id: UUID | None) -> EnrolmentRefused:
    """What is told of a refused enrolment."""
    if enrolment.reason is None:
        raise ValueError("only a refused enrolment has a reason")
    return EnrolmentRefused(**common(enrolment), request_id=request_id, reason=enrolment.reason)
