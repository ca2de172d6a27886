"""HTTP in: what became of a request, and why."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field

from services.enrolment.api.access import Database
from services.enrolment.rules.states import State
from services.enrolment.service import requests
from services.enrolment.service.requests import RequestStatus, SeveralRequests
from shared.events.enrolment import (
    AgentEnrolled,
    AgentWaitlisted,
    Decision,
    EnrolmentPending,
    EnrolmentRefused,
    EnrolmentWithdrawn,
    SeatOffered,
    SeatOfferLapsed,
)
from shared.events.outcomes import RejectionCode
from shared.events.vocabulary import FieldProblem
from shared.http import PROBLEM_JSON, Problem, ProblemBody

router = APIRouter(prefix="/api/v1", tags=["requests"])

_KINDS = {
    "SeatRequest": "enrolment",
    "GroupRequest": "group_enrolment",
    "Nomination": "nomination",
    "Withdrawal": "withdrawal",
    "ApprovalDecision": "approval",
    "OfferAnswer": "offer_answer",
}

_EVENTS: Mapping[str, type[Decision]] = {
    State.ENROLLED: AgentEnrolled,
    State.WAITLISTED: AgentWaitlisted,
    State.OFFERED: SeatOffered,
    State.LAPSED: SeatOfferLapsed,
    State.PENDING_APPROVAL: EnrolmentPending,
    State.PENDING_SELECTION: EnrolmentPending,
    State.REFUSED: EnrolmentRefused,
    State.WITHDRAWN: EnrolmentWithdrawn,
    State.SESSION_CANCELLED: EnrolmentWithdrawn,
}
"""The event that is published when a request takes an enrolment to a state."""


class Move(BaseModel):
    """An enrolment that moved because of the request; of the agent's own, or of somebody who follows."""

    cause: str = Field(description="Such as withdrawal, offer_accepted, seat_freed.")
    state: str = Field(description="What the enrolment came to.")
    event: str | None = Field(default=None, description="The type of the event that tells of it.")


class RequestOutcome(BaseModel):
    """What became of a request. No personal data: whoever has the request's id may ask."""

    request_id: UUID
    state: Literal["pending", "answered", "rejected"] = Field(
        description="Pending: it is on its way, or waits for its session's event or for an operator. "
        "Rejected: it has no effect; see code and problems. Mended, it may be sent again with the same id."
    )
    outcome: str | None = Field(
        default=None,
        description="The state that the enrolment came to, or refused; of several agents what all came to, "
        "mixed, or unchanged.",
    )
    reason: str | None = Field(default=None, description="Why it was refused.")
    code: RejectionCode | None = Field(default=None, description="Why it was rejected.")
    problems: list[FieldProblem] = Field(default=[], description="What is wrong with it, field by field.")
    received_at: datetime
    decided_at: datetime | None = None
    asked: str | None = Field(
        default=None,
        description="enrolment, group_enrolment, nomination, withdrawal, approval or offer_answer.",
    )
    session_id: UUID | None = None
    facts: dict[str, int | str | None] | None = Field(
        default=None,
        description="What it was decided by: the seats and the line just before (capacity null: unlimited); "
        "of several agents, how many came to what.",
    )
    event: str | None = Field(
        default=None,
        description="The type of its answer on enrolment.decisions; null where agents came to different "
        "ends. Where nothing was found that it could be about, it is only told if the agent is known there.",
    )
    moves: list[Move] = Field(
        default=[],
        description="The enrolments that it moved: the agent's own, then others'; none that it began.",
    )


@router.get(
    "/requests/{ce_id}",
    summary="What became of a request, and why",
    responses={
        409: {
            "model": ProblemBody,
            "description": "Several portals used this id, each for a request of its own.",
            "content": {PROBLEM_JSON: {}},
        }
    },
)
async def request_outcome(ce_id: UUID, database: Database) -> RequestOutcome:
    """The request by its event's id, or by the id that the portal was given over HTTP."""
    try:
        async with database.quiet_transaction() as tx:
            status = await requests.status(tx, ce_id)
    except SeveralRequests:
        raise Problem(
            409,
            "Several requests have this id",
            f"Several portals used the id {ce_id}, each for a request of its own, and it is not clear which "
            "one is meant. The answer to each is among the events. Use a new UUID for each request.",
        ) from None
    request = status.request
    if request is None:
        return _unread(ce_id, status)
    return RequestOutcome(
        request_id=request.request_id,
        state="pending" if request.decided_at is None else "answered",
        outcome=request.outcome,
        reason=request.reason,
        received_at=request.received_at,
        decided_at=request.decided_at,
        asked=_KINDS[request.kind],
        session_id=request.session_id,
        facts=request.facts,
        event=_event(request.outcome),
        moves=[
            Move(cause=change.cause, state=change.state, event=_event(change.state))
            for change in status.changes
        ],
    )


def _event(state: str | None) -> str | None:
    event = _EVENTS.get(state or "")
    return None if event is None else event.TYPE


def _unread(request_id: UUID, status: RequestStatus) -> RequestOutcome:
    """Return the outcome of a request that was not taken in. Raises a 404 where nothing is known of it."""
    letter = status.dead_letter
    if letter is not None and letter.state in _REJECTED:
        return RequestOutcome(
            request_id=request_id,
            state="rejected",
            received_at=letter.received_at,
            code=RejectionCode(letter.code or RejectionCode.INTERNAL),
            problems=[FieldProblem.model_validate(problem) for problem in letter.problems or ()],
        )
    received_at = status.accepted_at if letter is None else letter.received_at
    if received_at is None:
        raise Problem(
            404, "No such request", f"No request {request_id} has been read. It may still be on its way."
        )
    return RequestOutcome(request_id=request_id, state="pending", received_at=received_at)


_REJECTED = ("rejected", "discarded")
"""States of a dead letter that has no effect, and will have none."""
