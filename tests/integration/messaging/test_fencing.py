"""A relay that lost its buckets within a pass publishes nothing more (ADR 0023). On Apache Kafka alone."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import pytest
from aiokafka.errors import ProducerFenced
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from local.kafka import KafkaBroker
from shared.database import Database
from shared.messaging.producer import OutgoingRecord
from shared.messaging.relay import Relay
from tests.conftest import opened
from tests.integration.messaging.relaying import connected, news, published, write

CLAIMS = text("SELECT producer FROM outbox_bucket CROSS JOIN unnest(claimed_by) AS producer")
REGISTERED = text("SELECT transactional_id FROM outbox_producer")
END_THE_SLEEPER = text(
    "SELECT bool_and(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity "
    "WHERE application_name = 'sleeper' AND state = 'idle in transaction'"
)


class TwoRelays(NamedTuple):
    """The one that sleeps within a pass, and another."""

    sleeper: Relay
    other: Relay


@pytest.fixture
async def relays(kafka: KafkaBroker, enrolment_url: str, database: Database) -> AsyncIterator[TwoRelays]:
    of_sleeper = Database(enrolment_url, application_name="sleeper")
    async with (
        connected(of_sleeper, kafka.bootstrap_servers) as sleeper,
        connected(database, kafka.bootstrap_servers) as other,
    ):
        yield TwoRelays(sleeper, other)
    await of_sleeper.close()


async def versions_of(kafka: KafkaBroker, session_id: uuid.UUID, number: int) -> list[int]:
    """The versions of a session on the topic, in order."""
    return [record.data["version"] for record in await published(kafka.bootstrap_servers, number, session_id)]


async def write_versions(database: Database, session_id: uuid.UUID, *versions: int) -> None:
    await write(database, *(news(session_id, version) for version in versions))


async def lose_the_session(database: Database) -> None:
    """As Postgres ends a session that is idle within a transaction."""
    async with database.quiet_transaction() as tx:
        assert await tx.scalar(END_THE_SLEEPER) is True


async def sleep_in_a_pass(
    relay: Relay, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], Awaitable[None]]
) -> None:
    """Have a relay read its events and sleep before it sends them, while ``meanwhile`` happens.

    Its producer must find itself fenced then.
    """
    producer = relay._producer
    assert producer is not None
    send = producer.send

    async def sleep_and_send(records: Sequence[OutgoingRecord]) -> None:
        await meanwhile()
        failures = await send(records)  # raises it if the first was refused before the last was given
        assert {type(failure) for failure in failures} == {ProducerFenced}
        raise ProducerFenced

    monkeypatch.setattr(producer, "send", sleep_and_send)
    with pytest.raises(ProducerFenced):
        await relay.publish_unsent()


@pytest.mark.parametrize("postgres_crashes", [False, True], ids=["transaction lost", "Postgres crashes"])
async def test_a_relay_that_slept_past_its_transaction_publishes_nothing_when_it_wakes(
    *,
    kafka: KafkaBroker,
    database: Database,
    relays: TwoRelays,
    monkeypatch: pytest.MonkeyPatch,
    postgres_crashes: bool,
) -> None:
    """The claims are lost with a crash; the producers are not."""
    session_id = uuid.uuid4()
    await write_versions(database, session_id, 1, 2)

    async def others_go_on() -> None:
        await lose_the_session(database)
        if postgres_crashes:
            async with database.quiet_transaction() as tx:
                await tx.execute(text("TRUNCATE outbox_bucket"))
        await write_versions(database, session_id, 3)
        assert await relays.other.publish_unsent() == 3

    await sleep_in_a_pass(relays.sleeper, monkeypatch, others_go_on)
    await write_versions(database, session_id, 4)
    assert await relays.sleeper.publish_unsent() == 1, "it goes on with a fresh producer"
    assert await versions_of(kafka, session_id, 4) == [1, 2, 3, 4]


async def test_claims_do_not_outlive_a_crash_of_postgres_and_producers_do(database: Database) -> None:
    kept = text(
        "SELECT relname, relpersistence::text FROM pg_class "
        "WHERE relname IN ('outbox_bucket', 'outbox_producer')"
    )
    async with database.quiet_transaction() as tx:
        found = {row.relname: row.relpersistence for row in await tx.execute(kept)}
    assert found == {"outbox_bucket": "u", "outbox_producer": "p"}


async def test_a_relay_that_lost_its_buckets_before_it_read_them_sends_nothing(
    kafka: KafkaBroker, database: Database, relays: TwoRelays, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It claims too late; whoever has the bucket now is not disturbed, and fences it at the next pass."""
    session_id, (sleeper, other) = uuid.uuid4(), relays
    await write_versions(database, session_id, 1)
    claim = sleeper._claim

    async def sleep_and_claim(*arguments: Any) -> list[str]:
        await lose_the_session(database)
        assert await other.publish_unsent() == 1
        return await claim(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(sleeper, "_claim", sleep_and_claim)
        with pytest.raises(DBAPIError):
            await sleeper.publish_unsent()
    await write_versions(database, session_id, 2)
    assert await other.publish_unsent() == 1
    await write_versions(database, session_id, 3)
    with pytest.raises(ProducerFenced):
        await sleeper.publish_unsent()
    assert await sleeper.publish_unsent() == 1
    assert await versions_of(kafka, session_id, 3) == [1, 2, 3]


async def test_replicas_that_share_buckets_leave_no_claim_and_do_not_fence_each_other(
    kafka: KafkaBroker, enrolment_url: str, database: Database
) -> None:
    session_id = uuid.uuid4()
    async with (
        opened(enrolment_url) as own,
        connected(own, kafka.bootstrap_servers) as first,
        connected(database, kafka.bootstrap_servers) as second,
    ):
        for version in range(1, 11):
            await write_versions(database, session_id, version)
            assert await (first, second)[version % 2].publish_unsent() == 1
        async with database.quiet_transaction() as tx:
            assert list(await tx.scalars(CLAIMS)) == []
            registered = set(await tx.scalars(REGISTERED))
        ours = {relay._producer.transactional_id for relay in (first, second) if relay._producer}
        assert (len(ours), registered) == (2, ours)
    assert await versions_of(kafka, session_id, 10) == list(range(1, 11))


async def test_a_relay_that_stops_in_order_leaves_nothing_to_fence(
    kafka: KafkaBroker, database: Database
) -> None:
    async with connected(database, kafka.bootstrap_servers) as relay:
        running = asyncio.create_task(relay.run())
        await relay.stop()
        await running
        async with database.quiet_transaction() as tx:
            assert list(await tx.scalars(REGISTERED)) == []
