"""Requests that portals make by HTTP: each once, however often it is sent, onto the portals' own topic."""

from uuid import UUID, uuid4

from services.enrolment.store import idempotency_keys
from services.enrolment.store.outbox import OUTBOX
from shared.database import Transaction
from shared.events import Event
from shared.messaging.outbox import OutboxEvent
from shared.messaging.portals.registry import Portal


async def accept(
    tx: Transaction, portal: Portal, key: str, *, digest: bytes, event: Event, traceparent: str | None
) -> UUID | None:
    """Accept a request and return its id, or that of the first time when it is sent again.

    ``digest`` tells one request from another of the same key. Returns None when the key was used for another
    request.
    """
    request_id = uuid4()
    earlier = await idempotency_keys.claim(tx, portal.portal, key, digest, request_id)
    if earlier is not None:
        return earlier.request_id if earlier.digest == digest else None
    await OUTBOX.publish(tx, [OutboxEvent(event, traceparent, source=portal.source, event_id=request_id)])
    return request_id


async def delete_old_keys(tx: Transaction) -> None:
    """Delete the idempotency keys that are older than 30 days."""
    await idempotency_keys.delete_old(tx)
