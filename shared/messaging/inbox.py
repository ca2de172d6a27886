"""The inbox: an event that comes twice has its effect once."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TypeVar
from uuid import UUID

from sqlalchemy import text

from shared.database import Transaction, insert_many
from shared.events import Event
from shared.events.cloudevents import Received
from shared.messaging.tables import InboxRow

KEPT = timedelta(days=90)
"""How long a second delivery is recognised; the topics keep records for seven days."""

E = TypeVar("E", bound=Event)


async def first_seen(tx: Transaction, received: Sequence[Received[E]]) -> list[Received[E]]:
    """Return those of ``received`` that have had no effect yet, in the same order, each id once.

    The insert decides: of two processes with the same event, the second waits for the first to commit and
    then gets nothing. Call it in the transaction of the effect.
    """
    if not received:
        return []
    # In one order everywhere: two processes with the same events then never wait for each other in a circle.
    by_id = sorted(received, key=lambda event: event.id.int)
    rows = [{"event_id": event.id, "topic": event.topic} for event in by_id]
    result = await insert_many(
        tx, InboxRow, rows, then="ON CONFLICT (event_id) DO NOTHING RETURNING event_id"
    )
    fresh = set(result.scalars())
    first = []
    for event in received:
        if event.id in fresh:
            fresh.discard(event.id)
            first.append(event)
    return first


async def seen(tx: Transaction, event_ids: Sequence[UUID]) -> set[UUID]:
    """Return those of these events that have had their effect within :data:`KEPT`."""
    return set(await tx.scalars(_SEEN, {"ids": list(event_ids)}))


async def purge(tx: Transaction) -> int:
    """Delete the rows older than :data:`KEPT`. Returns how many."""
    return (await tx.execute(_PURGE, {"kept": KEPT})).rowcount


_SEEN = text("SELECT event_id FROM inbox WHERE event_id = ANY(CAST(:ids AS uuid[]))")
_PURGE = text("DELETE FROM inbox WHERE seen_at < now() - CAST(:kept AS interval)")
