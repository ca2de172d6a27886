"""Outbox and relay: an event is published if and only if its change was committed, in order per key."""

import asyncio
import json
import random
import uuid
from collections import defaultdict
from collections.abc import Awaitable
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from aiokafka.errors import OutOfOrderSequenceNumber
from sqlalchemy import TextClause, text

from local.kafka import KafkaBroker
from shared import clock
from shared.database import Database
from shared.events.cloudevents import JSON
from shared.events.enrolment import MinimumMissed, SelectionDue
from shared.messaging import outbox, relay
from shared.messaging.outbox import BUCKETS, Outbox, OutboxEvent
from shared.messaging.personal_data import ANSWERS, SENT
from shared.personal_data import days_of, end_rows
from tests.conftest import Broker, Eventually, opened
from tests.integration.messaging import relay_that_hangs
from tests.integration.messaging.conftest import RunOperator
from tests.integration.messaging.relaying import (
    TOPIC,
    connected,
    news,
    nodes,
    publish_all,
    published,
    relaying,
    unsent,
    write,
)
from tests.support.kafka import PublishedRecord, collect
from tests.support.metrics import metric
from tests.support.processes import Forked

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

# ------------------------------------------------------------------------------------------ if and only if


async def test_an_event_of_which_there_is_one_has_the_same_id_however_often_it_is_decided(
    database: Database,
) -> None:
    of_session: dict[str, Any] = {"session_id": uuid.uuid4(), "organiser": "bretagne", "candidates": 1}

    def missed(version: int, enrolled: int = 0) -> OutboxEvent:
        event = MinimumMissed(session_version=version, minimum=9, enrolled=enrolled, offered=0, **of_session)
        return OutboxEvent(event)

    due = OutboxEvent(SelectionDue(session_version=1, enrolled=0, **of_session))
    ids = await write(database, missed(1), missed(1, enrolled=1), missed(2), due)
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
    assert len(set(await write(database, *[news(of_session["session_id"])] * 2))) == 2


async def test_what_is_committed_is_published_once_and_what_is_rolled_back_is_not(
    kafka: KafkaBroker, database: Database
) -> None:
    kept, dropped = uuid.uuid4(), uuid.uuid4()
    relayed = metric("parcours_outbox_relayed_total")
    with suppress(ZeroDivisionError):
        async with database.transaction() as tx:
            await Outbox("enrolment").publish(tx, [news(dropped)])
            raise ZeroDivisionError
    async with connected(database, kafka.bootstrap_servers) as a_relay:
        async with database.transaction() as tx:
            await Outbox("enrolment").publish(tx, [news(kept)])
            assert await a_relay.publish_unsent() == 0, "published before the commit"
        assert await a_relay.publish_unsent() == 1
        assert await a_relay.publish_unsent() == 0, "published twice"
        await write(database, news(kept, 2))
        assert await a_relay.publish_unsent() == 1
    found = await published(kafka.bootstrap_servers, 2, kept, dropped)
    assert [(record.key, record.data["version"]) for record in found] == [(str(kept), 1), (str(kept), 2)]
    assert metric("parcours_outbox_relayed_total") == relayed + 2


async def test_the_headers_of_a_published_record_are_exactly_the_contracts(
    kafka: KafkaBroker, database: Database
) -> None:
    traced, untraced = uuid.uuid4(), uuid.uuid4()
    ids = await write(database, OutboxEvent(news(traced), TRACE), news(untraced))
    async with connected(database, kafka.bootstrap_servers) as a_relay:
        await a_relay.publish_unsent()
    async with database.quiet_transaction() as tx:
        created_at = await tx.scalar(
            text("SELECT created_at FROM outbox WHERE event_id = :id"), {"id": ids[0]}
        )

    found = {record.key: record for record in await published(kafka.bootstrap_servers, 2, traced, untraced)}

    headers = {
        "ce_specversion": "1.0",
        "ce_id": str(ids[0]),
        "ce_type": "fr.cnfpt.enrolment.SessionOccupancyChanged.v1",
        "ce_source": "/services/enrolment",
        "ce_time": created_at.isoformat().replace("+00:00", "Z"),
        "ce_subject": str(traced),
        "content-type": JSON,
    }
    assert found[str(traced)].headers == headers | {"traceparent": TRACE}
    assert found[str(untraced)].headers.keys() == headers.keys()
    assert found[str(traced)].data == json.loads(news(traced).model_dump_json())


