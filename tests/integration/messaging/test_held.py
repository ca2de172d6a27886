"""What a broker does not take is held back by key: its neighbours leave, and none overtakes another."""

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import NotLeaderForPartitionError, TopicAuthorizationFailedError
from sqlalchemy import text

from local.kafka import KafkaBroker
from shared.database import Database
from shared.events.topics import MAX_RECORD_BYTES
from shared.messaging import held, relay
from shared.messaging.outbox import BUCKETS
from shared.messaging.relay import Relay
from tests.conftest import Broker
from tests.integration.messaging.conftest import RunOperator
from tests.integration.messaging.relaying import TOPIC, connected, nodes, publish_all, unsent, write_rows
from tests.support.locks import locks_awaited


def keys(count: int) -> list[str]:
    return [str(uuid.uuid4()) for _ in range(count)]


async def held_back(database: Database) -> list[tuple[str, str]]:
    """The data of what is held back, shortened, and its state."""
    async with database.quiet_transaction() as tx:
        return [(event.data[:2], event.held) for event in await held.find(tx, limit=100)]


async def on_the_topic(bootstrap_servers: str, wanted: Sequence[str], topic: str = TOPIC) -> list[str]:
    """All data of these keys, in the order of each partition, up to the end of the topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(6)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        found = []
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += [record.value.decode() for record in records if record.key.decode() in wanted]
        return found
    finally:
        await consumer.stop()


async def create_topic(kafka: KafkaBroker, name: str, **config: str) -> list[str]:
    """Create a topic; return those that there were."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    try:
        before = list(await admin.list_topics())
        topic = NewTopic(name, num_partitions=6, replication_factor=1, topic_configs=config)
        await admin.create_topics([topic])
        return before
    finally:
        await admin.close()


def fail(a_relay: Relay, monkeypatch: pytest.MonkeyPatch, error: Exception, **what: Any) -> None:
    """Have the broker refuse the records of this topic or value."""
    assert a_relay._producer is not None
    send = a_relay._producer.kafka.send

    async def refuse(topic: str, **record: Any) -> Any:
        if not what.items() <= ({"topic": topic} | record).items():
            return await send(topic, **record)
        answer = asyncio.get_running_loop().create_future()
        answer.set_exception(error)
        return answer

    monkeypatch.setattr(a_relay._producer.kafka, "send", refuse)


TOO_LARGE = "b1" + "x" * MAX_RECORD_BYTES


async def test_an_event_that_is_too_large_holds_back_its_key_alone(
    kafka: KafkaBroker, database: Database
) -> None:
    ours, other = keys(2)
    await write_rows(database, (ours, "a1"), (ours, TOO_LARGE), (ours, "c1"), (other, "d1"))
    async with connected(database, kafka.bootstrap_servers) as a_relay:
        await publish_all(a_relay, database)
        await write_rows(database, (ours, "e1"), (other, "f1"))
        await publish_all(a_relay, database)

    assert await held_back(database) == [("b1", "refused"), ("c1", "waiting"), ("e1", "waiting")]
    found = await on_the_topic(kafka.bootstrap_servers, [ours, other])
    assert sorted(found) == ["a1", "d1", "f1"], "its neighbours leave, each once"


async def test_an_operator_sees_it_tries_it_again_and_gives_it_up(
    tansu: Broker, operator: RunOperator, database: Database
) -> None:
    [ours] = keys(1)

    async def command(*arguments: str) -> str:
        done = await operator("outbox", *arguments)
        assert done.exit_code == 0, done.stderr
        return done.stdout

    await write_rows(database, (ours, TOO_LARGE), (ours, "c1"))
    async with connected(database, tansu.bootstrap_servers) as a_relay:
        await publish_all(a_relay, database)

        assert await command("status") == "0 unsent; held back: 1 refused, 1 waiting\n"
        [line, total] = (await command("list")).splitlines()
        assert "4194304 are allowed in all" in line
        assert total == "1 refused"
        assert f"key       {ours}" in await command("show", "1", "--by", "zoe")
        async with database.quiet_transaction() as tx:
            read = await tx.execute(text("SELECT actor, kind, about, purpose FROM read_log"))
            assert [tuple(line) for line in read] == [("zoe", "event", "1", "ligne de commande")]

        assert await command("redrive", "--all") == "1 will be sent again by the running service\n"
        await publish_all(a_relay, database)
        assert await held_back(database) == [("b1", "refused"), ("c1", "waiting")], "it is still too large"

        assert await command("discard", "1", "--reason", "told by phone", "--by", "zoe") == "1 discarded\n"
        await publish_all(a_relay, database)
    assert await held_back(database) == [("b1", "discarded")]
    assert "discarded by zoe: told by phone" in await command("list", "--state", "discarded")
    assert await on_the_topic(tansu.bootstrap_servers, [ours]) == ["c1"]


