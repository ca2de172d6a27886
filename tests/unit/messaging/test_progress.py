"""Until when a topic is read: never a moment before which something may still be in hand."""

from datetime import UTC, datetime, timedelta

import pytest
from aiokafka import TopicPartition

from shared import clock
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


class Watch:
    """Looks at a consumer once a second."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.consumer, self.progress, self.now = FakeConsumer(), ReadProgress(), START
        monkeypatch.setattr(clock, "now", lambda: self.now)

    async def look(self, *, busy: bool = False, batches: int = 0) -> float | None:
        """Until how many seconds after the start the partition is read, if that can be said now."""
        self.now += timedelta(seconds=1)
        read = await self.progress.read_until(self.consumer, busy=busy, batches=batches)
        return (read[P.partition] - START).total_seconds() if read else None


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    return Watch(monkeypatch)


async def test_an_empty_partition_is_read_until_the_look_before(watch: Watch) -> None:
    assert [await watch.look() for _ in range(3)] == [None, 1, 2]


async def test_what_is_handed_out_but_in_hand_is_not_read(watch: Watch) -> None:
    watch.consumer.end = watch.consumer.handed_out = 10
    assert await watch.look(busy=True) is None
    assert await watch.look(busy=True) is None
    assert await watch.look(busy=True, batches=1) == 1


async def test_what_was_handed_out_just_before_its_batch_began_is_not_read_either(watch: Watch) -> None:
    watch.consumer.end = watch.consumer.handed_out = 10
    assert await watch.look(busy=False) is None
    assert await watch.look(busy=True) is None
    assert await watch.look(busy=False, batches=1) == 1


async def test_behind_it_is_read_until_what_was_its_end_is_done(watch: Watch) -> None:
    watch.consumer.end, watch.consumer.handed_out = 100, 50
    assert await watch.look(busy=True) is None
    watch.consumer.end, watch.consumer.handed_out = 200, 99
    assert await watch.look(busy=True, batches=1) is None
    watch.consumer.handed_out = 120
    assert await watch.look(busy=True, batches=2) is None
    assert await watch.look(busy=True, batches=3) == 1
    watch.consumer.handed_out = 200
    assert await watch.look(busy=True, batches=4) is None
    assert await watch.look(busy=True, batches=5) == 4


async def test_a_batch_that_failed_and_comes_again_is_not_read(watch: Watch) -> None:
    watch.consumer.end = watch.consumer.handed_out = 10
    assert await watch.look(busy=True) is None
    watch.consumer.handed_out = 0
    assert await watch.look(busy=False) is None
    watch.consumer.handed_out = 10
    assert await watch.look(busy=True) is None
    assert await watch.look(busy=False, batches=1) == 1


async def test_a_partition_that_was_taken_away_is_begun_anew(watch: Watch) -> None:
    assert await watch.look() is None
    watch.consumer.partitions = set()
    assert await watch.look() is None
    watch.consumer.partitions = {P}
    watch.consumer.end = 5
    assert [await watch.look() for _ in range(2)] == [None, None]
