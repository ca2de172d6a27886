"""The catalogue knows agents only from records that it rejected; it forgets them too."""

import dataclasses
from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy import text

from services.catalogue.app import READS, eraser
from services.catalogue.handlers import router
from services.catalogue.tables import metadata
from shared import clock
from shared.database import Database, Transaction
from shared.events.catalogue import BespokeRequestClosed
from shared.events.erasure import AgentErased
from shared.events.portal import AgentErasureRequested, TraineesNominated
from shared.events.vocabulary import Contact
from shared.messaging import dead_letters, erasure, progress
from shared.messaging.dead_letters import Parked
from shared.messaging.erasure import Erasure
from shared.messaging.portals.registry import PortalsFile
from tests.conftest import Ask
from tests.integration.catalogue.test_bespoke import ADVISOR, OFFICER, a_bespoke_request, hear, reply
from tests.support.builders import an_agent
from tests.support.consuming import a_record, received, take
from tests.support.searching import MARK, columns_with


async def test_nothing_is_left_of_an_agent_once_all_nominations_are_read(
    database: Database, portals: PortalsFile
) -> None:
    nomination = TraineesNominated(
        siret="21350238800019",
        session_id=uuid4(),
        agents=(an_agent(MARK, given_name=MARK, issuer="iel"), an_agent("B-1", issuer="iel")),
        nominated_by=Contact(name="Ada Durand", email="ada@exemple.fr"),
    )
    async with database.transaction() as tx:
        await dead_letters.park(tx, [Parked(a_record(nomination), None, "no reason", MARK)])
    requested = AgentErasureRequested(agent_id=MARK, requested_at=clock.now())
    await take(router, database, [received(requested, issuer="iel")])
    erasing = eraser(database, portals)
    await erasing.run()
    assert await columns_with(database, metadata) != set()

    await all_is_read(database)
    await erasing.run()

    assert await columns_with(database, metadata) == set()
    async with database.quiet_transaction() as tx:
        assert list(await tx.scalars(text("SELECT type FROM outbox"))) == [AgentErased.TYPE]


async def ask_to_forget(database: Database, source: str, number: int) -> None:
    asked = AgentErasureRequested(agent_id="nobody", requested_at=clock.now())
    requests = [received(asked, issuer="iel") for _ in range(number)]
    await take(router, database, [dataclasses.replace(request, source=source) for request in requests])


async def done(database: Database) -> dict[str, int]:
    """Return how many requests of each source are done."""
    async with database.quiet_transaction() as tx:
        rows = await tx.execute(text("SELECT request_source, count(done_at) FROM erasure GROUP BY 1"))
        return {row[0]: row[1] for row in rows}


async def all_is_read(database: Database) -> None:
    async with database.transaction() as tx:
        for topic in READS:
            await progress.save(tx, topic, {0: clock.now() + timedelta(seconds=1)})


async def test_portals_take_turns_with_their_requests_and_none_waits_for_the_many_of_another(
    database: Database, portals: PortalsFile
) -> None:
    many = 2 * erasure.REQUESTS_AT_ONCE
    await ask_to_forget(database, "/portals/iel", many)
    await ask_to_forget(database, "/portals/ouest", 1)
    await all_is_read(database)
    erasing = eraser(database, portals)

    assert await erasing.run() == 0
    assert await done(database) == {"/portals/iel": erasure.REQUESTS_AT_ONCE, "/portals/ouest": 1}
    await ask_to_forget(database, "/portals/ouest", 1)
    await all_is_read(database)
    assert await erasing.run() == 0
    assert await done(database) == {"/portals/iel": many, "/portals/ouest": 2}
    assert await erasing.run() is None


async def test_requests_that_wait_hold_up_no_later_ones_of_their_portal_and_come_again(
    database: Database, portals: PortalsFile
) -> None:
    await ask_to_forget(database, "/portals/iel", erasure.REQUESTS_AT_ONCE + 1)
    await all_is_read(database)
    tried = []

    async def not_yet(_tx: Transaction, asked: Erasure) -> None:
        tried.append(asked.request_id)

    waiting = dataclasses.replace(eraser(database, portals), ready=not_yet)
    assert [await waiting.run() for _ in range(3)] == [0, None, 0]
    assert len(set(tried)) == erasure.REQUESTS_AT_ONCE + 1
    assert tried[: erasure.REQUESTS_AT_ONCE] == tried[erasure.REQUESTS_AT_ONCE + 1 :]


async def test_an_officer_is_forgotten_with_the_request_and_an_advisor_without(
    ask: Ask, database: Database, portals: PortalsFile
) -> None:
    async def persons() -> list[tuple[str | None, ...]]:
        query = "SELECT requester_email, message, advisor_email FROM bespoke_request ORDER BY answered_at"
        async with database.transaction() as tx:
            await tx.execute(text("UPDATE outbox SET sent_at = now()"))
            return [tuple(row) for row in await tx.execute(text(query))]

    await reply(ask, await hear(database, a_bespoke_request()), "declined")
    await hear(database, a_bespoke_request())
    async with database.transaction() as tx:  # handed over, and not answered yet
        await tx.execute(text(f"UPDATE bespoke_request SET advisor_email = '{ADVISOR['email']}'"))
    asked = (OFFICER["email"], "Plutôt au printemps.")
    assert await persons() == [(*asked, ADVISOR["email"])] * 2
    for address, rest in ((ADVISOR["email"], (*asked, None)), (OFFICER["email"].upper(), (None, None, None))):
        assert await eraser(database, portals).forget(address, uuid4())
        assert await persons() == [rest] * 2


async def test_the_open_requests_of_a_forgotten_officer_are_closed_once(
    a_bespoke_offer: str, ask: Ask, database: Database, portals: PortalsFile
) -> None:
    async def closed(address: str) -> list[UUID]:
        async with database.transaction() as tx:
            await tx.execute(text("UPDATE outbox SET sent_at = now()"))
        assert await eraser(database, portals).forget(address, uuid4())
        query = text("SELECT data FROM outbox WHERE type = :type ORDER BY id")
        async with database.quiet_transaction() as tx:
            events = await tx.scalars(query, {"type": BespokeRequestClosed.TYPE})
            return [BespokeRequestClosed.model_validate_json(event).request_id for event in events]

    answered = await hear(database, a_bespoke_request())
    await reply(ask, answered, "declined")
    waiting = await hear(database, a_bespoke_request())
    await reply(ask, waiting, "qualified")
    assert await closed(ADVISOR["email"]) == []
    assert await closed(OFFICER["email"].upper()) == [waiting]
    assert await closed(OFFICER["email"]) == [waiting], "not once more"


async def test_an_advisor_reads_of_the_request_that_they_answered_and_nothing_of_its_officer(
    a_bespoke_offer: str, ask: Ask, database: Database, portals: PortalsFile
) -> None:
    await reply(ask, await hear(database, a_bespoke_request()), "declined")
    async with database.transaction() as tx:
        kept = await eraser(database, portals).export(tx, ADVISOR["email"])
    [request] = kept["bespoke_request"]
    assert request["advisor_name"] == ADVISOR["name"]
    assert request.keys().isdisjoint({"requester_name", "requester_email", "message", "messages"})
    assert OFFICER["email"] not in str(kept)
