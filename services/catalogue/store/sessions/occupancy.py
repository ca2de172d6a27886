"""How full sessions are, as the enrolment service says."""

from collections.abc import Sequence
from uuid import UUID

from services.catalogue import tables
from shared.database import Transaction, insert_many
from shared.events.enrolment import SessionOccupancyChanged


async def record_occupancy(tx: Transaction, said: Sequence[SessionOccupancyChanged]) -> None:
    """Keep the newest word on each session: a version that is not newer than the known one is dropped."""
    newest: dict[UUID, SessionOccupancyChanged] = {}
    for one in said:
        known = newest.get(one.session_id)
        if known is None or one.version > known.version:
            newest[one.session_id] = one
    # In the order of ids, so that two consumers never wait for each other.
    rows = [newest[session_id].model_dump(include=_OCCUPANCY_FIELDS) for session_id in sorted(newest)]
    await insert_many(tx, tables.occupancy, rows, then=_NEWER_OCCUPANCY)


_OCCUPANCY_FIELDS = {"session_id", "version", "capacity", "enrolled", "waiting", "offered"}
_NEWER_OCCUPANCY = (
    "ON CONFLICT (session_id) DO UPDATE SET version = excluded.version, capacity = excluded.capacity, "
    "enrolled = excluded.enrolled, waiting = excluded.waiting, offered = excluded.offered "
    "WHERE occupancy.version < excluded.version"
)
