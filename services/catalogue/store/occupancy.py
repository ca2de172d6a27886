from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select

from services.catalogue.tables import OccupancyRow
from shared.database import Transaction
from shared.events.enrolment import SessionOccupancyChanged
from shared.statements import insert_many

FIELDS = {"session_id", "version", "capacity", "enrolled", "waiting", "offered"}
_REPLACE_IF_NEWER = (
    "ON CONFLICT (session_id) DO UPDATE SET version = excluded.version, capacity = excluded.capacity, "
    "enrolled = excluded.enrolled, waiting = excluded.waiting, offered = excluded.offered "
    "WHERE occupancy.version < excluded.version"
)


async def save(tx: Transaction, events: Sequence[SessionOccupancyChanged]) -> None:
    """An event that is not newer than the stored one is dropped."""
    newest: dict[UUID, SessionOccupancyChanged] = {}
    for event in events:
        known = newest.get(event.session_id)
        if known is None or event.version > known.version:
            newest[event.session_id] = event
    # In the order of ids, so that two consumers cannot deadlock.
    rows = [newest[session_id].model_dump(include=FIELDS) for session_id in sorted(newest)]
    await insert_many(tx, OccupancyRow, rows, then=_REPLACE_IF_NEWER)


async def all_rows(tx: Transaction) -> list[OccupancyRow]:
    return list(await tx.scalars(select(OccupancyRow)))