async def test_an_event_whose_topic_does_not_exist_waits_for_it_and_holds_nobody_back(
    kafka: KafkaBroker, database: Database
) -> None:
    ours, other = keys(2)
    topic = f"portal.answers.p{uuid.uuid4().hex}"
    await write_rows(database, (ours, "a1"), topic=topic)
    await write_rows(database, (ours, "b1"), (other, "c1"))
    async with connected(database, kafka.bootstrap_servers) as a_relay:
        await publish_all(a_relay, database)
        assert sorted(await on_the_topic(kafka.bootstrap_servers, [ours, other])) == ["b1", "c1"]
        await a_relay.release_waiting()
        assert await held_back(database) == [("a1", "waiting")]

        assert topic not in await create_topic(kafka, topic), "nobody but the command makes topics"
        await write_rows(database, (ours, "d1"), topic=topic)
        await publish_all(a_relay, database)
        assert await held_back(database) == [("a1", "waiting"), ("d1", "waiting")], "none overtakes another"
        await a_relay.release_waiting()
        await publish_all(a_relay, database)
    assert await held_back(database) == []
    assert await on_the_topic(kafka.bootstrap_servers, [ours], topic) == ["a1", "d1"]


async def test_events_without_a_topic_are_passed_over_once_and_not_at_each_pass(
    tansu: Broker, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "PASS", 5)
    [ours] = keys(1)
    nowhere = "portal.answers.nobody"
    await write_rows(database, *((ours, f"{number}") for number in range(20)), topic=nowhere)
    await write_rows(database, (ours, "b1"))
    async with connected(database, tansu.bootstrap_servers) as a_relay:
        await publish_all(a_relay, database)
        await write_rows(database, (ours, "c1"))
        assert await a_relay.publish_unsent() == 1
    assert await on_the_topic(tansu.bootstrap_servers, [ours]) == ["b1", "c1"]


async def test_a_topic_that_takes_less_refuses_the_large_one_and_takes_its_neighbours(
    kafka: KafkaBroker, database: Database
) -> None:
    """The broker refuses the batch in which they are together."""
    topic = f"small-{uuid.uuid4().hex}"
    await create_topic(kafka, topic, **{"max.message.bytes": "50000"})
    small = keys(12)
    large = small[5]
    rows = [*((key, "a1") for key in small), (large, "b1" + "x" * 60_000), (large, "c1")]
    await write_rows(database, *rows, topic=topic)
    await write_rows(database, *((key, "d1") for key in small if key != large), topic=topic)
    async with connected(database, kafka.bootstrap_servers) as a_relay:
        await publish_all(a_relay, database)

    assert await held_back(database) == [("b1", "refused"), ("c1", "waiting")]
    found = await on_the_topic(kafka.bootstrap_servers, small, topic)
    assert sorted(found) == ["a1"] * 12 + ["d1"] * 11, "each once"


