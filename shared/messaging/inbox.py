"""The inbox: an event that comes twice has its effect once."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TypeVar
from uuid import UUID

from sqlalchemy import text

from shared.database import Transaction, insert_many
from shared.events import Event
from shared.events.cloudevents import Received
from shared.messaging import tables

KEPT = timedelta(days=90)
"""How long a second delivery is recognised; the topics keep records for seven days."""

E = TypeVar("E", bound=Event)


async def first_seen(tx: Transaction, received: Sequence[Received[E]]) -> list[Received[E]]:
    """Those of ``received`` that have had no effect yet, in the same order, each id once.

    The insert decides: of two processes with the same event, the second waits for the first to commit and
    then gets nothing. Must be in the transaction of the effect.
    """
    if not received:
        return []
    # In one order everywhere: two processes with the same events then never wait for each other in a circle.
    rows = [{"event_id": one.id, "topic": one.topic} for one in sorted(received, key=lambda one: one.id.int)]
    result = await insert_many(
        tx, tables.inbox, rows, then="ON CONFLICT (event_id) DO NOTHING RETURNING event_id"
    )
    fresh = set(result.scalars())
    first = []
    for one in received:
        if one.id in fresh:
            fresh.discard(one.id)
            first.append(one)
    return first


async def seen(tx: Transaction, event_ids: Sequence[UUID]) -> set[UUID]:
    """Those of these events that have had their effect within :data:`KEPT`."""
    result = await tx.execute(
        text("SELECT event_id FROM inbox WHERE event_id = ANY(CAST(:ids AS uuid[]))"),
        {"ids": list(event_ids)},
    )
    return set(result.scalars())


async def purge(tx: Transaction) -> int:
    """Forget what is older than :data:`KEPT`. Returns how many rows went."""
    result = await tx.execute(
        text("DELETE FROM inbox WHERE seen_at < now() - CAST(:kept AS interval)"), {"kept": KEPT}
    )
    return result.rowcount
