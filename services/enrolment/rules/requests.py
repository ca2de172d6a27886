"""The requests that portals, organisers and links make, and the answer that each gets."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from uuid import UUID

from shared.events.portal import (
    ApprovalDecided,
    EnrolmentRequested,
    GroupEnrolmentRequested,
    SeatOfferAnswered,
    TraineesNominated,
    WithdrawalRequested,
)
from shared.events.vocabulary import Agent, Reason

PortalRequest = (
    EnrolmentRequested
    | GroupEnrolmentRequested
    | WithdrawalRequested
    | ApprovalDecided
    | SeatOfferAnswered
    | TraineesNominated
)
"""The events by which portals make requests."""


@dataclass(frozen=True, slots=True)
class _Request:
    """What every request has. ``traceparent`` is the trace of the event that made it."""

    request_id: UUID
    received_at: datetime
    session_id: UUID
    _: KW_ONLY
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class SeatRequest(_Request):
    """An agent requests a seat; ``approved``: the employer agreed beforehand."""

    agent: Agent
    approved: bool

    @property
    def agents(self) -> tuple[Agent, ...]:
        return (self.agent,)

    @property
    def agent_id(self) -> str:
        return self.agent.agent_id

    @property
    def agent_ids(self) -> tuple[str, ...]:
        return (self.agent.agent_id,)


@dataclass(frozen=True, slots=True)
class _ForSeveralAgents(_Request):
    agents: tuple[Agent, ...]

    @property
    def agent_id(self) -> None:
        return None

    @property
    def agent_ids(self) -> tuple[str, ...]:
        return tuple(agent.agent_id for agent in self.agents)


@dataclass(frozen=True, slots=True)
class GroupRequest(_ForSeveralAgents):
    """A training officer requests seats for several agents, in the order in which they are to get them."""

    all_or_nothing: bool


@dataclass(frozen=True, slots=True)
class Nomination(_ForSeveralAgents):
    """An authority says who takes part in its private session: the whole list, each time."""

    siret: str


@dataclass(frozen=True, slots=True)
class _AboutEnrolment(_Request):
    agent_id: str

    @property
    def agent_ids(self) -> tuple[str, ...]:
        return (self.agent_id,)


@dataclass(frozen=True, slots=True)
class Withdrawal(_AboutEnrolment):
    """An agent, or the employer, gives up an enrolment."""

    reason: str | None
    by_employer: bool = False


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


RequestForSeats = SeatRequest | GroupRequest | Nomination
Request = RequestForSeats | Withdrawal | ApprovalDecision | OfferAnswer


def request_of(
    event: PortalRequest, request_id: UUID, received_at: datetime, traceparent: str | None = None
) -> Request:
    """Return the request that a portal makes by this event, which the broker received at this moment."""
    common = request_id, received_at, event.session_id
    match event:
        case EnrolmentRequested():
            approved = event.approval is not None
            return SeatRequest(*common, event.agent, approved, traceparent=traceparent)
        case GroupEnrolmentRequested():
            return GroupRequest(*common, event.agents, event.all_or_nothing, traceparent=traceparent)
        case WithdrawalRequested():
            by_employer = event.by == "employer"
            return Withdrawal(*common, event.agent_id, event.reason, by_employer, traceparent=traceparent)
        case ApprovalDecided():
            return ApprovalDecision(*common, event.agent_id, event.granted, traceparent=traceparent)
        case SeatOfferAnswered():
            return OfferAnswer(*common, event.agent_id, event.accepted, traceparent=traceparent)
        case TraineesNominated():
            return Nomination(*common, event.agents, event.siret, traceparent=traceparent)


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request, and the numbers by which it was decided.

    ``outcome`` is the state that the enrolment came to, or ``refused``; of several agents the state that all
    came to, ``mixed``, or ``unchanged`` when nobody is new.
    """

    request: Request
    outcome: str
    reason: Reason | None
    facts: Mapping[str, int | str | None]
