from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, Field

from services.enrolment.api.access import Database, ReaderOrTrial
from services.enrolment.rules.states import State
from services.enrolment.service import requests
from services.enrolment.service.requests import RequestStatus, SeveralRequests
from shared.events.catalogue import BespokeRequestAnswered
from shared.events.enrolment import (
    AgentEnrolled,
    AgentWaitlisted,
    Decision,
    EnrolmentPending,
    EnrolmentRefused,
    EnrolmentWithdrawn,
    SeatNotObtained,
    SeatOffered,
    SeatOfferLapsed,
)
from shared.events.outcomes import RejectionCode, RequestAccepted
from shared.events.vocabulary import FieldProblem
from shared.http import PROBLEMS, Problem, request_language
from shared.openapi import problem_response
from shared.web.sentences import Language, translated

router = APIRouter(prefix="/api/v1", tags=["requests"], responses=PROBLEMS)

_KINDS = {
    "SeatRequest": "enrolment",
    "GroupRequest": "group_enrolment",
    "Nomination": "nomination",
    "Withdrawal": "withdrawal",
    "ApprovalDecision": "approval",
    "OfferAnswer": "offer_answer",
    "Swap": "swap",
}

_EVENTS: Mapping[str, type[Decision]] = {
    State.ENROLLED: AgentEnrolled,
    State.WAITLISTED: AgentWaitlisted,
    State.OFFERED: SeatOffered,
    State.LAPSED: SeatOfferLapsed,
    State.NOT_OBTAINED: SeatNotObtained,
    State.PENDING_APPROVAL: EnrolmentPending,
    State.PENDING_SELECTION: EnrolmentPending,
    State.REFUSED: EnrolmentRefused,
    State.WITHDRAWN: EnrolmentWithdrawn,
    State.SESSION_CANCELLED: EnrolmentWithdrawn,
}


class Move(BaseModel):
    """An enrolment that the request changed: the agent's own, or that of the next agent."""

    cause: str = Field(description="For example withdrawal, employer, offer_accepted, seat_freed.")
    state: str = Field(description="The new state of the enrolment.")
    event: str | None = Field(default=None, description="The type of the event that reports the change.")


class LaterMove(Move):
    """A change of one of the request's enrolments after the decision."""

    at: datetime
    enrolment_id: UUID | None = Field(default=None, description="Null: an answer to a bespoke request.")


class RequestOutcome(BaseModel):
    """The outcome of a request. It has no personal data."""

    request_id: UUID
    state: Literal["pending", "answered", "rejected"] = Field(
        description="Pending: the request is on its way, or waits for the event of its session or for an "
        "operator. Rejected: the request has no effect; see code and problems. A corrected request may be "
        "sent with the same id."
    )
    outcome: str | None = Field(
        default=None,
        description="The new state of the enrolment, or refused. For several agents: their common outcome, "
        "mixed, or unchanged. Accepted: another service has the request (bespoke training, subscriptions).",
    )
    reason: str | None = Field(default=None, description="Why the request was refused.")
    code: RejectionCode | None = Field(default=None, description="Why the request was rejected.")
    problems: list[FieldProblem] = Field(default=[], description="The faults of the request, by field.")
    received_at: datetime
    decided_at: datetime | None = None
    asked: str | None = Field(
        default=None,
        description="enrolment, group_enrolment, nomination, withdrawal, approval, offer_answer or swap.",
    )
    session_id: UUID | None = None
    facts: dict[str, int | str | None] | None = Field(
        default=None,
        description="The facts of the decision: the seats and the waiting list just before the decision "
        "(capacity null: unlimited). For several agents: the number of agents by outcome.",
    )
    event: str | None = Field(
        default=None,
        description="The type of the answer on enrolment.decisions. Null if several agents have different "
        "outcomes. If the request matched no enrolment, there is an answer only for an agent who is known "
        "in the session.",
    )
    moves: list[Move] = Field(
        default=[],
        description="The enrolments whose state the request changed: the agent's own first, then the "
        "others. A new enrolment is not in the list.",
    )
    state_now: str | None = Field(
        default=None,
        description="The present state of the enrolment that the request began or changed. Mixed: several "
        "enrolments in different states.",
    )
    history: list[LaterMove] = Field(
        default=[],
        description="The later changes of the enrolments that the request began or changed, by time.",
    )


