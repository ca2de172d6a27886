"""What other services say of portals' requests: passed on to the portal that sent each, as they said it."""

from collections.abc import Sequence

from services.enrolment.store.outbox import OUTBOX
from shared.database import Transaction
from shared.events.catalogue import BespokeRequestAnswered
from shared.events.cloudevents import Received
from shared.events.outcomes import RequestAccepted, RequestRejected
from shared.messaging.outbox import OutboxEvent

Outcome = RequestRejected | RequestAccepted | BespokeRequestAnswered


async def pass_on(tx: Transaction, received: Sequence[Received[Outcome]]) -> None:
    """Publish them to their portals, under the ids and sources that they have."""
    await OUTBOX.publish(
        tx,
        [
            OutboxEvent(said.event, said.traceparent, source=said.source, event_id=said.id)
            for said in received
        ],
    )
