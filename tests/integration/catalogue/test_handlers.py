"""What the catalogue hears: occupancy by version."""

from uuid import UUID, uuid4

from sqlalchemy import text

from services.catalogue.handlers import router
from services.catalogue.service import occupancy as occupancy_service
from shared.database import Database
from shared.events import Event
from shared.events.enrolment import SessionOccupancyChanged
from tests.conftest import Ask
from tests.integration.catalogue.conftest import MOOC
from tests.support.consuming import received, take


def occupancy(version: int, enrolled: int, session: UUID = MOOC) -> SessionOccupancyChanged:
    return SessionOccupancyChanged(
        session_id=session, version=version, capacity=None, enrolled=enrolled, waiting=0, offered=0
    )


async def hear(database: Database, *events: Event) -> None:
    await take(router, database, [received(event) for event in events])


async def shown(ask: Ask) -> int | None:
    known = (await ask("GET", f"/sessions/{MOOC}")).json()["occupancy"]
    return None if known is None else int(known["enrolled"])


async def test_nothing_is_known_before_enrolment_has_spoken(offer: object, ask: Ask) -> None:
    assert await shown(ask) is None


async def test_a_session_shows_how_full_it_is(offer: object, ask: Ask, database: Database) -> None:
    await hear(database, occupancy(1, enrolled=10))
    assert (await ask("GET", f"/sessions/{MOOC}")).json()["occupancy"] == {
        "capacity": None,
        "enrolled": 10,
        "waiting": 0,
        "offered": 0,
        "version": 1,
    }
    (listed,) = (await ask("GET", "/sessions", format="mooc")).json()["items"]
    assert listed["occupancy"]["enrolled"] == 10


async def test_older_news_than_what_is_known_is_dropped(offer: object, ask: Ask, database: Database) -> None:
    await hear(database, occupancy(5, enrolled=50))
    await hear(database, occupancy(4, enrolled=40))
    assert await shown(ask) == 50
    await hear(database, occupancy(6, enrolled=49))
    assert await shown(ask) == 49


async def test_the_newest_of_a_batch_counts_whatever_their_order(
    offer: object, ask: Ask, database: Database
) -> None:
    await hear(database, occupancy(2, enrolled=2), occupancy(3, enrolled=3), occupancy(1, enrolled=1))
    assert await shown(ask) == 3


async def test_occupancy_of_a_session_that_is_not_here_is_kept(database: Database) -> None:
    await hear(database, occupancy(1, enrolled=1, session=uuid4()))
    async with database.quiet_transaction() as tx:
        assert await tx.scalar(text("SELECT count(*) FROM occupancy")) == 1


async def test_how_full_sessions_are_is_rebuilt_from_the_last_word_on_each(database: Database) -> None:
    """What a compacted topic still has: a projection deleted with its inbox comes back equal."""
    ids = [uuid4() for _ in range(5)]
    events = [
        occupancy(version, 10 * version + n, session_id)
        for version in (1, 2, 3)
        for n, session_id in enumerate(ids)
    ]
    await hear(database, *events)
    known = text("SELECT session_id, version, capacity, enrolled, waiting, offered FROM occupancy ORDER BY 1")
    async with database.transaction() as tx:
        before = (await tx.execute(known)).all()
        await tx.execute(text("DELETE FROM occupancy"))
        await tx.execute(text("DELETE FROM inbox"))
    await hear(database, *events[-5:])
    async with database.quiet_transaction() as tx:
        assert (await tx.execute(known)).all() == before
    assert len(before) == 5


async def test_the_store_alone_drops_what_is_old(offer: object, ask: Ask, database: Database) -> None:
    """The inbox knows an event by its id; after a replay from the beginning only the version helps."""
    async with database.transaction() as tx:
        await occupancy_service.record(tx, [occupancy(2, enrolled=2)])
        await occupancy_service.record(tx, [occupancy(1, enrolled=1)])
    assert await shown(ask) == 2
