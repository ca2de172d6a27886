"""The catalogue hears from enrolment how full each session is; only the newest version counts."""

from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from services.catalogue.handlers import router
from services.catalogue.service import occupancy as occupancy_service
from shared.database import Database
from shared.events.enrolment import SessionOccupancyChanged
from tests.conftest import Ask
from tests.integration.catalogue.conftest import MOOC, listed, shown
from tests.support.consuming import received, take


def occupancy(version: int, enrolled: int = 0, session: UUID = MOOC) -> SessionOccupancyChanged:
    return SessionOccupancyChanged(
        session_id=session, version=version, capacity=None, enrolled=enrolled, waiting=0, offered=0
    )


async def hear(database: Database, *events: SessionOccupancyChanged) -> None:
    await take(router, database, [received(event) for event in events])


@pytest.mark.usefixtures("offer")
async def test_a_session_shows_how_full_it_is_once_enrolment_has_said_it(
    ask: Ask, database: Database
) -> None:
    assert (await shown(ask, f"/sessions/{MOOC}"))["occupancy"] is None
    await hear(database, occupancy(1, enrolled=10))
    expected = {"capacity": None, "enrolled": 10, "waiting": 0, "offered": 0, "version": 1}
    for session in (await shown(ask, f"/sessions/{MOOC}"), *await listed(ask, format="mooc")):
        assert session["occupancy"] == expected


@pytest.mark.parametrize(
    ("batches", "newest"),
    [([[5], [4]], 5), ([[5], [4], [6]], 6), ([[2, 3, 1]], 3)],
    ids=["older dropped", "newer taken", "any order in a batch"],
)
async def test_the_newest_version_counts_whatever_the_order(
    database: Database, batches: list[list[int]], newest: int
) -> None:
    for versions in batches:
        await hear(database, *(occupancy(version) for version in versions))
    assert [row[1] for row in await known(database)] == [newest]


async def test_the_store_alone_drops_an_old_version(database: Database) -> None:
    """The inbox knows an event by its id; after a replay from the beginning only the version helps."""
    async with database.transaction() as tx:
        for version in (2, 1):
            await occupancy_service.record(tx, [occupancy(version)])
    assert [row[1] for row in await known(database)] == [2]


async def test_how_full_sessions_are_is_rebuilt_from_the_last_event_of_each(database: Database) -> None:
    """What a compacted topic still has: a projection deleted with its inbox comes back equal."""
    ids = [uuid4() for _ in range(5)]
    events = [
        occupancy(version, 10 * version + n, session_id)
        for version in (1, 2, 3)
        for n, session_id in enumerate(ids)
    ]
    await hear(database, *events)
    before = await known(database)
    async with database.transaction() as tx:
        await tx.execute(text("DELETE FROM occupancy"))
        await tx.execute(text("DELETE FROM inbox"))
    await hear(database, *events[-5:])
    assert await known(database) == before
    assert len(before) == 5


async def known(database: Database) -> list[tuple[object, ...]]:
    query = text("SELECT session_id, version, capacity, enrolled, waiting, offered FROM occupancy ORDER BY 1")
    async with database.quiet_transaction() as tx:
        return [tuple(row) for row in await tx.execute(query)]
