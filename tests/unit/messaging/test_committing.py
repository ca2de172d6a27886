"""The offsets of batches are committed together, and before another process may read on."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, KafkaError
from faststream import ContextRepo

from services.contracts import ROUTERS
from shared import clock
from shared.database import Database
from shared.events.cloudevents import Record
from shared.messaging import offsets
from shared.messaging.broker import KafkaSettings
from shared.messaging.consumer import Consumer
from shared.messaging.faststream import new_broker
from shared.messaging.offsets import OffsetCommits
from tests.support.metrics import metric

TOPIC = "portal.enrolments"
OURS, OTHERS = TopicPartition(TOPIC, 0), TopicPartition(TOPIC, 1)


class CommittingClient:
    """Reads partition 0, and keeps what is committed, after the given errors."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.committed: list[Mapping[TopicPartition, int]] = []
        self.has_committed = asyncio.Event()
        self.during_commit: Callable[[], Awaitable[object]] = AsyncMock()

    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset({OURS})

    async def commit(self, taken: Mapping[TopicPartition, int]) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.committed.append(taken)
        await self.during_commit()
        self.has_committed.set()


class CommittingConsumer:
    subscription = SimpleNamespace(topic=TOPIC)

    def __init__(self, kafka: CommittingClient) -> None:
        self.kafka = kafka
        self.stopping = asyncio.Event()


def commits_of(kafka: CommittingClient) -> tuple[OffsetCommits, CommittingConsumer]:
    consumer: Any = CommittingConsumer(kafka)
    return OffsetCommits(consumer), consumer


def records(partition: int, *numbers: int) -> list[Record]:
    return [Record(TOPIC, partition, number, b"", b"", (), clock.now()) for number in numbers]


@asynccontextmanager
async def running(commits: OffsetCommits, consumer: CommittingConsumer) -> AsyncIterator[None]:
    task = asyncio.create_task(commits.run())
    try:
        yield
    finally:
        consumer.stopping.set()
        await asyncio.wait_for(task, 10)


async def test_the_offsets_of_several_batches_are_committed_together_a_little_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(offsets, "COMMIT_SECONDS", 0.01)
    kafka = CommittingClient()
    commits, consumer = commits_of(kafka)
    async with running(commits, consumer):
        for _ in range(2):  # also after a first commit
            kafka.has_committed.clear()
            await commits.taken(records(0, 4, 5), 0)
            await commits.taken(records(0, 6), 0)
            assert not kafka.has_committed.is_set()
            await asyncio.wait_for(kafka.has_committed.wait(), 10)
    assert kafka.committed == [{OURS: 7}, {OURS: 7}]


async def test_a_batch_that_ends_during_a_commit_is_committed_by_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(offsets, "COMMIT_SECONDS", 0.01)
    kafka = CommittingClient()
    commits, consumer = commits_of(kafka)

    async def take_another() -> None:
        kafka.during_commit = AsyncMock()
        await commits.taken(records(0, 5), 0)

    kafka.during_commit = take_another
    await commits.taken(records(0, 4), 0)
    async with running(commits, consumer):
        for _ in range(2):
            await asyncio.wait_for(kafka.has_committed.wait(), 10)
            kafka.has_committed.clear()
    assert kafka.committed == [{OURS: 5}, {OURS: 6}]


async def test_offsets_are_committed_before_the_partitions_go_to_another_process() -> None:
    kafka = CommittingClient()
    commits, _ = commits_of(kafka)
    await commits.taken(records(0, 4), 0)
    await commits.on_partitions_revoked({OURS})
    assert kafka.committed == [{OURS: 5}]


async def test_an_offset_that_could_not_be_committed_before_a_rebalance_is_never_committed() -> None:
    """The topic may have been deleted, and made again: the offset would pass over its first records."""
    kafka = CommittingClient(KafkaError())
    commits, _ = commits_of(kafka)
    await commits.taken(records(0, 4), 0)
    await commits.on_partitions_revoked({OURS})
    await commits.commit()
    assert kafka.committed == []


