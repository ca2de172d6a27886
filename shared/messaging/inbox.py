"""An event that is delivered twice has its effect once.

Two sources may use the same id, so source and id together identify an event.
"""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import TypeVar
from uuid import UUID

from sqlalchemy import text
from sqlmodel import col, select

from shared.database import Transaction
from shared.events.cloudevents import Received
from shared.events.vocabulary import Event
from shared.messaging.tables import InboxRow
from shared.statements import insert_columns, once

KEPT = timedelta(days=90)
"""A second delivery is recognised this long; the topics keep records for seven days."""

E = TypeVar("E", bound=Event)


async def first_seen(tx: Transaction, received: Sequence[Received[E]]) -> list[Received[E]]:
    """Return the events that have had no effect yet, in the same order, each once.

    The insert decides. If two processes have the same event, the second waits for the first to commit and
    gets nothing. Call it in the transaction of the effect.
    """
    if not received:
        return []
    # All processes use the same order: otherwise two with the same events would deadlock.
    by_id = sorted(received, key=lambda event: (event.id.int, event.source))
    result = await insert_columns(
        tx,
        InboxRow,
        {
            "event_id": [event.id for event in by_id],
            "source": [event.source for event in by_id],
            "topic": once([event.topic for event in by_id]),
        },
        then="ON CONFLICT (event_id, source) DO NOTHING RETURNING source, event_id",
    )
    fresh = {(source, event_id) for source, event_id in result}
    first = []
    for event in received:
        if event.identity in fresh:
            fresh.discard(event.identity)
            first.append(event)
    return first


async def seen(tx: Transaction, events: Sequence[tuple[str, UUID]]) -> set[tuple[str, UUID]]:
    """Return the events, by source and id, that had their effect within :data:`KEPT`."""
    columns = {"sources": [source for source, _ in events], "ids": [event_id for _, event_id in events]}
    return {(row.source, row.event_id) for row in await tx.execute(_SEEN, columns)}


async def rows_of(tx: Transaction, event_ids: Collection[UUID]) -> list[InboxRow]:
    """Return the inbox rows with these ids, from any source, in the order of time."""
    found = select(InboxRow).where(col(InboxRow.event_id).in_(event_ids))
    in_time = found.order_by(col(InboxRow.seen_at), col(InboxRow.event_id), col(InboxRow.source))
    return list(await tx.scalars(in_time))


_SEEN = text(
    "SELECT source, event_id FROM inbox "
    "JOIN unnest(CAST(:sources AS varchar[]), CAST(:ids AS uuid[])) AS event (source, event_id) "
    "USING (source, event_id)"
)
