"""The outbox: an event is stored in the transaction of the change that it tells of.

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
from shared.messaging import tables

BUCKETS = 8
"""Parts of the outbox that can be relayed at once; a key is always in the same one."""

KEPT = timedelta(days=7)
"""How long sent rows stay, to refill a broker that lost its disk."""


@dataclass(frozen=True, slots=True)
class Caused:
    """An event to publish and the trace it belongs to.

    ``source`` says who speaks where that is not the service itself, ``event_id`` is given where somebody has
    been told it already.
    """

    event: Event
    traceparent: str | None = None
    source: str | None = None
    event_id: UUID | None = None


class Outbox:
    """What one service publishes; ``service`` is its name, which becomes ``ce_source``."""

    def __init__(self, service: str) -> None:
        self.source = f"/services/{service}"

    async def publish(self, tx: Transaction, events: Sequence[Event | Caused]) -> list[UUID]:
        """Store ``events`` to be published in this order per key, if and only if ``tx`` commits.

        Returns their ids.
        """
        if not events:
            return []
        caused = [one if isinstance(one, Caused) else Caused(one) for one in events]
        keys = [one.event.key for one in caused]
        ids = [one.event_id or uuid4() for one in caused]
        foreign = any(one.source is not None for one in caused)
        columns: dict[str, Any] = {
            "bucket": [zlib.crc32(key.encode()) % BUCKETS for key in keys],
            "topic": [one.event.TOPIC.value for one in caused],
            "key": keys,
            "event_id": ids,
            "type": [one.event.TYPE for one in caused],
            "source": [one.source or self.source for one in caused] if foreign else self.source,
            "traceparent": once([one.traceparent for one in caused]),
            "data": [one.event.model_dump_json() for one in caused],
        }
        await insert_columns(tx, tables.outbox, columns)
        return ids


async def replay(tx: Transaction, since: datetime) -> int:
    """Have everything created at or after ``since`` published again. Returns how many events.

    Their ids stay, so consumers drop what they know.
    """
    result = await tx.execute(
        text("UPDATE outbox SET sent_at = NULL WHERE created_at >= :since AND sent_at IS NOT NULL"),
        {"since": since},
    )
    return result.rowcount


async def unsent(tx: Transaction) -> tuple[int, float]:
    """How many events wait to be published, and for how many seconds the oldest has."""
    result = await tx.execute(
        text(
            "SELECT count(*), coalesce(extract(epoch FROM now() - min(created_at)), 0) "
            "FROM outbox WHERE sent_at IS NULL"
        )
    )
    count, age = result.one()
    return int(count), float(age)


async def purge(tx: Transaction) -> int:
    """Delete what was sent and is older than :data:`KEPT`. Returns how many rows went."""
    result = await tx.execute(
        text("DELETE FROM outbox WHERE sent_at IS NOT NULL AND created_at < now() - CAST(:kept AS interval)"),
        {"kept": KEPT},
    )
    return result.rowcount
