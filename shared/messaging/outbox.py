"""The outbox: an event is stored in the transaction of the change that it reports.

Nothing is published from here; ``relay`` does that after the commit.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text

from shared.database import Transaction, insert_columns, once
from shared.events import Event
from shared.messaging.tables import OutboxRow

BUCKETS = 8
"""Parts of the outbox that can be relayed at once; a key is always in the same one."""

KEPT = timedelta(days=7)
"""How long sent rows stay, to refill a broker that lost its disk."""


@dataclass(frozen=True, slots=True)
class OutboxEvent:
    """An event to publish, and the attributes of its envelope.

    ``source`` is None where the service itself publishes the event; ``event_id`` is None where it gets a new
    one.
    """

    event: Event
    traceparent: str | None = None
    source: str | None = None
    event_id: UUID | None = None


class Outbox:
    """What one service publishes; ``service`` is its name, which becomes ``ce_source``."""

    def __init__(self, service: str) -> None:
        self.source = f"/services/{service}"

    async def publish(self, tx: Transaction, events: Sequence[Event | OutboxEvent]) -> list[UUID]:
        """Store ``events`` to be published in this order per key, if and only if ``tx`` commits.

        Returns their ids.
        """
        if not events:
            return []
        outgoing = [event if isinstance(event, OutboxEvent) else OutboxEvent(event) for event in events]
        keys = [out.event.key for out in outgoing]
        ids = [out.event_id or uuid4() for out in outgoing]
        columns: dict[str, Any] = {
            "bucket": [zlib.crc32(key.encode()) % BUCKETS for key in keys],
            "topic": [out.event.TOPIC.value for out in outgoing],
            "key": keys,
            "event_id": ids,
            "type": [out.event.TYPE for out in outgoing],
            "source": once([out.source or self.source for out in outgoing]),
            "traceparent": once([out.traceparent for out in outgoing]),
            "data": [out.event.model_dump_json() for out in outgoing],
        }
        await insert_columns(tx, OutboxRow, columns)
        return ids


async def replay(tx: Transaction, since: datetime) -> int:
    """Have the relay publish again all events created at or after ``since``. Returns how many.

    They keep their ids, so consumers drop those that they know.
    """
    return (await tx.execute(_REPLAY, {"since": since})).rowcount


async def unsent(tx: Transaction) -> tuple[int, float]:
    """Return how many events wait to be published, and for how many seconds the oldest has waited."""
    count, age = (await tx.execute(_UNSENT)).one()
    return int(count), float(age)


async def purge(tx: Transaction) -> int:
    """Delete the rows that were sent and are older than :data:`KEPT`. Returns how many."""
    return (await tx.execute(_PURGE, {"kept": KEPT})).rowcount


_REPLAY = text("UPDATE outbox SET sent_at = NULL WHERE created_at >= :since AND sent_at IS NOT NULL")
_UNSENT = text(
    "SELECT count(*), coalesce(extract(epoch FROM now() - min(created_at)), 0) FROM outbox "
    "WHERE sent_at IS NULL"
)
_PURGE = text("DELETE FROM outbox WHERE sent_at IS NOT NULL AND created_at < now() - CAST(:kept AS interval)")
