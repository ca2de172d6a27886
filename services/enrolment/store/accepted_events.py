from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlmodel import col, func, select

from services.enrolment.tables import AcceptedEventRow
from shared.database import Transaction
from shared.messaging.portals.registry import SOURCES
from shared.statements import insert_many

KEPT = timedelta(days=30)


async def claim(tx: Transaction, portal: str, digests: Sequence[tuple[UUID, bytes]]) -> list[bool]:
    """Store the ids of a portal's events with the digests of their content.

    Returns which events are new. Waits for the same id in another transaction.
    """
    # Sort the rows: otherwise two batches with the same events would deadlock.
    rows = [
        {"event_id": event_id, "portal": portal, "digest": digest}
        for event_id, digest in sorted(digests, key=lambda event: event[0])
    ]
    inserted = await insert_many(
        tx, AcceptedEventRow, rows, then="ON CONFLICT (event_id, portal) DO NOTHING RETURNING event_id"
    )
    new = set(inserted.scalars())
    claimed = []
    for event_id, _ in digests:
        claimed.append(event_id in new)
        new.discard(event_id)  # an id that the batch repeats is not new
    return claimed


async def digests_of(tx: Transaction, portal: str, event_ids: Sequence[UUID]) -> dict[UUID, bytes]:
    known = select(AcceptedEventRow).where(
        col(AcceptedEventRow.event_id).in_(event_ids), col(AcceptedEventRow.portal) == portal
    )
    return {row.event_id: row.digest for row in await tx.scalars(known)}


async def accepted_at(tx: Transaction, event_id: UUID, source: str | None) -> datetime | None:
    """Return None if no such event came by HTTP. ``source`` None means any portal."""
    moments = select(func.min(AcceptedEventRow.accepted_at)).where(col(AcceptedEventRow.event_id) == event_id)
    if source is not None:
        moments = moments.where(col(AcceptedEventRow.portal) == source.removeprefix(SOURCES))
    return await tx.scalar(moments)
