"""CloudEvents that portals send over HTTP instead of Kafka, decided like the events on topics."""

import asyncio
from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from services.enrolment.api import event_documents
from services.enrolment.api.access import Database, PortalOfToken
from services.enrolment.api.examples import EXAMPLES
from services.enrolment.service import intake
from shared import clock
from shared.database import Database as SharedDatabase
from shared.events.cloudevents import Received, Record, Unreadable
from shared.events.cloudevents_http import (
    MAX_IN_BATCH,
    OtherFormat,
    TooMany,
    is_batch,
    record_of,
    records_of_batch,
)
from shared.events.outcomes import RejectionCode
from shared.events.vocabulary import Event, FieldProblem
from shared.guard import Guard, LimitMet
from shared.http import PROBLEMS, Problem, ProblemBody
from shared.messaging.consumer import REJECTED, record_refusals
from shared.messaging.portals.admission import Rejected, admit_by_token
from shared.messaging.portals.registry import Portal
from shared.openapi import problem_response
from shared.rates import Rate

router = APIRouter(prefix="/api/v1", tags=["requests"], responses=PROBLEMS)

OUTCOME = "/api/v1/requests/{}"
"""The address of a request's outcome."""


class Accepted(BaseModel):
    """The request will be decided."""

    request_id: UUID = Field(description="The ce_id. The answer will have it too.")
    outcome_url: str = Field(description="The address of the outcome, also in the header Location.")


class BatchItem(BaseModel):
    """The response to one event of a batch: 202, or the status of its problem."""

    ce_id: UUID | None = Field(description="Null if the id could not be read.")
    status: int
    problem: ProblemBody | None = None


async def _within_rate(request: Request, portal: PortalOfToken) -> Portal:
    if portal.authentication == "signature" and not request.app.state.signs_intake:
        raise Problem(
            503,
            "Requests by HTTP are not set up",
            "The service has no INTAKE_SIGNING_KEY to pass requests on with. Tell its operators.",
        )
    await _count(request, portal, 1)
    return portal


async def _count(request: Request, portal: Portal, number: int) -> None:
    """Raises a 429 with the time to wait."""
    rate: Rate = request.app.state.intake_rate
    guard: Guard = request.app.state.guard
    try:
        await guard.take(request, "intake", rate, portal.portal, number=number)
    except LimitMet as error:
        raise Problem(
            429,
            "Too many requests",
            f"This portal may send {rate.most} events per {rate.seconds} seconds. "
            f"Come again in {error.seconds} seconds, with the same ce-id.",
            headers=error.headers,
        ) from None


_STATUSES = {
    RejectionCode.UNREADABLE: (400, "No CloudEvent could be read"),
    RejectionCode.INVALID: (422, "The event is not valid"),
    RejectionCode.UNKNOWN_TYPE: (422, "No such type"),
    RejectionCode.NOT_AUTHENTICATED: (403, "Not the source of this token"),
    RejectionCode.NOT_YOURS: (403, "Not an agent or authority of this portal"),
    RejectionCode.TOO_LARGE: (413, "The event is too large"),
}


def _rejection(portal: Portal, code: RejectionCode, *problems: FieldProblem) -> Problem:
    REJECTED.labels("http", portal.portal, code).inc()
    status, title = _STATUSES[code]
    whole = len(problems) == 1 and not problems[0].pointer
    return Problem(
        status,
        title,
        problems[0].message if whole else "See 'problems' for each field that is not.",
        code=code.value,
        problems=[problem.model_dump() for problem in problems],
    )


def _unreadable(portal: Portal, why: Unreadable) -> Problem:
    return _rejection(portal, RejectionCode.UNREADABLE, FieldProblem(pointer="", message=str(why)))


def _used(event_id: UUID) -> Problem:
    return Problem(
        409,
        "The id was used before",
        f"The id {event_id} belongs to an event that said something else. A new event has a new UUID.",
        code="id_used",
    )