async def test_what_the_brokers_rights_refuse_is_held_back_by_key(
    kafka: KafkaBroker, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, other = keys(2)
    topic = "notifier.deliveries"
    await write_rows(database, (ours, "a1"), (ours, "b1"), (other, "c1"), topic=topic)
    await write_rows(database, (ours, "d1"))
    async with connected(database, kafka.bootstrap_servers) as a_relay:
        with monkeypatch.context() as patched:
            fail(a_relay, patched, TopicAuthorizationFailedError(topic), topic=topic)
            assert await a_relay.publish_unsent() == 1
        assert await held_back(database) == [("a1", "refused"), ("b1", "waiting"), ("c1", "refused")]

        async with database.quiet_transaction() as tx:
            assert [await held.redrive(tx, event_id) for event_id in (1, 2, 3)] == [True, False, True]
        await publish_all(a_relay, database)
    assert sorted(await on_the_topic(kafka.bootstrap_servers, [ours, other], topic)) == ["a1", "b1", "c1"]


async def test_what_was_acknowledged_is_marked_though_others_failed(
    kafka: KafkaBroker, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing that stands behind a failure in its key, so that it cannot overtake."""
    ours, other = keys(2)
    await write_rows(database, (ours, "a1"), (ours, "b1"), (other, "c1"))
    async with connected(database, kafka.bootstrap_servers) as a_relay:
        with monkeypatch.context() as patched:
            fail(a_relay, patched, NotLeaderForPartitionError(), value=b"a1")
            with pytest.raises(NotLeaderForPartitionError):
                await a_relay.publish_unsent()
        assert await unsent(database) == 2
        await publish_all(a_relay, database)
    assert (await on_the_topic(kafka.bootstrap_servers, [ours]))[-2:] == ["a1", "b1"]
    assert await on_the_topic(kafka.bootstrap_servers, [other]) == ["c1"]


async def test_a_refused_event_holds_back_nothing_of_its_key_on_another_topic(database: Database) -> None:
    [key] = keys(1)
    await write_rows(database, (key, "a1"))
    await write_rows(database, (key, "b1"), topic="portal.answers.iel")
    async with database.quiet_transaction() as tx:
        await held.hold(tx, {1: "too large"}, {2: "the topic does not exist"})
        topics = await held.waiting_topics(tx)
        assert topics == ["portal.answers.iel"]
        assert await held.release(tx, topics, BUCKETS) == 1


async def test_a_refused_event_is_let_go_only_after_the_pass_that_has_its_bucket(database: Database) -> None:
    await write_rows(database, (keys(1)[0], "a1"))
    async with database.quiet_transaction() as tx:
        await held.hold(tx, {1: "too large"}, {})

    async def redrive() -> bool:
        async with database.quiet_transaction() as tx:
            return await held.redrive(tx, 1)

    async with database.quiet_transaction() as a_pass:
        await a_pass.execute(_LOCK_OF_A_PASS, {"space": held.LOCK_SPACE})
        redriven = asyncio.create_task(redrive())
        await locks_awaited(database)  # an operator waits for the pass
        assert not redriven.done()
    assert await redriven


_LOCK_OF_A_PASS = text("SELECT pg_advisory_xact_lock(:space, bucket) FROM outbox WHERE id = 1")


@pytest.mark.parametrize(("held_back", "looked_up"), [(0, 0), (2_000, 1)])
async def test_a_pass_looks_up_the_keys_of_its_events_alone_and_only_where_one_is_held(
    database: Database, held_back: int, looked_up: int
) -> None:
    await write_rows(database, (keys(1)[0], "a1"))
    async with database.transaction() as tx:
        await tx.execute(_HELD_EVENTS, {"number": held_back})
        await tx.execute(text("ANALYZE outbox"))
        unsent = text(f"EXPLAIN (ANALYZE, FORMAT JSON) {relay._UNSENT}")
        [plan] = (await tx.scalars(unsent, {"buckets": list(range(BUCKETS)), "most": 10})).one()
    read = [node for node in nodes(plan["Plan"]) if node.get("Alias") == "before"]
    assert [node["Actual Loops"] for node in read] == [looked_up]
    assert sum(node["Actual Rows"] for node in read) == 0


_HELD_EVENTS = text(
    "INSERT INTO outbox (bucket, topic, key, event_id, type, source, data, held) "
    "SELECT 0, 'a-topic', 'key ' || number, gen_random_uuid(), 'type', 'source', 'data', 'waiting' "
    "FROM generate_series(1, :number) AS number"
)
