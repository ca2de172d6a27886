from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypedDict
from uuid import UUID, uuid5

from services.enrolment.rules.requests import RequestForSeats, RequestKey
from services.enrolment.rules.states import Cause, State
from shared.events.catalogue import SessionState
from shared.events.enrolment import AudiencePart, EndedBecause, EnrolmentRefused
from shared.events.reasons import Reason
from shared.events.vocabulary import Agent

_NAMESPACE = UUID("0b0c8f0a-6a55-5c0e-8f0e-3f3b5a1d9c77")

Place = tuple[int, int]
"""Sorts the waiting list by priority, then order of receipt."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """``ticket`` sorts by time of receipt; a refused enrolment has none.

    ``hold_until`` stays after the offer. ``waits_together``: it waits, or waited, as one place with all
    enrolments of its ticket (rule 17).
    """

    enrolment_id: UUID
    version: int
    session_id: UUID
    agent: Agent
    state: State
    reason: Reason | None
    ticket: int | None
    request_key: RequestKey
    received_at: datetime
    hold_until: datetime | None = None
    priority: int = 0
    waits_together: bool = False

    @property
    def place(self) -> Place:
        return -self.priority, self.ticket or 0


@dataclass(frozen=True, slots=True)
class EnrolmentInSession:
    enrolment: Enrolment
    session: SessionState


@dataclass(frozen=True, slots=True)
class EnrolmentChange:
    enrolment: Enrolment
    cause: Cause
    request_key: RequestKey | None = None
    numbers: Mapping[str, int | str | None] = field(default_factory=dict)


class DecisionMembers(TypedDict):
    enrolment_id: UUID
    version: int
    request_id: UUID | None
    request_source: str | None
    session_id: UUID
    session_version: int
    agent: Agent


def decision_members(
    enrolment: Enrolment, session_version: int, request: RequestKey | None
) -> DecisionMembers:
    return {
        "enrolment_id": enrolment.enrolment_id,
        "version": enrolment.version,
        "request_id": request and request.request_id,
        "request_source": (request and request.source) or None,
        "session_id": enrolment.session_id,
        "session_version": session_version,
        "agent": enrolment.agent,
    }


def new_enrolment(
    request: RequestForSeats,
    agent: Agent,
    state: State,
    *,
    reason: Reason | None = None,
    ticket: int | None = None,
    waits_together: bool = False,
) -> Enrolment:
    """Its id derives from the request and the agent, so deciding again gives the same id."""
    # Only the last part can have a space, so the name is unambiguous.
    name = f"{request.request_id.hex} {agent.issuer} {agent.agent_id} {request.source}"
    return Enrolment(
        enrolment_id=uuid5(_NAMESPACE, name),
        version=1,
        session_id=request.session_id,
        agent=agent,
        state=state,
        reason=reason,
        ticket=ticket,
        request_key=request.key,
        received_at=request.received_at,
        waits_together=waits_together,
    )


def refused_enrolment(request: RequestForSeats, agent: Agent, reason: Reason) -> Enrolment:
    return new_enrolment(request, agent, State.REFUSED, reason=reason)


def refusal_event(
    enrolment: Enrolment,
    session_version: int,
    request: RequestKey | None,
    because: EndedBecause | None = None,
    outside: tuple[AudiencePart, ...] = (),
) -> EnrolmentRefused:
    """Raises ``ValueError`` without a reason."""
    if enrolment.reason is None:
        raise ValueError("only a refused enrolment has a reason")
    members = decision_members(enrolment, session_version, request)
    return EnrolmentRefused(**members, reason=enrolment.reason, because=because, outside=outside)