@router.post(
    "/events",
    status_code=202,
    summary="Submit a portal's request",
    response_model=Accepted | list[BatchItem],
    responses={
        200: {
            "model": list[BatchItem],
            "description": "A batch: the answer to each event, in their order.",
            "content": {"application/json": {"example": [EXAMPLES["BatchItem"]]}},
        },
        202: {"model": Accepted, "description": "It will be decided."},
    }
    | problem_response(
        409,
        "id_used",
        meaning="The id was used for another event.",
        title="The id was used before",
        detail="The id belongs to an event that said something else. A new event has a new UUID.",
    )
    | problem_response(
        429,
        "too_many_requests",
        meaning="The portal sent too many events.",
        title="Too many requests",
        detail="Come again in 12 seconds, with the same ce-id.",
        headers={"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}},
    ),
    openapi_extra=event_documents.OPERATION,
)
async def take(
    portal: Annotated[Portal, Depends(_within_rate)], database: Database, request: Request, response: Response
) -> Accepted | list[BatchItem]:
    """A CloudEvent in binary, structured or batched mode of the HTTP binding, at most 100 in a batch.

    The event is the same as on the type's topic, without a signature. The outcome is at `outcome_url`, and
    also comes as an event. An event with the same `ce-id` is taken once; the same id with other content is
    refused (409). In a batch, a refused event does not stop the others.
    """
    try:
        batched = is_batch(request.headers.get("content-type", ""))
        body = await request.body()
        now = clock.now()
        if not batched:
            record = record_of(request.headers.raw, body, now)
            accepted = await _take_event(database, portal, record)
            response.headers["Location"] = accepted.outcome_url
            return accepted
        # In a thread, as below: a large batch takes hundreds of milliseconds.
        records = await asyncio.to_thread(records_of_batch, body, now)
    except OtherFormat as error:
        raise Problem(415, "Not this format", f"{error} is not read here, only JSON.") from None
    except Unreadable as error:
        raise _unreadable(portal, error) from None
    except TooMany as error:
        why = f"The batch has {error} events, and {MAX_IN_BATCH} are taken at most."
        raise _rejection(portal, RejectionCode.TOO_LARGE, FieldProblem(pointer="", message=why)) from None
    if len(records) > 1:
        await _count(request, portal, len(records) - 1)  # the request itself has been counted already
    response.status_code = 200
    return await _take_batch(request, database, portal, records)


async def _take_event(database: SharedDatabase, portal: Portal, record: Record) -> Accepted:
    event = await asyncio.to_thread(admit_by_token, record, portal)
    if isinstance(event, Rejected):
        raise _rejection(portal, event.code, *event.problems)
    async with database.transaction() as tx:
        [accepted] = await intake.accept(tx, portal, [event])
    if not accepted:
        raise _used(event.id)
    return Accepted(request_id=event.id, outcome_url=OUTCOME.format(event.id))


async def _take_batch(
    request: Request, database: SharedDatabase, portal: Portal, records: Sequence[Record]
) -> list[BatchItem]:
    outcomes = await asyncio.to_thread(_admitted, records, portal)
    events = [outcome for outcome in outcomes if not isinstance(outcome, Rejected)]
    async with database.transaction() as tx:
        accepted = iter(await intake.accept(tx, portal, events))
    record_refusals(request.url.path, [outcome for outcome in outcomes if isinstance(outcome, Rejected)])
    items = []
    for outcome in outcomes:
        if isinstance(outcome, Rejected):
            items.append(
                _item(request, outcome.request_id, _rejection(portal, outcome.code, *outcome.problems))
            )
        elif next(accepted):
            items.append(BatchItem(ce_id=outcome.id, status=202))
        else:
            items.append(_item(request, outcome.id, _used(outcome.id)))
    return items


def _admitted(records: Sequence[Record], portal: Portal) -> list[Received[Event] | Rejected]:
    return [admit_by_token(record, portal) for record in records]


def _item(request: Request, event_id: UUID | None, problem: Problem) -> BatchItem:
    body = ProblemBody.model_validate(problem.document(request))
    return BatchItem(ce_id=event_id, status=problem.status, problem=body)
