from collections import Counter as Count
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from prometheus_client import Counter
from sqlalchemy import text

from services.enrolment.rules.outcomes import PortalOutcome
from services.enrolment.rules.requests import Request
from shared.database import Statement, Transaction
from shared.events.enrolment import (
    Decision,
    EnrolmentPending,
    EnrolmentRefused,
    EnrolmentWithdrawn,
    SeatNotObtained,
    SeatOfferLapsed,
    SessionOccupancyChanged,
)
from shared.events.topics import Topic
from shared.events.vocabulary import Event
from shared.messaging.outbox import Outbox, OutboxEvent

OUTBOX = Outbox("enrolment")


DECISIONS = Counter(
    "parcours_decisions_total",
    "Decisions about enrolments, and why where there is a reason.",
    ["decision", "reason"],
)

DecisionOrOutcome = tuple[Decision | PortalOutcome, Request | None]
"""The request is None for an event caused by the clock."""


def insertions(
    tx: Transaction, answers: Sequence[DecisionOrOutcome], others: Sequence[Event] = ()
) -> list[Statement]:
    """Return the statement that publishes the events, if there are any. Count the decisions."""
    if not answers and not others:
        return []
    decided = Count(_labels(event) for event, _ in answers if isinstance(event, Decision))
    for labels, number in decided.items():
        tx.count(DECISIONS.labels(*labels), number)
    _, statement = OUTBOX.insertion(tx, [*(answer_event(*answer) for answer in answers), *others])
    return [statement]


def _labels(decision: Decision) -> tuple[str, str]:
    match decision:
        case EnrolmentRefused(reason=why) | SeatNotObtained(reason=why):
            reason: str = why
        case SeatOfferLapsed(cause=why) | EnrolmentWithdrawn(by=why) | EnrolmentPending(awaiting=why):
            reason = why
        case _:
            reason = ""
    return type(decision).__name__, reason


def answer_event(event: Decision | PortalOutcome, request: Request | None) -> OutboxEvent:
    if request is None:
        return OutboxEvent(event)
    return OutboxEvent(
        event, request.traceparent, misrouted=request.misrouted and event.request_id == request.request_id
    )


@dataclass(frozen=True, slots=True)
class EventOfEnrolment:
    """``sent_at`` is None until the broker has the event."""

    event_id: UUID
    type: str
    version: int
    sent_at: datetime | None


async def events_of(
    tx: Transaction, agent_ids: Collection[str], enrolment_ids: Collection[UUID]
) -> dict[UUID, list[EventOfEnrolment]]:
    events: dict[UUID, list[EventOfEnrolment]] = {enrolment_id: [] for enrolment_id in enrolment_ids}
    if events:
        ids = [str(enrolment_id) for enrolment_id in events]
        for row in await tx.execute(_EVENTS, {"agents": list(agent_ids), "ids": ids}):
            event = EventOfEnrolment(row.event_id, row.type, row.version, row.sent_at)
            events[row.enrolment_id].append(event)
    return events


async def unsent_occupancies(tx: Transaction) -> dict[UUID, SessionOccupancyChanged]:
    rows = await tx.execute(_UNSENT, {"topic": Topic.ENROLMENT_OCCUPANCY.value})
    occupancies = (SessionOccupancyChanged.model_validate_json(row.data) for row in rows)
    return {occupancy.session_id: occupancy for occupancy in occupancies}


_EVENTS = text(
    "SELECT event_id, type, sent_at, CAST(CAST(data AS jsonb)->>'version' AS integer) AS version, "
    "CAST(CAST(data AS jsonb)->>'enrolment_id' AS uuid) AS enrolment_id FROM outbox "
    "WHERE key = ANY(CAST(:agents AS varchar[])) AND portal IS NULL "
    "AND CAST(data AS jsonb)->>'enrolment_id' = ANY(CAST(:ids AS text[])) ORDER BY id"
)
# The condition on ``held`` makes Postgres use the two indexes of unsent rows.
_UNSENT = text(
    "SELECT data FROM outbox WHERE sent_at IS NULL AND topic = :topic "
    "AND (held IS NULL OR held IN ('refused', 'waiting')) ORDER BY id"
)