async def test_a_batch_that_ends_after_a_rebalance_is_not_committed() -> None:
    kafka = CommittingClient()
    commits, _ = commits_of(kafka)
    before = commits.rebalances
    await commits.on_partitions_revoked({OURS})
    await commits.taken(records(0, 4), before)
    await commits.commit()
    assert kafka.committed == []
    await commits.taken(records(0, 0), commits.rebalances)
    await commits.commit()
    assert kafka.committed == [{OURS: 1}]


async def test_a_batch_that_ends_during_the_stop_is_committed_at_once() -> None:
    kafka = CommittingClient()
    commits, consumer = commits_of(kafka)
    consumer.stopping.set()
    await commits.taken(records(0, 4), 0)
    assert kafka.committed == [{OURS: 5}]


async def test_the_offsets_of_a_partition_that_another_process_reads_are_left_to_it() -> None:
    kafka = CommittingClient()
    commits, _ = commits_of(kafka)
    await commits.taken([*records(0, 4), *records(1, 9)], 0)
    await commits.commit()
    await commits.commit()
    assert kafka.committed == [{OURS: 5}]


@pytest.mark.parametrize(
    ("error", "level", "counted", "then"),
    [
        (CommitFailedError(), "INFO", 0, []),
        (KafkaError(), "WARNING", 1, [{OURS: 5}]),
        (TimeoutError(), "WARNING", 1, [{OURS: 5}]),
    ],
    ids=["the-group-changed", "kafka-fails", "kafka-is-silent"],
)
async def test_a_commit_that_fails_is_logged_and_tried_again_if_the_group_is_the_same(
    error: Exception, level: str, counted: int, then: list[object], caplog: pytest.LogCaptureFixture
) -> None:
    failures_before = metric("parcours_offset_commit_failures_total", topic=TOPIC)
    kafka = CommittingClient(error)
    commits, _ = commits_of(kafka)
    await commits.taken(records(0, 4), 0)
    with caplog.at_level(logging.INFO):
        await commits.commit()
    assert [record.levelname for record in caplog.records] == [level]
    assert metric("parcours_offset_commit_failures_total", topic=TOPIC) == failures_before + counted
    await commits.commit()
    assert kafka.committed == then


async def test_an_error_that_is_not_kafkas_ends_the_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offsets, "COMMIT_SECONDS", 0.01)
    commits, _ = commits_of(CommittingClient(ValueError("unexpected")))
    await commits.taken(records(0, 4), 0)
    with pytest.raises(ValueError, match="unexpected"):
        await asyncio.wait_for(commits.run(), 10)


async def test_the_commits_end_at_the_stop_although_kafka_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offsets, "DEADLINE_SECONDS", 0.01)
    kafka = CommittingClient()
    kafka.during_commit = asyncio.Event().wait
    commits, consumer = commits_of(kafka)
    await commits.taken(records(0, 4), 0)
    async with running(commits, consumer):
        await asyncio.sleep(0)  # it waits for the next commit
    assert kafka.committed == [{OURS: 5}], "the stop of the broker tries the last time"
    await asyncio.wait_for(commits.commit(), 10)


async def test_a_stop_commits_while_the_clients_are_open(monkeypatch: pytest.MonkeyPatch) -> None:
    kafka = CommittingClient()
    monkeypatch.setattr(Consumer, "kafka", kafka)
    database = Database("postgresql://x@localhost/x", application_name="test")
    nowhere = KafkaSettings(kafka_bootstrap_servers="localhost:1")
    broker, _ = new_broker(nowhere, ROUTERS["catalogue"], database, ContextRepo())
    [first, *_] = broker.commits
    await first.taken(records(0, 4), 0)
    await broker.stop()
    assert kafka.committed == [{OURS: 5}]
