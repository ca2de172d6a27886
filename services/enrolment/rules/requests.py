"""The requests that portals, organisers and links make, and the answer that each gets."""

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
    """Which request: its ``ce_id``, and the ``ce_source`` that gave it. Two portals may use one ``ce_id``."""

    source: str
    request_id: UUID


class Position(NamedTuple):
    """Where the record of a request lies."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class _Request:
    """What every request has.

    ``source`` and ``portal`` are who sent it, ``limits`` whose agents they may speak for; ``source`` is empty
    where no portal did: agents by their links, organisers. ``traceparent`` is the trace of the event that
    made it, ``position`` where that lies. ``misrouted``: in another partition than its session's, on a trial.
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
        """The sessions whose rosters it may change: all are locked at once."""
        return (self.session_id,)


@dataclass(frozen=True, slots=True)
class ByHand:
    """An organiser enrols somebody by hand, such as who walks in on the day (rule 22).

    ``above_capacity``: why they get a seat where none is free; None: they get none then.
    """

    author: str
    above_capacity: str | None = None


@dataclass(frozen=True, slots=True)
class SeatRequest(_Request):
    """An agent requests a seat; ``approved``: the employer agreed beforehand.

    ``answers`` are to the questions of the session.
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
    """A training officer requests seats for several agents, in the order in which they are to get them.

    ``may_wait``: all wait as one, where they ask for all or nothing and there are too few seats (rule 17).
    """

    all_or_nothing: bool
    may_wait: bool = False


@dataclass(frozen=True, slots=True)
class Nomination(_ForSeveralAgents):
    """An authority says who takes part in its private session: the whole list, each time.

    The list is whole for the issuer of its agents, and for those whom its portal may speak for: another
    portal names its own. ``nominated_by`` is notified of the outcome; None in older requests.
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

    ``joined_to``: an organiser ends it, as the same person has this one by another issuer (rule 22).
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
    """An agent takes the seat that is held for them, or leaves it.

    ``version`` says which offer is meant: the version of the enrolment when it was made. None: the last.
    """

    accepted: bool
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Swap(_AboutEnrolment):
    """An agent wants to give up the seat in ``session_id`` for one in ``to_session_id`` (rule 18)."""

    to_session_id: UUID
    answers: tuple[QuestionAnswer, ...] = ()

    @property
    def session_ids(self) -> tuple[UUID, ...]:
        return self.session_id, self.to_session_id

    def as_seat_request(self, agent: Agent) -> SeatRequest:
        """Return the request for a seat that it is in the other session."""
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
    """Return the request that a portal makes by this event. An agent is known by the portal's issuer."""
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
    """Return the request as those of these corrections say that came after it."""
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
    """What became of a request, and the numbers by which it was decided.

    ``state`` is the one that the enrolment came to, or ``refused``; of several agents the state that all
    came to, ``mixed``, or ``unchanged`` when nobody is new.
    """

    request: Request
    state: str
    reason: Reason | None
    numbers: Mapping[str, int | str | None]
