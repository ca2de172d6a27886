"""The requests of portals, organisers and links, and their results."""

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
"""The events by which portals make requests."""


class RequestKey(NamedTuple):
    """The identity of a request: ``ce_id`` and ``ce_source``. Two portals may use one ``ce_id``."""

    source: str
    request_id: UUID


class Position(NamedTuple):
    """The place of a request's record on its topic."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class _Request:
    """The common part of requests.

    ``source`` and ``portal`` name the sender, ``limits`` the agents that the sender may act for. ``source``
    is empty for links and organisers. ``traceparent`` is the trace of the event, ``position`` its place.
    ``misrouted``: it lies in another partition than its session's, in a trial.
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
        """Return the sessions that the request may change. All are locked at once."""
        return (self.session_id,)


@dataclass(frozen=True, slots=True)
class ByHand:
    """An organiser enrols an agent by hand, for example a walk-in (rule 22).

    ``above_capacity`` is the reason for a seat when none is free; None: no seat then.
    """

    author: str
    above_capacity: str | None = None


@dataclass(frozen=True, slots=True)
class SeatRequest(_Request):
    """An agent asks for a seat.

    ``approved``: the employer agreed beforehand. ``answers`` are to the session's questions.
    """

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

    ``may_wait``: with all or nothing and too few seats, all wait as one place (rule 17).
    """

    all_or_nothing: bool
    may_wait: bool = False


@dataclass(frozen=True, slots=True)
class Nomination(_ForSeveralAgents):
    """An authority sends the whole list of trainees for its private session.

    The list is whole for the issuer and the limits of its portal: another portal sends its own.
    ``nominated_by`` hears the result; None in older requests.
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
    """An agent, or the employer, gives up an enrolment.

    ``joined_to``: an organiser ends it because the same person has this one by another issuer (rule 22).
    """

    reason: str | None
    by_employer: bool = False
    joined_to: UUID | None = None


@dataclass(frozen=True, slots=True)
class ApprovalDecision(_AboutEnrolment):
    """The employer agrees to an enrolment, or does not."""

    granted: bool


@dataclass(frozen=True, slots=True)
class OfferAnswer(_AboutEnrolment):
    """An agent accepts or declines an offered seat.

    ``version`` is the enrolment's version when the offer was made; None: the last offer.
    """

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
        """Return the request for a seat in the other session."""
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
    """Return the request of a portal's event. The portal's issuer identifies the agent."""
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
    """Return the request with the corrections that were received after it."""
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
    """The result of a request, and the figures behind it.

    ``state`` is the enrolment's state, or ``refused``. For several agents it is their common state,
    ``mixed``, or ``unchanged`` if nobody is new.
    """

    request: Request
    state: str
    reason: Reason | None
    numbers: Mapping[str, int | str | None]