@router.get(
    "/requests/{ce_id}",
    summary="The outcome of a request, with its reason",
    responses=problem_response(
        409,
        "several_requests",
        meaning=(
            "Several portals used this id for different requests. A portal's token never gets this response."
        ),
        title="Several requests have this id",
        detail="With a portal's token it is that portal's.",
    ),
)
async def request_outcome(
    ce_id: UUID,
    database: Database,
    reader: ReaderOrTrial,
    language: Annotated[Language, Depends(request_language)],
    response: Response,
) -> RequestOutcome:
    """A request of the token's portal by its event's id, sent by any channel. An admin reads any request.

    In a trial no token is needed. Sentences are in English, or in French by `Accept-Language`.
    """
    response.headers["Vary"] = "Accept-Language"
    try:
        async with database.quiet_transaction() as tx:
            status = await requests.status(tx, ce_id, reader.source, reader.reading)
    except SeveralRequests:
        raise Problem(
            409,
            "Several requests have this id",
            f"Several portals used the id {ce_id}, each for a request of its own, and it is not clear which "
            "one is meant. With a portal's token it is that portal's.",
            code="several_requests",
        ) from None
    request = status.request
    if request is None:
        return _unread(ce_id, status, language)
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
        state_now=_together(status.states_now),
        history=[
            LaterMove(
                at=change.at,
                enrolment_id=change.enrolment_id,
                cause=change.cause,
                state=change.state,
                event=_event(change.state),
            )
            for change in status.history
        ],
    )


def _together(states: Collection[str]) -> str | None:
    """Return None without states."""
    different = set(states)
    return "mixed" if len(different) > 1 else next(iter(different), None)


def _event(state: str | None) -> str | None:
    event = _EVENTS.get(state or "")
    return None if event is None else event.TYPE


def _unread(request_id: UUID, status: RequestStatus, language: Language) -> RequestOutcome:
    if status.outcomes:
        return _of_another_service(request_id, status, language)
    letter = status.dead_letter
    if letter is not None and letter.state in _REJECTED:
        return RequestOutcome(
            request_id=request_id,
            state="rejected",
            received_at=letter.received_at,
            code=RejectionCode(letter.code or RejectionCode.INTERNAL),
            problems=_problems(letter.problems, language),
        )
    received_at = status.accepted_at if letter is None else letter.received_at
    if received_at is None:
        raise Problem(
            404,
            "No such request",
            f"No request {request_id} of yours has been read. It may still be on its way.",
        )
    return RequestOutcome(request_id=request_id, state="pending", received_at=received_at)


def _of_another_service(request_id: UUID, status: RequestStatus, language: Language) -> RequestOutcome:
    """Return the outcome that another service gave.

    Once accepted, a request stays accepted, even if its id is rejected later. Otherwise the last rejection
    counts.
    """
    taken_in = [outcome for outcome in status.outcomes if outcome.state != "rejected"]
    received_at = status.accepted_at or status.outcomes[0].at
    if not taken_in:
        last = status.outcomes[-1]
        return RequestOutcome(
            request_id=request_id,
            state="rejected",
            received_at=received_at,
            code=RejectionCode(last.code or RejectionCode.INTERNAL),
            problems=_problems(last.problems, language),
        )
    answers = [outcome for outcome in taken_in if outcome.state != "accepted"]
    return RequestOutcome(
        request_id=request_id,
        state="answered",
        outcome="accepted",
        received_at=received_at,
        decided_at=taken_in[0].at,
        event=RequestAccepted.TYPE,
        state_now=taken_in[-1].state,
        history=[
            LaterMove(at=outcome.at, cause="answered", state=outcome.state, event=BespokeRequestAnswered.TYPE)
            for outcome in answers
        ],
    )


def _problems(kept: Sequence[Mapping[str, str]] | None, language: Language) -> list[FieldProblem]:
    return [
        FieldProblem(pointer=problem["pointer"], message=translated(problem["message"], language))
        for problem in kept or ()
    ]


_REJECTED = ("rejected", "discarded")
"""States of a dead letter that will never have an effect."""
