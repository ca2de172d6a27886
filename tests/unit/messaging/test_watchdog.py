"""The watchdog: who hangs over a batch or takes nothing is noticed; who has nothing to take is not."""

import asyncio
import time
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from shared import clock
from shared.messaging import watchdog
from shared.messaging.consumer import Consumer

P = TopicPartition("portal.enrolments", 3)
LIMIT = 8.0
"""Seconds; the watchdog looks each two."""


class Kafka:
    """What is asked of aiokafka's consumer."""

    def __init__(self, end: int = 0, position: int = 0, error: Exception | None = None) -> None:
        self.end, self.at, self.error = end, position, error

    def assignment(self) -> set[TopicPartition]:
        return {P}

    async def end_offsets(self, partitions: set[TopicPartition]) -> dict[TopicPartition, int]:
        if self.error is not None:
            raise self.error
        return dict.fromkeys(partitions, self.end)

    async def position(self, _partition: TopicPartition) -> int:
        return self.at


class Watched:
    """What the watchdog knows of a consumer."""

    def __init__(self, kafka: Kafka | None, *, busy: bool = False) -> None:
        self.kafka, self.busy, self.since = kafka, busy, 0.0
        self.subscription = type("Subscription", (), {"topic": P.topic})


@pytest.fixture
def stopping(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Time passes by pauses alone, and the process stops after a minute."""
    stop, now = asyncio.Event(), [0.0]

    async def pause(until: asyncio.Event, seconds: float) -> None:
        now[0] += seconds
        if now[0] > 60:
            until.set()

    monkeypatch.setattr(clock, "pause", pause)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return stop


async def watch(stopping: asyncio.Event, watched: Any) -> str | None:
    consumers: list[Consumer] = [watched]
    return await watchdog.stalled(consumers, LIMIT, stopping)


@pytest.mark.parametrize(
    "watched",
    [
        Watched(None),
        Watched(Kafka()),
        Watched(Kafka(end=7, position=7)),
        Watched(Kafka(error=KafkaError("the broker is away"))),
    ],
    ids=["not started", "empty topic", "all taken", "broker away"],
)
async def test_a_consumer_with_nothing_to_do_is_no_stalled_one(
    stopping: asyncio.Event, watched: Watched
) -> None:
    assert await watch(stopping, watched) is None


@pytest.mark.parametrize(
    "watched",
    [Watched(Kafka(end=7, position=7), busy=True), Watched(Kafka(end=7, position=6))],
    ids=["hangs over a batch", "takes nothing"],
)
async def test_a_consumer_that_makes_no_progress_is_named(stopping: asyncio.Event, watched: Watched) -> None:
    assert await watch(stopping, watched) == "the consumer of portal.enrolments has made no progress for 10 s"
