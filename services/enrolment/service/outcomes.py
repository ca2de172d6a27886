from collections.abc import Sequence

from services.enrolment.store import request_outcomes
from services.enrolment.store.outbox import OUTBOX
from services.enrolment.store.request_outcomes import ServiceOutcome
from shared.database import Transaction
from shared.events.cloudevents import Received
from shared.messaging.outbox import OutboxEvent


async def pass_on(tx: Transaction, received: Sequence[Received[ServiceOutcome]]) -> None:
    """Publish the answers unchanged, under their own ids and sources, and store them."""
    await request_outcomes.save(tx, received)
    await OUTBOX.publish(
        tx,
        [
            OutboxEvent(record.event, record.traceparent, source=record.source, event_id=record.id)
            for record in received
        ],
    )
