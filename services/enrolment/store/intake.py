"""Requests that portals make by HTTP: each once, however often it is sent, onto the portals' own topic."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote
from uuid import UUID, uuid4

from sqlalchemy import text

from services.enrolment import tables
from shared.database import Transaction, insert_many
from shared.events import Event
from shared.messaging.outbox import Caused, Outbox

KEPT = timedelta(days=30)
"""How long a key is known: a portal that repeats a request after that makes a new one."""

_outbox = Outbox("enrolment")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request by HTTP. ``portal`` is the name of its token, ``digest`` tells it from others of its key."""

    portal: str
    key: str
    digest: bytes
    event: Event
    traceparent: str | None = None


async def accept(tx: Transaction, asked: Asked) -> UUID | None:
    """The id of the request: new, with its event in the outbox, or what it was when it came before.

    None when the key was used for something else. Waits for the same key in another transaction.
    """
    request_id = uuid4()
    inserted = await insert_many(
        tx,
        tables.idempotency_key,
        [
            {
                "portal": asked.portal,
                "key": asked.key,
                "digest": asked.digest,
                "request_id": request_id,
            }
        ],
        then="ON CONFLICT (portal, key) DO NOTHING RETURNING request_id",
    )
    if inserted.one_or_none() is None:
        result = await tx.execute(_KNOWN, {"portal": asked.portal, "key": asked.key})
        known = result.one()
        return known.request_id if known.digest == asked.digest else None
    source = f"/portals/{quote(asked.portal, safe='')}"
    await _outbox.publish(tx, [Caused(asked.event, asked.traceparent, source=source, event_id=request_id)])
    return request_id


async def accepted_at(tx: Transaction, request_id: UUID) -> datetime | None:
    """When a request came by HTTP, or None if none of this id did in the last 30 days."""
    moment: datetime | None = await tx.scalar(
        text("SELECT created_at FROM idempotency_key WHERE request_id = :id"), {"id": request_id}
    )
    return moment


async def forget_keys(tx: Transaction) -> int:
    """Delete the keys older than :data:`KEPT`. Returns how many went."""
    result = await tx.execute(
        text("DELETE FROM idempotency_key WHERE created_at < now() - CAST(:kept AS interval)"), {"kept": KEPT}
    )
    return result.rowcount


_KNOWN = text("SELECT digest, request_id FROM idempotency_key WHERE portal = :portal AND key = :key")
