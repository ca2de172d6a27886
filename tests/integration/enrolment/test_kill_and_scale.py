"""What must hold when several processes share the work, and when one is stopped in the middle of it."""

import asyncio
import itertools
import signal
from collections import Counter
from collections.abc import Awaitable, Callable

from sqlalchemy import text

from local.kafka import KafkaBroker
from shared.database import Database
from tests.conftest import Eventually, RunService
from tests.integration.enrolment.conftest import SelectRows
from tests.integration.enrolment.records import agents_of, announce, decisions_about, requests_for
from tests.support.builders import open_now
from tests.support.kafka import KafkaPortal
from tests.support.locks import locks_awaited


async def test_of_many_requests_to_two_processes_the_first_have_the_seats_and_none_is_sold_twice(
    kafka: KafkaBroker, enrolment_url: str, run_service: RunService, rows: SelectRows
) -> None:
    """A portal that forgets the key spreads one session over all partitions, hence over all processes."""
    session, spread = open_now(capacity=100), open_now(capacity=50)
    without_key = [(None, head, value) for _, head, value in requests_for(spread, 400)]
    async with KafkaPortal(kafka.bootstrap_servers) as portal:
        await announce(portal, session, spread)
        for _ in range(2):
            run_service("enrolment", enrolment_url, kafka.bootstrap_servers)
        await portal.send("portal.enrolments", [*requests_for(session, 600), *without_key])
        found = await decisions_about(kafka, [session, spread], 1_000, seconds=90)

    in_order = [decision for decision in found if decision.data["session_id"] == str(session.session_id)]
    assert {each.key for each in in_order if each.type == "AgentEnrolled"} == {*agents_of(session, 0, 100)}
    positions = {each.key: each.data["position"] for each in in_order if each.type == "AgentWaitlisted"}
    assert sorted(positions, key=lambda agent: positions[agent]) == agents_of(session, 100, 600)
    assert Counter(decision.type for decision in found) == {"AgentEnrolled": 150, "AgentWaitlisted": 850}
    assert len({decision.data["enrolment_id"] for decision in found}) == 1_000
    # By time of receipt, whichever process read it: an earlier request that is read later goes before others.
    in_line = await rows(
        "SELECT received_at FROM enrolment WHERE state = 'waitlisted' AND session_id = :id ORDER BY ticket",
        id=spread.session_id,
    )
    assert [row.received_at for row in in_line] == sorted(row.received_at for row in in_line)


def requests_are(database: Database, number: int) -> Callable[[], Awaitable[bool]]:
    async def are_decided() -> bool:
        async with database.quiet_transaction() as tx:
            return bool(await tx.scalar(text("SELECT count(*) = :number FROM request"), {"number": number}))

    return are_decided


async def test_stopping_and_killing_the_service_in_the_middle_loses_and_doubles_nothing(
    kafka: KafkaBroker,
    enrolment_url: str,
    run_service: RunService,
    eventually: Eventually,
    database: Database,
) -> None:
    sessions = [open_now(capacity=20) for _ in range(6)]
    per_session = [requests_for(session, 100) for session in sessions]
    records = list(itertools.chain.from_iterable(zip(*per_session, strict=True)))
    # A replica with a name of its own comes back to its partitions; another waits 10 s.
    replica = {"KAFKA_GROUP_INSTANCE_ID": "enrolment-1"}
    async with KafkaPortal(kafka.bootstrap_servers) as portal:
        await announce(portal, *sessions)
        service = run_service("enrolment", enrolment_url, kafka.bootstrap_servers, **replica)
        for first, how in ((0, signal.SIGKILL), (300, signal.SIGTERM)):
            await portal.send("portal.enrolments", records[first : first + 150])
            await eventually(requests_are(database, first + 150), "the first half is decided")
            async with database.transaction() as tx:
                await tx.execute(text("SELECT 1 FROM session FOR UPDATE"))
                await portal.send("portal.enrolments", records[first + 150 : first + 300])
                await locks_awaited(database)  # the service cannot decide the other half
                service.process.send(how)
            code = await asyncio.to_thread(service.process.wait, 20)
            assert code == (0 if how is signal.SIGTERM else -signal.SIGKILL)
            service.start()
        found = await decisions_about(kafka, sessions, 600)

    distinct = {decision.id: decision for decision in found}.values()
    assert len({decision.data["request_id"] for decision in distinct}) == len(distinct) == 600
    seated = {decision.key for decision in distinct if decision.type == "AgentEnrolled"}
    assert seated == {agent for session in sessions for agent in agents_of(session, 0, 20)}
    assert {decision.type for decision in distinct} == {"AgentEnrolled", "AgentWaitlisted"}
