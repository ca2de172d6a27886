"""Until when a topic is read, of all its partitions: an erasure and the end of a deadline wait for each."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from aiokafka import TopicPartition
from faststream import ContextRepo
from sqlalchemy import text

from services.catalogue.handlers import router
from shared import clock
from shared.database import Database
from shared.events.topics import Topic
from shared.messaging import progress
from shared.messaging.consumer import Consumer
from shared.messaging.tables import OutboxRow

TOPIC = Topic.PORTAL_BESPOKE
NEVER = datetime(1970, 1, 1, tzinfo=UTC)


async def read_until(database: Database, *saved: tuple[dict[int, datetime], set[int]]) -> datetime | None:
    async with database.transaction() as tx:
        for read, partitions in saved:
            await progress.save(tx, TOPIC, read, partitions)
        return await progress.read_until(tx, [TOPIC])


async def test_a_partition_that_was_never_read_is_waited_for(database: Database) -> None:
    now = clock.now()
    assert await read_until(database) is None
    assert await read_until(database, ({0: now}, {0, 1})) == NEVER
    assert await read_until(database, ({1: now}, {0, 1})) == now
    assert await read_until(database, ({}, {0, 1, 2})) == NEVER, "one was added"


async def test_a_partition_that_nobody_has_read_for_days_is_waited_for(database: Database) -> None:
    now = clock.now()
    old = now - timedelta(days=3)
    assert await read_until(database, ({0: now, 1: old}, {0, 1}), ({0: now}, {0, 1})) == old


async def test_a_partition_that_is_no_more_is_not(database: Database) -> None:
    now = clock.now()
    assert await read_until(database, ({0: now, 1: now - timedelta(days=3)}, {0, 1}), ({0: now}, {0})) == now


class OfOne:
    """A consumer of one partition of two, as a service's is while another process has the other."""

    def assignment(self) -> set[TopicPartition]:
        return {TopicPartition(TOPIC.value, 0)}

    def partitions_for_topic(self, _topic: str) -> set[int]:
        return {0, 1}

    async def end_offsets(self, partitions: set[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    async def position(self, _partition: TopicPartition) -> int:
        return 0


async def test_what_another_process_reads_counts_and_what_none_reads_is_known(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Consumer, "kafka", OfOne())
    consumer = Consumer(router.subscriptions[TOPIC], database, ContextRepo())
    stopping, keep = asyncio.Event(), progress.keeping(database)
    seen: list[Mapping[int, datetime]] = []

    async def on_read(topic: Topic, read: Mapping[int, datetime], partitions: Collection[int]) -> None:
        await keep(topic, read, partitions)
        seen.append(read)
        if len(seen) == 3:
            stopping.set()

    await progress.follow([consumer], database, on_read, stopping, every=0.001)
    assert [*seen[-1]] == [0]
    assert await read_until(database) == NEVER
    assert await read_until(database, ({1: clock.now()}, set())) == seen[-1][0]


async def test_until_when_several_topics_are_read_is_known_once_each_was_reported(database: Database) -> None:
    now, topics = clock.now(), [TOPIC, Topic.PORTAL_ENROLMENTS]
    hour_ago = now - timedelta(hours=1)
    async with database.transaction() as tx:
        await progress.save(tx, TOPIC, {0: now})
        assert await progress.read_until(tx, topics) is None
        await progress.save(tx, Topic.PORTAL_ENROLMENTS, {0: hour_ago})
        assert await progress.read_until(tx, topics) == hour_ago


@pytest.fixture
async def waits(database: Database) -> Callable[[datetime], Awaitable[None]]:
    """A function that puts an event of a moment into our outbox."""

    async def waits(created_at: datetime) -> None:
        async with database.transaction() as tx:
            tx.add(
                OutboxRow(
                    bucket=0, topic=TOPIC, key="k", event_id=uuid4(), type="t", source="s", data="{}",
                    created_at=created_at,
                )
            )  # fmt: skip

    return waits


@pytest.fixture
def followed(database: Database, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Awaitable[datetime]]:
    """A function that returns until when the partition is read."""
    monkeypatch.setattr(Consumer, "kafka", OfOne())
    consumer = Consumer(router.subscriptions[TOPIC], database, ContextRepo())

    async def followed() -> datetime:
        stopping, seen = asyncio.Event(), []

        async def on_read(_topic: Topic, read: Mapping[int, datetime], _all: Collection[int]) -> None:
            seen.append(read)
            if len(seen) == 3:
                stopping.set()

        await progress.follow([consumer], database, on_read, stopping, every=0.001)
        return seen[-1][0]

    return followed


async def test_what_waits_in_our_outbox_is_not_read(
    database: Database,
    waits: Callable[[datetime], Awaitable[None]],
    followed: Callable[[], Awaitable[datetime]],
) -> None:
    hour_ago = clock.now() - timedelta(hours=1)
    await waits(hour_ago)
    assert await followed() == hour_ago
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE outbox SET sent_at = now()"))
    assert await followed() > hour_ago


async def test_a_database_whose_clock_is_ahead_of_ours_makes_nothing_read_early(
    waits: Callable[[datetime], Awaitable[None]], followed: Callable[[], Awaitable[datetime]]
) -> None:
    await waits(clock.now() + timedelta(hours=1))
    assert await followed() <= clock.now()
