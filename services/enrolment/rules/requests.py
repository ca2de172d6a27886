from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, replace
from datetime import datetime
from typing import NamedTuple, TypedDict
from uuid import UUID

from shared.events.cloudevents import Received
from shared.events.corrections import Corrections
from shared.events.portal import (
    ApprovalDecided,
    EnrolmentRequested,
    GroupEnrolmentRequested,
    QuestionAnswer,
    SeatOfferAnswered,
    SessionSwapRequested,
    TraineesNominated,
    WithdrawalRequested,
)
from shared.events.reasons import Reason
from shared.events.vocabulary import NO_LIMITS, Agent, AgentKey, Contact, Limits

PortalRequest = (
    EnrolmentRequested
    | GroupEnrolmentRequested
    | WithdrawalRequested
    | ApprovalDecided
    | SeatOfferAnswered
    | SessionSwapRequested
    | TraineesNominated
)


class RequestKey(NamedTuple):
    """Two portals may use one ``ce_id``."""

    source: str
    request_id: UUID


class Position(NamedTuple):
    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class _Request:
    """``source`` and ``portal`` name the sender; ``source`` is empty for links and organisers.

    ``limits`` says which agents the sender may act for. ``misrouted``: in a trial, it lies in another
    partition than its session's.
    """

    request_id: UUID
    received_at: datetime
    session_id: UUID
    _: KW_ONLY
    source: str = ""
    portal: str | None = None
    limits: Limits = NO_LIMITS
    traceparent: str | None = None
    position: Position | None = None
    misrouted: bool = False

    @property
    def key(self) -> RequestKey:
        return RequestKey(self.source, self.request_id)

    @property
    def session_ids(self) -> tuple[UUID, ...]:
        return (self.session_id,)


@dataclass(frozen=True, slots=True)
class ByHand:
    """``above_capacity`` is the reason for a seat when none is free, or None (rule 22).

    ``officer_of`` is the SIRET of the authority whose training officer sends a list for its private session,
    or None for an organiser.
    """

    author: str
    above_capacity: str | None = None
    officer_of: str | None = None


@dataclass(frozen=True, slots=True)
class SeatRequest(_Request):
    agent: Agent
    approved: bool
    by_hand: ByHand | None = None
    answers: tuple[QuestionAnswer, ...] = ()

    @property
    def agents(self) -> tuple[Agent, ...]:
        return (self.agent,)

    @property
    def agent_key(self) -> AgentKey:
        return self.agent.key

    @property
    def agent_keys(self) -> tuple[AgentKey, ...]:
        return (self.agent.key,)


@dataclass(frozen=True, slots=True)
class _ForSeveralAgents(_Request):
    agents: tuple[Agent, ...]

    @property
    def agent_key(self) -> None:
        return None

    @property
    def agent_keys(self) -> tuple[AgentKey, ...]:
        return tuple(agent.key for agent in self.agents)


@dataclass(frozen=True, slots=True)
class GroupRequest(_ForSeveralAgents):
    """A training officer asks for seats for several agents, in this order.

    ``may_wait``: if seats are too few for all, all wait as one place (rule 17).
    """

    all_or_nothing: bool
    may_wait: bool = False


@dataclass(frozen=True, slots=True)
class Nomination(_ForSeveralAgents):
    """An authority sends the complete list of trainees for its private session.

    It is complete for the issuer and limits of its portal: another portal sends its own. ``nominated_by``
    gets the result; None in older requests.
    """

    siret: str
    nominated_by: Contact | None = None


@dataclass(frozen=True, slots=True)
class _AboutEnrolment(_Request):
    agent_key: AgentKey

    @property
    def agent_keys(self) -> tuple[AgentKey, ...]:
        return (self.agent_key,)


@dataclass(frozen=True, slots=True)
class Withdrawal(_AboutEnrolment):
    """``joined_to``: the enrolment that the same person keeps under another issuer (rule 22)."""

    reason: str | None
    by_employer: bool = False
    joined_to: UUID | None = None


@dataclass(frozen=True, slots=True)
class ApprovalDecision(_AboutEnrolment):
    granted: bool


@dataclass(frozen=True, slots=True)
class OfferAnswer(_AboutEnrolment):
    """``version`` is the enrolment's version when the offer was made. None means the last offer."""

    accepted: bool
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Swap(_AboutEnrolment):
    """An agent gives up the seat in ``session_id`` for a seat in ``to_session_id`` (rule 18)."""

    to_session_id: UUID
    answers: tuple[QuestionAnswer, ...] = ()

    @property
    def session_ids(self) -> tuple[UUID, ...]:
        return self.session_id, self.to_session_id

    def as_seat_request(self, agent: Agent) -> SeatRequest:
        return SeatRequest(
            self.request_id,
            self.received_at,
            self.to_session_id,
            agent,
            approved=False,
            answers=self.answers,
            source=self.source,
            portal=self.portal,
            limits=self.limits,
            traceparent=self.traceparent,
            position=self.position,
            misrouted=self.misrouted,
        )


RequestForSeats = SeatRequest | GroupRequest | Nomination
RequestInSession = RequestForSeats | Withdrawal | ApprovalDecision | OfferAnswer
Request = RequestInSession | Swap


def request_of(received: Received[PortalRequest]) -> Request:
    """The portal's issuer identifies the agent."""
    event = received.event
    common = received.id, received.received_at, event.session_id
    portal = received.sender
    sender: _Sender = {
        "source": received.source,
        "portal": None if portal is None else portal.portal,
        "limits": NO_LIMITS if portal is None else portal.limits,
        "traceparent": received.traceparent,
        "position": Position(received.record.topic, received.record.partition, received.record.offset),
    }
    match event:
        case EnrolmentRequested():
            approved = event.approval is not None
            return SeatRequest(*common, event.agent, approved, answers=event.answers, **sender)
        case GroupEnrolmentRequested():
            return GroupRequest(*common, event.agents, event.all_or_nothing, event.may_wait, **sender)
        case TraineesNominated():
            return Nomination(*common, event.agents, event.siret, event.nominated_by, **sender)
    agent_key = AgentKey(received.issuer, event.agent_id)
    match event:
        case WithdrawalRequested():
            return Withdrawal(*common, agent_key, event.reason, event.by == "employer", **sender)
        case ApprovalDecided():
            return ApprovalDecision(*common, agent_key, event.granted, **sender)
        case SeatOfferAnswered():
            return OfferAnswer(*common, agent_key, event.accepted, **sender)
        case SessionSwapRequested():
            return Swap(*common, agent_key, event.to_session_id, event.answers, **sender)


def as_corrected(request: Request, corrections: Corrections) -> Request:
    match request:
        case SeatRequest():
            return replace(request, agent=corrections.apply(request.agent, request.received_at))
        case GroupRequest() | Nomination():
            agents = (corrections.apply(agent, request.received_at) for agent in request.agents)
            return replace(request, agents=tuple(agents))
    return request


class _Sender(TypedDict):
    source: str
    portal: str | None
    limits: Limits
    traceparent: str | None
    position: Position


@dataclass(frozen=True, slots=True)
class RequestResult:
    """``state`` is the enrolment's state, or ``refused``.

    For several agents it is their common state, ``mixed``, or ``unchanged`` if nobody is new.
    """

    request: Request
    state: str
    reason: Reason | None
    numbers: Mapping[str, int | str | None]
