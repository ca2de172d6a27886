"""Outbox and relay: an event is published if and only if its change was committed, in order per key."""

import asyncio
import json
import random
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import OutOfOrderSequenceNumber
from sqlalchemy import TextClause, text

from local.kafka import KafkaBroker
from local.tansu import TansuBroker
from shared import clock
from shared.database import Database
from shared.events.cloudevents import JSON
from shared.events.enrolment import MinimumMissed, SelectionDue, SessionOccupancyChanged
from shared.messaging import outbox, relay
from shared.messaging.broker import KafkaSettings
from shared.messaging.outbox import BUCKETS, Outbox, OutboxEvent
from shared.messaging.personal_data import ANSWERS, SENT
from shared.messaging.relay import Relay
from shared.personal_data import Retention, end_rows, statement
from tests.conftest import Broker, Eventually, settings_of
from tests.integration.messaging import relay_that_hangs
from tests.support.kafka import PublishedRecord, collect
from tests.support.metrics import metric
from tests.support.processes import Forked, run_cli

TOPIC = SessionOccupancyChanged.TOPIC.value
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ours = Outbox("enrolment")


def news(session_id: uuid.UUID, version: int = 1) -> SessionOccupancyChanged:
    return SessionOccupancyChanged(
        session_id=session_id, version=version, capacity=20, enrolled=version, waiting=0, offered=0
    )


async def write(database: Database, *events: SessionOccupancyChanged | OutboxEvent) -> list[uuid.UUID]:
    async with database.transaction() as tx:
        return await ours.publish(tx, events)


async def unsent(database: Database) -> int:
    async with database.quiet_transaction() as tx:
        return (await outbox.unsent(tx))[0]


def keyed_by(*session_ids: uuid.UUID) -> Callable[[Sequence[PublishedRecord]], list[PublishedRecord]]:
    wanted = {str(session_id) for session_id in session_ids}
    return lambda found: [record for record in found if record.key in wanted]


@asynccontextmanager
async def relaying(database: Database, bootstrap_servers: str) -> AsyncIterator[Relay]:
    """A relay that runs in the background, as in a service."""
    a_relay = Relay(database, KafkaSettings(kafka_bootstrap_servers=bootstrap_servers), "test")
    await a_relay.start()
    running = asyncio.create_task(a_relay.run())
    try:
        yield a_relay
    finally:
        await a_relay.stop()
        await running
        await a_relay.close()


@asynccontextmanager
async def connected(database: Database, bootstrap_servers: str) -> AsyncIterator[Relay]:
    """A relay that publishes when it is told to."""
    a_relay = Relay(database, KafkaSettings(kafka_bootstrap_servers=bootstrap_servers), "test")
    await a_relay.start()
    try:
        yield a_relay
    finally:
        await a_relay.close()


# ------------------------------------------------------------------------------------------ if and only if


async def test_an_event_of_which_there_is_one_has_the_same_id_however_often_it_is_decided(
    database: Database,
) -> None:
    def missed(version: int, enrolled: int = 0) -> OutboxEvent:
        event = MinimumMissed(
            session_id=session_id,
            session_version=version,
            organiser="bretagne",
            minimum=9,
            enrolled=enrolled,
            offered=0,
            candidates=0,
        )
        return OutboxEvent(event)

    session_id = uuid.uuid4()
    due = SelectionDue(
        session_id=session_id, session_version=1, organiser="bretagne", candidates=1, enrolled=0
    )
    ids = await write(database, missed(1), missed(1, enrolled=1), missed(2), OutboxEvent(due))
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
    assert len(set(await write(database, news(session_id), news(session_id)))) == 2


