"""Until when a topic is read: never a moment before which something may still be in hand."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition

from shared import clock
from shared.database import Database
from shared.messaging import progress
from shared.messaging.progress import ReadProgress

P = TopicPartition("portal.enrolments", 3)
START = datetime(2025, 3, 20, 10, tzinfo=UTC)


class FakeConsumer:
    """What is asked of aiokafka's: where the partition ends, and how far it has been handed out."""

    def __init__(self) -> None:
        self.end, self.handed_out = 0, 0
        self.partitions = {P}

    def assignment(self) -> set[TopicPartition]:
        return self.partitions

    async def end_offsets(self, partitions: set[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, self.end)

    async def position(self, _partition: TopicPartition) -> int:
        return self.handed_out


Look = tuple[int, int, bool, int, float | None]
"""The partition's end, the position, whether a batch is in hand, how many are done; until when it is read."""

CASES: dict[str, list[Look]] = {
    "an empty partition, until the look before": [
        (0, 0, False, 0, None), (0, 0, False, 0, 1), (0, 0, False, 0, 2)
    ],
    "handed out, but in hand": [
        (10, 10, True, 0, None), (10, 10, True, 0, None), (10, 10, True, 1, 1)
    ],
    "handed out just before its batch began": [
        (10, 10, False, 0, None), (10, 10, True, 0, None), (10, 10, False, 1, 1)
    ],
    "behind, until the end of then is done": [
        (100, 50, True, 0, None), (200, 99, True, 1, None), (200, 120, True, 2, None), (200, 120, True, 3, 1),
        (200, 200, True, 4, None), (200, 200, True, 5, 4),
    ],
    "a batch that failed and comes again": [
        (10, 10, True, 0, None), (10, 0, False, 0, None), (10, 10, True, 0, None), (10, 10, False, 1, 1)
    ],
}  # fmt: skip


class Watch:
    """Looks at a consumer once a second."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.consumer, self.progress, self.now = FakeConsumer(), ReadProgress(), START
        monkeypatch.setattr(clock, "now", lambda: self.now)

    async def look(self, *, busy: bool = False, batches: int = 0) -> float | None:
        """Until how many seconds after the start the partition is read, if that is known now."""
        self.now += timedelta(seconds=1)
        read = await self.progress.read_until(self.consumer, self.now, busy=busy, batches=batches)
        return (read[P.partition] - START).total_seconds() if read else None


@pytest.mark.parametrize("looks", CASES.values(), ids=CASES)
async def test_nothing_is_read_while_it_may_be_in_hand(
    looks: list[Look], monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(monkeypatch)
    for end, handed_out, busy, batches, until in looks:
        watch.consumer.end, watch.consumer.handed_out = end, handed_out
        assert await watch.look(busy=busy, batches=batches) == until


async def test_a_partition_that_was_taken_away_is_begun_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(monkeypatch)
    assert await watch.look() is None
    watch.consumer.partitions = set()
    assert await watch.look() is None
    watch.consumer.partitions = {P}
    watch.consumer.end = 5
    assert [await watch.look() for _ in range(2)] == [None, None]


@pytest.mark.parametrize(("looked", "pause"), [(0.01, 1), (3, 30)])
async def test_a_long_outbox_is_looked_at_for_a_tenth_of_the_time(
    monkeypatch: pytest.MonkeyPatch, looked: float, pause: float
) -> None:
    stopping, moment = asyncio.Event(), iter((100.0, 100.0 + looked))
    pauses = []

    async def nothing_waits(_database: Database, _topics: Sequence[str]) -> dict[str, datetime]:
        return {}

    async def note(until: asyncio.Event, seconds: float) -> None:
        pauses.append(seconds)
        until.set()

    monkeypatch.setattr(progress, "_oldest_unsent", nothing_waits)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=moment.__next__))
    monkeypatch.setattr(clock, "pause", note)
    unused = Database("postgresql://nobody@nowhere/nothing", application_name="test")
    await progress.follow([], unused, progress.keeping(unused), stopping, every=1)
    assert pauses == [pytest.approx(pause)]
