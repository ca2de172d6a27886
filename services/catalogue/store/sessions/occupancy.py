"""How full sessions are, as the enrolment service says."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select

from services.catalogue import tables
from shared.database import Transaction, insert_many
from shared.events.enrolment import SessionOccupancyChanged
from shared.events.topics import Topic
from shared.messaging.projections import Compared, Words


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


async def compare_occupancy(tx: Transaction, words: Words) -> list[Compared]:
    """How full each session is, by the last word on it and by what is kept."""
    said = {
        str(one.event.session_id): one.event.model_dump(include=_OCCUPANCY_FIELDS)
        for one in words[Topic.ENROLMENT_OCCUPANCY]
    }
    rows = await tx.execute(select(*(tables.occupancy.c[name] for name in sorted(_OCCUPANCY_FIELDS))))
    kept = {str(row.session_id): row._asdict() for row in rows}
    return [Compared("occupancy", said, kept)]


_OCCUPANCY_FIELDS = {"session_id", "version", "capacity", "enrolled", "waiting", "offered"}
_NEWER_OCCUPANCY = (
    "ON CONFLICT (session_id) DO UPDATE SET version = excluded.version, capacity = excluded.capacity, "
    "enrolled = excluded.enrolled, waiting = excluded.waiting, offered = excluded.offered "
    "WHERE occupancy.version < excluded.version"
)