async def test_what_is_committed_is_published_and_what_is_rolled_back_is_not(
    kafka: KafkaBroker, database: Database
) -> None:
    kept, dropped = uuid.uuid4(), uuid.uuid4()
    relayed = metric("parcours_outbox_relayed_total")
    try:
        async with database.transaction() as tx:
            await ours.publish(tx, [news(dropped)])
            raise RuntimeError("the change failed")
    except RuntimeError:
        pass
    async with connected(database, kafka.bootstrap_servers) as a_relay:
        async with database.transaction() as tx:
            await ours.publish(tx, [news(kept)])
            assert await a_relay.publish_unsent() == 0, "published before the commit"

        assert await a_relay.publish_unsent() == 1
        assert await a_relay.publish_unsent() == 0, "published twice"

        await write(database, news(kept, 2))
        assert await a_relay.publish_unsent() == 1
    found = keyed_by(kept, dropped)(
        await collect(kafka.bootstrap_servers, TOPIC, lambda all_: len(keyed_by(kept)(all_)) >= 2)
    )
    assert [(record.key, record.data["version"]) for record in found] == [(str(kept), 1), (str(kept), 2)]
    assert metric("parcours_outbox_relayed_total") == relayed + 2


async def test_the_headers_of_a_published_record_are_exactly_the_contracts(
    kafka: KafkaBroker, database: Database
) -> None:
    plain, traced = uuid.uuid4(), uuid.uuid4()
    ids = await write(database, news(plain), OutboxEvent(news(traced), TRACE))
    async with database.quiet_transaction() as tx:
        rows = await tx.execute(text("SELECT event_id, created_at FROM outbox"))
        created = {row.event_id: row.created_at for row in rows}

    async with connected(database, kafka.bootstrap_servers) as a_relay:
        await a_relay.publish_unsent()

    found = {
        record.key: record
        for record in await collect(
            kafka.bootstrap_servers, TOPIC, lambda all_: len(keyed_by(plain, traced)(all_)) >= 2
        )
    }
    for session_id, event_id in zip((plain, traced), ids, strict=True):
        published = found[str(session_id)]
        trace = {"traceparent": TRACE} if session_id == traced else {}
        assert published.headers == {
            "ce_specversion": "1.0",
            "ce_id": str(event_id),
            "ce_type": "fr.cnfpt.enrolment.SessionOccupancyChanged.v1",
            "ce_source": "/services/enrolment",
            "ce_time": created[event_id].isoformat().replace("+00:00", "Z"),
            "ce_subject": str(session_id),
            "content-type": JSON,
            **trace,
        }
        assert published.key == str(session_id)
        assert published.data == json.loads(news(session_id).model_dump_json())


