import json
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlmodel import col, select

from services.enrolment.tables import RequestOutcomeRow
from shared.database import Transaction
from shared.events.catalogue import BespokeRequestAnswered
from shared.events.cloudevents import Received
from shared.events.outcomes import RequestAccepted, RequestRejected
from shared.statements import insert_many

ServiceOutcome = RequestRejected | RequestAccepted | BespokeRequestAnswered

KEPT = timedelta(days=30)
"""As long as a portal's feed keeps its answers, and the rejecting service keeps the evidence."""


async def save(tx: Transaction, received: Sequence[Received[ServiceOutcome]]) -> None:
    rows = [
        {
            "event_id": outcome.id,
            "request_id": outcome.event.request_id,
            "request_source": outcome.event.request_source,
            "at": outcome.received_at,
            "state": _state_of(outcome.event),
            "code": outcome.event.code.value if isinstance(outcome.event, RequestRejected) else None,
            "problems": json.dumps([problem.model_dump() for problem in outcome.event.problems])
            if isinstance(outcome.event, RequestRejected)
            else None,
        }
        for outcome in received
        if outcome.event.request_id is not None and outcome.event.request_source
    ]
    if rows:
        await insert_many(tx, RequestOutcomeRow, rows, then="ON CONFLICT DO NOTHING")


def _state_of(outcome: ServiceOutcome) -> str:
    match outcome:
        case RequestRejected():
            return "rejected"
        case RequestAccepted():
            return "accepted"
        case BespokeRequestAnswered():
            return outcome.answer.value


async def of_request(tx: Transaction, request_id: UUID, source: str | None) -> Sequence[RequestOutcomeRow]:
    """``source`` None means any portal."""
    found = select(RequestOutcomeRow).where(col(RequestOutcomeRow.request_id) == request_id)
    if source is not None:
        found = found.where(col(RequestOutcomeRow.request_source) == source)
    return (
        await tx.scalars(found.order_by(col(RequestOutcomeRow.at), col(RequestOutcomeRow.event_id)))
    ).all()