async def nothing_is_unsent(database: Database) -> bool:
    return await unsent(database) == 0


async def test_an_event_is_published_as_soon_as_it_is_committed_and_also_just_before_the_stop(
    kafka: KafkaBroker, database: Database, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "POLL_SECONDS", 3600)
    async with relaying(database, kafka.bootstrap_servers) as a_relay:
        database.after_publishing = a_relay.wake
        for _ in range(2):  # the first may be there when the relay looks for the first time
            await write(database, news(uuid.uuid4()))
            await eventually(lambda: nothing_is_unsent(database), "it is published; the relay waits an hour")
        database.after_publishing = lambda: None
        await write(database, *(news(uuid.uuid4()) for _ in range(50)))
    assert await unsent(database) == 0


async def test_a_commit_wakes_the_relay_only_if_it_publishes(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    wake = Mock()
    monkeypatch.setattr(database, "after_publishing", wake)
    async with database.transaction() as tx:
        await tx.execute(text("SELECT 1"))
    assert wake.call_count == 0
    await write(database, news(uuid.uuid4()))
    assert wake.call_count == 1


async def test_the_producer_waits_for_all_replicas_and_is_idempotent(
    kafka: KafkaBroker, database: Database
) -> None:
    async with connected(database, kafka.bootstrap_servers) as a_relay:
        assert a_relay._producer is not None
        assert a_relay._producer.kafka._sender._acks == -1
        assert a_relay._producer.transactional_id is not None


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
    """600 events of 20 keys, some transactions committing late, some rolled back."""
    keys = [uuid.uuid4() for _ in range(20)]
    committed: dict[uuid.UUID, int] = defaultdict(int)
    written = 0

    async def write_some() -> None:
        nonlocal written
        chosen = sorted(random.sample(range(len(keys)), random.randint(1, 4)))
        async with database.transaction() as tx:
            # As a service locks the row of a session before it decides about it.
            for number in chosen:
                await tx.execute(text("SELECT pg_advisory_xact_lock(7, :key)"), {"key": number})
            events = [
                news(keys[number], committed[keys[number]] + place) for number in chosen for place in (1, 2)
            ]
            await Outbox("enrolment").publish(tx, events)
            # Late: others take higher ids and are published before this one commits.
            await asyncio.sleep(random.choice((0, 0, 0.005, 0.05)))
            if random.random() < 0.1:
                raise ZeroDivisionError
            # Before the commit lets the keys go: nobody else may count from the old number.
            for number in chosen:
                committed[keys[number]] += 2
            written += len(events)

    async def writer() -> None:
        while written < 600:
            with suppress(ZeroDivisionError):
                await write_some()

    async with AsyncExitStack() as stack:
        for number in range(3):
            own = Database(enrolment_url, application_name=f"relay-{number}")
            stack.push_async_callback(own.close)
            await stack.enter_async_context(relaying(own, kafka.bootstrap_servers))
        await asyncio.gather(*(writer() for _ in range(12)))

    found = await published(kafka.bootstrap_servers, written, *keys)
    versions: dict[str, list[int]] = defaultdict(list)
    for record in found:
        versions[record.key].append(record.data["version"])
    assert versions == {str(key): list(range(1, committed[key] + 1)) for key in keys}
    assert len({record.id for record in found}) == len(found), "published twice although nothing failed"
    assert await unsent(database) == 0


async def test_a_pass_locks_as_few_buckets_as_fill_it_and_another_relay_has_the_others(
    enrolment_url: str, database: Database
) -> None:
    await write(database, *(news(uuid.UUID(int=number)) for number in range(300)))
    other = Database(enrolment_url, application_name="other")
    lock = {"space": 1, "buckets": BUCKETS}
    locked = text("SELECT objid::int FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")
    of_bucket = text("SELECT count(*) FROM outbox WHERE bucket = ANY(CAST(:buckets AS smallint[]))")
    async with AsyncExitStack() as stack:
        stack.push_async_callback(other.close)
        tx = await stack.enter_async_context(database.quiet_transaction())
        other_tx = await stack.enter_async_context(other.quiet_transaction())

        mine = set(await tx.scalars(relay._LOCK, lock | {"most": 50}))
        theirs = set(await other_tx.scalars(relay._LOCK, lock | {"most": 1_000}))

        assert set(await tx.scalars(locked)) == mine, "locked what it does not serve"
        taken = [int(await tx.scalar(of_bucket, {"buckets": sorted(some)}) or 0) for some in (mine, theirs)]
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

    assert [record.id for record in await published(kafka.bootstrap_servers, 6, session_id)] == [*ids, *ids]


async def test_nothing_is_marked_before_the_broker_has_acknowledged(
    kafka: KafkaBroker, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write(database, news(uuid.uuid4()))
    never: Awaitable[Any] = asyncio.get_running_loop().create_future()

    async def send(*_args: Any, **_kwargs: Any) -> Awaitable[Any]:
        return never

    async with connected(database, kafka.bootstrap_servers) as a_relay:
        assert a_relay._producer is not None
        with monkeypatch.context() as patched:
            patched.setattr(relay, "SEND_DEADLINE_SECONDS", 0.3)
            patched.setattr(a_relay._producer.kafka, "send", send)
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

    async def send(*_args: Any, **_kwargs: Any) -> None:
        raise OutOfOrderSequenceNumber

    async with relaying(database, kafka.bootstrap_servers) as a_relay:
        broken = a_relay._producer
        assert broken is not None
        monkeypatch.setattr(broken.kafka, "send", send)
        ids = await write(database, *(news(session_id, version) for version in (1, 2, 3)))
        await eventually(lambda: nothing_is_unsent(database), "the relay starts again with another producer")
        assert a_relay._producer is not broken
        assert broken.kafka._closed
    found = await published(kafka.bootstrap_servers, 3, session_id)
    assert [record.id for record in found] == [str(event_id) for event_id in ids]


@pytest.mark.slow
async def test_a_broker_that_dies_and_returns_loses_nothing_and_the_relay_recovers_by_itself(
    stoppable_kafka: KafkaBroker, database: Database, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is killed with SIGKILL in the middle of 400 events and started again."""
    monkeypatch.setattr(relay, "SEND_DEADLINE_SECONDS", 2.0)  # so that a fresh producer is needed
    monkeypatch.setattr(relay, "MAX_BACKOFF_SECONDS", 1.0)
    failed = metric("parcours_outbox_failures_total")
    keys = [uuid.uuid4() for _ in range(10)]
    ids: set[str] = set()

    async def write_versions(first: int, last: int) -> None:
        for version in range(first, last + 1):
            ids.update(map(str, await write(database, *(news(key, version) for key in keys))))

    async def it_failed() -> bool:
        return metric("parcours_outbox_failures_total") > failed

    async def half_is_sent() -> bool:
        return len(ids) - await unsent(database) > 100

    async def all_is_sent() -> bool:
        return await unsent(database) == 0 and metric("parcours_outbox_relay_up") == 1

    async with relaying(database, stoppable_kafka.bootstrap_servers):
        await write_versions(1, 20)
        await eventually(half_is_sent, "half of it is published")
        await asyncio.to_thread(stoppable_kafka.kill)
        await write_versions(21, 40)
        await eventually(it_failed, "the relay notices")
        assert metric("parcours_outbox_relay_up") == 0
        assert await unsent(database) >= 200, "marked sent while there was no broker"
        await asyncio.to_thread(stoppable_kafka.restart)
        await eventually(all_is_sent, "the relay recovers by itself")

    found = await collect(
        stoppable_kafka.bootstrap_servers, TOPIC, lambda all_: ids <= {record.id for record in all_}
    )
    first_seen: dict[str, PublishedRecord] = {}  # as an inbox does: an id that came before is dropped
    versions: dict[str, list[int]] = {str(key): [] for key in keys}
    for record in found:
        if record.id in ids and first_seen.setdefault(record.id, record) is record:
            versions[record.key].append(record.data["version"])
    assert versions == {str(key): list(range(1, 41)) for key in keys}


# ------------------------------------------------------------------------------------------ replay, purge


async def test_replay_publishes_again_what_was_created_since_with_the_same_ids(
    tansu: Broker, operator: RunOperator, database: Database
) -> None:
    session_id = uuid.uuid4()
    ids = [str(event_id) for event_id in await write(database, *(news(session_id, n) for n in (1, 2, 3)))]
    async with connected(database, tansu.bootstrap_servers) as a_relay:
        await a_relay.publish_unsent()
        assert a_relay._producer is not None
        assert a_relay._producer.transactional_id is None, "the embedded broker has no transactions"
        async with database.transaction() as tx:
            await tx.execute(text("UPDATE outbox SET created_at = now() - interval '2 days' WHERE id = 1"))
        since = datetime.now(UTC) - timedelta(days=1)

        replayed = await operator("outbox", "replay", "--since", since.strftime("%Y-%m-%dT%H:%M:%S"))

        assert replayed.stdout == "2 events will be published again by the running service.\n"
        status = await operator("outbox", "status")
        assert status.stdout.startswith("2 unsent, the oldest for ")
        assert await a_relay.publish_unsent() == 2
    found = await published(tansu.bootstrap_servers, 5, session_id)
    assert [record.id for record in found] == [*ids, *ids[1:]]


async def test_a_replay_leaves_out_what_was_erased_or_discarded(database: Database) -> None:
    await write(database, *(news(uuid.uuid4()) for _ in range(3)))
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE outbox SET sent_at = now()"))
        await tx.execute(text("UPDATE outbox SET key = '' WHERE id = 1"))
        await tx.execute(text("UPDATE outbox SET held = 'discarded' WHERE id = 2"))
        assert await outbox.replay(tx, datetime.now(UTC) - timedelta(days=1)) == 1


@pytest.mark.parametrize(
    ("days", "portal", "left"),
    [(6, None, 2), (8, None, 1), (29, "ouest", 2), (31, "ouest", 1)],
)
async def test_sent_events_are_kept_for_a_week_and_answers_for_30_days_and_unsent_ones_for_ever(
    database: Database, days: int, portal: str | None, left: int
) -> None:
    await write(database, news(uuid.uuid4()), news(uuid.uuid4()))
    of_old = text("UPDATE outbox SET portal = :portal, created_at = now() - make_interval(days => :days)")
    async with database.transaction() as tx:
        await tx.execute(of_old, {"portal": portal, "days": days})
        await tx.execute(text("UPDATE outbox SET sent_at = now() WHERE id = 1"))
        for retention in (SENT, ANSWERS):
            await end_rows(tx, retention, days_of(retention, settings=None), clock.now())
        assert await tx.scalar(text("SELECT count(*) FROM outbox")) == left


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
    async with database.quiet_transaction(plan_once=True) as tx:
        await tx.execute(_EVENTS_OF_AN_OUTAGE)
        await tx.execute(text("ANALYZE outbox"))
        await tx.execute(text("UPDATE outbox SET sent_at = now() WHERE id % 5000 < 3000"))
        explained = text(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}")
        [plan] = (await tx.scalars(explained, parameters)).one()
    [reading] = [node for node in nodes(plan["Plan"]) if node.get("Alias") == "outbox"]
    assert reading["Actual Rows"] * reading["Actual Loops"] == number
    assert reading.get("Rows Removed by Filter", 0) == 0


@pytest.mark.parametrize(("events", "planned"), [(relay.FEW, 0), (relay.FEW + 1, 1)])
async def test_a_mark_of_few_events_is_planned_once_and_a_mark_of_many_each_time(
    database: Database, events: int, planned: int
) -> None:
    async with (
        opened(database.url.render_as_string(hide_password=False)) as unused,
        unused.quiet_transaction(plan_once=True) as tx,
    ):
        await tx.execute(_EVENTS_OF_AN_OUTAGE)
        first = text("SELECT id, portal, cursor FROM outbox ORDER BY id LIMIT :number")
        rows = await tx.execute(first, {"number": events})
        await relay._mark(tx, rows)
        prepared = await tx.execute(text("SELECT statement, custom_plans FROM pg_prepared_statements"))
    assert [row.custom_plans for row in prepared if "portal_feed" in row.statement] == [planned]


_EVENTS_OF_AN_OUTAGE = text(
    """
    INSERT INTO outbox (bucket, topic, key, event_id, type, source, data)
    SELECT number % 8, 'topic', 'key', gen_random_uuid(), 'type', 'source', repeat('x', 500)
      FROM generate_series(1, 5000) AS number"""
)
