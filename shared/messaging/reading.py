"""Until when a topic is read: what a clock must know before it tells somebody that their time is over."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiokafka import TopicPartition

from shared import clock


@dataclass(slots=True)
class _Goal:
    """Where a partition ended at a moment; and how many batches were done when all before was handed out."""

    at: datetime
    end: int
    batches: int | None = None


class Reading:
    """How far one consumer has come. Looked at again and again, a second or so apart."""

    def __init__(self) -> None:
        self._goals: dict[TopicPartition, _Goal] = {}

    async def look(self, consumer: Any, *, busy: bool, batches: int) -> Mapping[int, datetime]:
        """The partitions of which all has had its effect that had come by some moment, and that moment.

        ``busy``: a batch is in hand; ``batches``: how many are done. What was handed out by the time of one
        look is done by the next if nothing is in hand then, or if a batch was finished in between. Offsets
        that are committed would not do: markers of transactions are never committed. Raises ``KafkaError``.
        """
        partitions = consumer.assignment()
        self._goals = {partition: goal for partition, goal in self._goals.items() if partition in partitions}
        if not partitions:
            return {}
        now = clock.now()
        ends = await consumer.end_offsets(partitions)
        read = {}
        for partition in partitions:
            position = await consumer.position(partition)
            goal = self._goals.get(partition)
            if goal is not None and position < goal.end:
                goal.batches = None  # not there yet, or a batch failed and comes again
            elif goal is not None and goal.batches is None:
                goal.batches = batches
            elif goal is not None and goal.batches is not None and (not busy or batches > goal.batches):
                read[partition.partition] = goal.at
                goal = None
            if goal is None:
                end = ends[partition]
                self._goals[partition] = _Goal(now, end, batches if position >= end else None)
        return read