@pytest.mark.parametrize("is_woken", [True, False])
async def test_an_event_is_published_as_soon_as_it_is_committed_or_at_the_next_look(
    kafka: KafkaBroker,
    database: Database,
    eventually: Eventually,
    *,
    is_woken: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if is_woken:
        monkeypatch.setattr(relay, "POLL_SECONDS", 3600)
    async with relaying(database, kafka.bootstrap_servers) as a_relay:
        database.after_commit = a_relay.wake if is_woken else lambda: None
        await write(database, news(uuid.uuid4()))

        async def published() -> bool:
            return await unsent(database) == 0

        await eventually(published, "the relay publishes it")


async def test_what_was_committed_just_before_the_stop_is_still_published(
    kafka: KafkaBroker, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "POLL_SECONDS", 3600)
    async with relaying(database, kafka.bootstrap_servers):
        await write(database, *(news(uuid.uuid4()) for _ in range(50)))

    assert await unsent(database) == 0


async def test_the_producer_waits_for_all_replicas_and_is_idempotent(
    kafka: KafkaBroker, database: Database
) -> None:
    async with connected(database, kafka.bootstrap_servers) as a_relay:
        assert a_relay._producer is not None
        assert a_relay._producer.kafka._sender._acks == -1
        assert a_relay._producer.kafka._txn_manager is not None
        assert a_relay._producer.transactional_id is not None


async def test_the_embedded_broker_takes_events_and_has_no_transactions(
    tansu: TansuBroker, database: Database
) -> None:
    session_id = uuid.uuid4()
    await write(database, news(session_id, 1), news(session_id, 2))
    async with connected(database, tansu.bootstrap_servers) as a_relay:
        assert a_relay._producer is not None
        assert a_relay._producer.transactional_id is None
        assert await a_relay.publish_unsent() == 2
    found = keyed_by(session_id)(
        await collect(tansu.bootstrap_servers, TOPIC, lambda all_: len(keyed_by(session_id)(all_)) >= 2)
    )
    assert [record.data["version"] for record in found] == [1, 2]


# ------------------------------------------------------------------------------------------ order per key


async def test_a_key_is_always_in_the_same_bucket(database: Database) -> None:
    keys = [uuid.uuid4() for _ in range(20)]
    await write(database, *(news(key) for key in keys))
    await write(database, *(news(key, 2) for key in reversed(keys)))
    async with database.quiet_transaction() as tx:
        used = list(await tx.scalars(text("SELECT count(DISTINCT bucket) FROM outbox GROUP BY key")))
    assert used == [1] * len(keys)


@pytest.mark.slow
async def test_three_relays_and_twelve_writers_lose_nothing_and_reorder_nothing(
    kafka: KafkaBroker, enrolment_url: str, database: Database
) -> None:
    """1,800 events of 40 keys, some transactions committing late, some rolled back."""
    keys = [uuid.uuid4() for _ in range(40)]
    committed: dict[uuid.UUID, int] = defaultdict(int)
    written = 0

    async def writer() -> None:
        nonlocal written
        while written < 1_800:
            chosen = sorted(random.sample(range(len(keys)), random.randint(1, 4)))
            fails = random.random() < 0.1
            try:
                async with database.transaction() as tx:
                    # As a service locks the row of a session before it decides about it.
                    for number in chosen:
                        await tx.execute(text("SELECT pg_advisory_xact_lock(7, :key)"), {"key": number})
                    events = [
                        news(keys[number], committed[keys[number]] + place)
                        for number in chosen
                        for place in (1, 2)
                    ]
                    await ours.publish(tx, events)
                    # Late: others take higher ids and are published before this one commits.
                    await asyncio.sleep(random.choice((0, 0, 0.005, 0.05)))
                    if fails:
                        raise RuntimeError("rolled back")
                    # Before the commit lets the keys go: nobody else may count from the old number.
                    for number in chosen:
                        committed[keys[number]] += 2
                    written += len(events)
            except RuntimeError:
                continue

    async with AsyncExitStack() as stack:
        for number in range(3):
            own = Database(enrolment_url, application_name=f"relay-{number}")
            stack.push_async_callback(own.close)
            await stack.enter_async_context(relaying(own, kafka.bootstrap_servers))
        await asyncio.gather(*(writer() for _ in range(12)))

    found = keyed_by(*keys)(
        await collect(kafka.bootstrap_servers, TOPIC, lambda all_: len(keyed_by(*keys)(all_)) >= written)
    )
    versions: dict[str, list[int]] = defaultdict(list)
    for record in found:
        versions[record.key].append(record.data["version"])
    assert written >= 1_800
    assert versions == {str(key): list(range(1, committed[key] + 1)) for key in keys}
    assert len({record.id for record in found}) == len(found), "published twice although nothing failed"
    assert await unsent(database) == 0


async def test_a_pass_locks_as_few_buckets_as_fill_it_and_another_relay_has_the_others(
    enrolment_url: str, database: Database
) -> None:
    await write(database, *(news(uuid.UUID(int=number)) for number in range(300)))
    other = Database(enrolment_url, application_name="other")
    lock = {"space": 1, "buckets": BUCKETS}
    async with AsyncExitStack() as stack:
        stack.push_async_callback(other.close)
        tx = await stack.enter_async_context(database.quiet_transaction())
        other_tx = await stack.enter_async_context(other.quiet_transaction())

        mine = set(await tx.scalars(relay._LOCK, lock | {"most": 50}))
        theirs = set(await other_tx.scalars(relay._LOCK, lock | {"most": 1_000}))
        held = set(
            await tx.scalars(
                text("SELECT objid::int FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")
            )
        )
        of_mine = text("SELECT count(*) FROM outbox WHERE bucket = ANY(CAST(:buckets AS smallint[]))")
        taken = [await tx.scalar(of_mine, {"buckets": sorted(some)}) for some in (mine, theirs)]

    assert held == mine, "locked what it does not serve"
    assert 50 <= taken[0] < 100
    assert sum(taken) == 300


# ------------------------------------------------------------------------------------------ crashes


async def test_a_relay_killed_between_acknowledgement_and_mark_publishes_again_with_the_same_ids(
    kafka: KafkaBroker, enrolment_url: str, database: Database, eventually: Eventually, tmp_path: Path
) -> None:
    session_id, acknowledged = uuid.uuid4(), tmp_path / "acknowledged"
    ids = [str(event_id) for event_id in await write(database, *(news(session_id, n) for n in (1, 2, 3)))]
    child = Forked(relay_that_hangs.run, enrolment_url, kafka.bootstrap_servers, acknowledged)

    async def it_hangs() -> bool:
        assert child.exit_code is None
        return acknowledged.exists()

    try:
        await eventually(it_hangs, "the broker has acknowledged")
        child.kill()
    finally:
        child.clear_away()
    assert await unsent(database) == 3, "marked before the pass was over"

    async with connected(database, kafka.bootstrap_servers) as a_relay:
        await publish_all(a_relay, database)

    found = keyed_by(session_id)(
        await collect(kafka.bootstrap_servers, TOPIC, lambda all_: len(keyed_by(session_id)(all_)) >= 6)
    )
    assert [record.id for record in found] == [*ids, *ids]


async def publish_all(a_relay: Relay, database: Database) -> None:
    """Pass until nothing is left: a dead relay's locks are let go when Postgres notices."""
    async with asyncio.timeout(10):
        while await unsent(database):
            await a_relay.publish_unsent()


async def test_nothing_is_marked_before_the_broker_has_acknowledged(
    kafka: KafkaBroker, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write(database, news(uuid.uuid4()))
    async with connected(database, kafka.bootstrap_servers) as a_relay:
        producer = a_relay._producer
        assert producer is not None
        never: Awaitable[Any] = asyncio.get_running_loop().create_future()

        async def send(*_args: Any, **_kwargs: Any) -> Awaitable[Any]:
            return never

        with monkeypatch.context() as patched:
            patched.setattr(relay, "SEND_DEADLINE_SECONDS", 0.3)
            patched.setattr(producer.kafka, "send", send)
            with pytest.raises(TimeoutError):
                await a_relay.publish_unsent()
        assert await unsent(database) == 1

        await a_relay.publish_unsent()
        assert await unsent(database) == 0


async def test_a_producer_that_fails_for_good_is_replaced_by_a_fresh_one(
    kafka: KafkaBroker, database: Database, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With idempotence, one sequence number out of order breaks a producer until it is thrown away."""
    session_id = uuid.uuid4()
    async with relaying(database, kafka.bootstrap_servers) as a_relay:
        broken = a_relay._producer
        assert broken is not None

        async def send(*_args: Any, **_kwargs: Any) -> None:
            raise OutOfOrderSequenceNumber

        monkeypatch.setattr(broken.kafka, "send", send)
        ids = await write(database, *(news(session_id, version) for version in (1, 2, 3)))

        async def published() -> bool:
            return await unsent(database) == 0

        await eventually(published, "the relay starts again with another producer")
        assert a_relay._producer is not broken
        assert broken.kafka._closed

    found = keyed_by(session_id)(
        await collect(kafka.bootstrap_servers, TOPIC, lambda all_: len(keyed_by(session_id)(all_)) >= 3)
    )
    assert [record.id for record in found] == [str(event_id) for event_id in ids]


@pytest.mark.slow
async def test_a_broker_that_dies_and_returns_loses_nothing_and_the_relay_recovers_by_itself(
    restarted_kafka: KafkaBroker, database: Database, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is killed with SIGKILL in the middle of 800 events and started again."""
    monkeypatch.setattr(relay, "SEND_DEADLINE_SECONDS", 2.0)  # so that a fresh producer is needed
    monkeypatch.setattr(relay, "MAX_BACKOFF_SECONDS", 1.0)
    failed = metric("parcours_outbox_failures_total")
    keys = [uuid.uuid4() for _ in range(10)]

    async def it_failed() -> bool:
        return metric("parcours_outbox_failures_total") > failed

    async def half_is_sent() -> bool:
        async with database.quiet_transaction() as tx:
            return bool(await tx.scalar(text("SELECT count(*) > 200 FROM outbox WHERE sent_at IS NOT NULL")))

    async def all_is_sent() -> bool:
        return await unsent(database) == 0 and metric("parcours_outbox_relay_up") == 1

    async with relaying(database, restarted_kafka.bootstrap_servers):
        for version in range(1, 41):
            await write(database, *(news(key, version) for key in keys))
        await eventually(half_is_sent, "half of it is published")
        await asyncio.to_thread(restarted_kafka.kill)
        for version in range(41, 81):
            await write(database, *(news(key, version) for key in keys))
        await eventually(it_failed, "the relay notices")
        assert metric("parcours_outbox_relay_up") == 0
        assert await unsent(database) >= 400, "marked sent while there was no broker"
        await asyncio.to_thread(restarted_kafka.restart)
        await eventually(all_is_sent, "the relay recovers by itself")

    ids = set(await outbox_ids(database))
    found = await collect(
        restarted_kafka.bootstrap_servers,
        TOPIC,
        lambda all_: ids <= {record.id for record in all_},
        seconds=20,
    )
    first_seen: dict[str, list[int]] = {str(key): [] for key in keys}
    seen: set[str] = set()
    for record in found:
        # What an inbox does: an id that came before is dropped.
        if record.id in ids - seen:
            seen.add(record.id)
            first_seen[record.key].append(record.data["version"])
    assert first_seen == {str(key): list(range(1, 81)) for key in keys}


async def outbox_ids(database: Database) -> list[str]:
    async with database.quiet_transaction() as tx:
        return [str(event_id) for event_id in await tx.scalars(text("SELECT event_id FROM outbox"))]


# ------------------------------------------------------------------------------------------ replay, purge


async def test_replay_publishes_again_what_was_created_since_with_the_same_ids(
    tansu: Broker, enrolment_url: str, database: Database
) -> None:
    session_id = uuid.uuid4()
    environment = settings_of("enrolment", enrolment_url, tansu.bootstrap_servers)
    ids = [str(event_id) for event_id in await write(database, *(news(session_id, n) for n in (1, 2, 3)))]
    async with connected(database, tansu.bootstrap_servers) as a_relay:
        await a_relay.publish_unsent()
        async with database.transaction() as tx:
            await tx.execute(text("UPDATE outbox SET created_at = now() - interval '2 days' WHERE id = 1"))
        since = datetime.now(UTC) - timedelta(days=1)

        replayed = run_cli(
            "enrolment", "outbox", "replay", "--since", since.strftime("%Y-%m-%dT%H:%M:%S"),
            environment=environment,
        )  # fmt: skip

        assert replayed.returncode == 0, replayed.stderr
        assert replayed.stdout == "2 events will be published again by the running service.\n"
        status = run_cli("enrolment", "outbox", "status", environment=environment)
        assert status.stdout.startswith("2 unsent, the oldest for ")
        assert await a_relay.publish_unsent() == 2

    found = keyed_by(session_id)(
        await collect(tansu.bootstrap_servers, TOPIC, lambda all_: len(keyed_by(session_id)(all_)) >= 5)
    )
    assert [record.id for record in found] == [*ids, *ids[1:]]


async def test_sent_events_are_kept_for_seven_days_and_unsent_ones_for_ever(database: Database) -> None:
    await write(database, *(news(uuid.uuid4()) for _ in range(3)))
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE outbox SET created_at = now() - interval '8 days' WHERE id < 3"))
        await tx.execute(text("UPDATE outbox SET sent_at = now() WHERE id <> 2"))

        assert await end_rows(tx, SENT, outbox.KEPT.days, clock.now()) == 1

        assert list(await tx.scalars(text("SELECT id FROM outbox ORDER BY id"))) == [2, 3]


@pytest.mark.parametrize(("retention", "kept", "number"), [(SENT, 7, 20), (ANSWERS, 9, 1980)])
async def test_who_deletes_old_events_reads_none_of_those_that_stay(
    database: Database, retention: Retention, kept: int, number: int
) -> None:
    """Answers stay 23 days longer than the other events beside which they lie."""
    async with database.transaction() as tx:
        await tx.execute(_EVENTS_OF_TEN_DAYS_AGO)
        await tx.execute(text("ANALYZE outbox"))
        await tx.execute(text("SET LOCAL enable_seqscan = off"))
        explained = text(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement(retention)}")
        parameters = {"before": clock.now() - timedelta(days=kept), "most": 2000}
        [plan] = (await tx.scalars(explained, parameters)).one()
    [reading] = [node for node in nodes(plan["Plan"]) if node.get("Alias") == "outbox_1"]
    assert reading["Actual Rows"] == number
    assert reading.get("Rows Removed by Filter", 0) == 0


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


@pytest.mark.parametrize(
    ("statement", "parameters", "number"),
    [
        (relay._LOCK, {"space": 1, "buckets": BUCKETS, "most": 200}, BUCKETS * 200),
        (relay._UNSENT, {"buckets": [0], "most": 200}, 200),
    ],
    ids=["counted", "sent"],
)
async def test_after_an_outage_a_pass_reads_no_more_than_it_counts_and_sends(
    database: Database, statement: TextClause, parameters: dict[str, Any], number: int
) -> None:
    """The planner believes then that most rows are unsent; what was sent since it does not know."""
    async with database.transaction() as tx:
        await tx.execute(_EVENTS_OF_AN_OUTAGE)
        await tx.execute(text("ANALYZE outbox"))
        await tx.execute(text("UPDATE outbox SET sent_at = now() WHERE id % 5000 < 3000"))
        await tx.execute(relay._WITHOUT_SORTING)
        explained = text(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}")
        [plan] = (await tx.scalars(explained, parameters)).one()
    [reading] = [node for node in nodes(plan["Plan"]) if node.get("Alias") == "outbox"]
    assert reading["Actual Rows"] * reading["Actual Loops"] == number
    assert reading.get("Rows Removed by Filter", 0) == 0


_EVENTS_OF_AN_OUTAGE = text(
    """
    INSERT INTO outbox (bucket, topic, key, event_id, type, source, data)
    SELECT number % 8, 'topic', 'key', gen_random_uuid(), 'type', 'source', repeat('x', 500)
      FROM generate_series(1, 5000) AS number"""
)
_EVENTS_OF_TEN_DAYS_AGO = text(
    """
    INSERT INTO outbox (bucket, topic, key, event_id, type, source, data, created_at, sent_at, portal, cursor)
    SELECT 0, 'topic', 'key', gen_random_uuid(), 'type', 'source', repeat('x', 500), moment, moment,
           CASE WHEN number % 100 = 0 THEN NULL ELSE 'ouest' END, number
      FROM (SELECT number, now() - interval '10 days' AS moment FROM generate_series(1, 2000) AS number)"""
)
