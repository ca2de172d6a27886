"""The watchdog: who hangs, takes nothing or is in no group is noticed; who has nothing to take is not."""

import asyncio
import time
from collections.abc import Collection
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

    def __init__(self, kafka: Kafka | None, *, busy: bool = False, member_id: str = "here") -> None:
        self.kafka, self.busy, self.member_id, self.since = kafka, busy, member_id, 0.0
        self.subscription = type("Subscription", (), {"topic": P.topic, "group_id": "enrolment.group"})


class FakeGroups:
    """Kafka, which has one group, or is away."""

    def __init__(self, members: set[str] | None) -> None:
        self._members = members

    async def members(self, group_ids: Collection[str]) -> Collection[str] | None:
        assert group_ids == {"enrolment.group"}
        return self._members


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


async def watch(stopping: asyncio.Event, watched: Any, members: set[str] | None) -> str | None:
    consumers: list[Consumer] = [watched]
    return await watchdog.stalled(consumers, FakeGroups(members), LIMIT, stopping)


@pytest.mark.parametrize(
    ("watched", "members"),
    [
        (Watched(None), {"here"}),
        (Watched(Kafka()), {"here"}),
        (Watched(Kafka(end=7, position=7)), {"here", "elsewhere"}),
        (Watched(Kafka(error=KafkaError("the broker is away"))), None),
        (Watched(Kafka(), member_id=""), None),
    ],
    ids=["not started", "empty topic", "all taken", "Kafka away", "Kafka away before it joined"],
)
async def test_a_consumer_with_nothing_to_do_is_no_stalled_one(
    stopping: asyncio.Event, watched: Watched, members: set[str] | None
) -> None:
    assert await watch(stopping, watched, members) is None


@pytest.mark.parametrize(
    ("watched", "members"),
    [
        (Watched(Kafka(end=7, position=7), busy=True), {"here"}),
        (Watched(Kafka(end=7, position=7), busy=True), None),
        (Watched(Kafka(end=7, position=6)), {"here"}),
        (Watched(Kafka(error=KafkaError("no answer came"))), {"here"}),
        (Watched(Kafka(end=7, position=7)), {"elsewhere"}),
        (Watched(Kafka(end=7, position=7), member_id=""), {"elsewhere"}),
    ],
    ids=[
        "hangs over a batch",
        "hangs over a batch while Kafka is away",
        "takes nothing",
        "hears nothing while Kafka answers",
        "put out of its group",
        "never joined",
    ],
)
async def test_a_consumer_that_makes_no_progress_is_named(
    stopping: asyncio.Event, watched: Watched, members: set[str] | None
) -> None:
    named = await watch(stopping, watched, members)
    assert named == "the consumer of portal.enrolments has made no progress for 10 s"
