"""Until when a topic is read: what a clock must know before it tells somebody that their time is over."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from shared import clock
from shared.database import is_temporary
from shared.events.topics import Topic
from shared.messaging.consumer import Consumer

log = logging.getLogger(__name__)

OnRead = Callable[[Topic, Mapping[int, datetime]], Awaitable[None]]
"""Is told until when each partition in hand is read: all that came before has had its effect."""


async def follow(consumers: Sequence[Consumer], on_read: OnRead, stopping: asyncio.Event) -> None:
    """Tell ``on_read``, each second, until when each partition of these consumers is read."""
    followed = [(consumer, ReadProgress()) for consumer in consumers]
    while not stopping.is_set():
        # At once: a broker answers none of a consumer's questions while it has nothing for its fetch.
        await asyncio.gather(*(_tell(on_read, consumer, progress) for consumer, progress in followed))
        await clock.pause(stopping, 1.0)


async def _tell(on_read: OnRead, consumer: Consumer, progress: "ReadProgress") -> None:
    topic = consumer.subscription.topic
    if consumer.kafka is None:
        return
    try:
        async with asyncio.timeout(5):
            read = await progress.read_until(consumer.kafka, busy=consumer.busy, batches=consumer.batches)
        if read:
            await on_read(topic, read)
    except Exception as error:
        if not isinstance(error, KafkaError) and not is_temporary(error):
            raise
        log.warning("How far %s is read cannot be said (%s)", topic, type(error).__name__)


@dataclass(slots=True)
class _Goal:
    """Where a partition ended at a moment; and how many batches were done when all before was handed out."""

    at: datetime
    end: int
    batches: int | None = None


class ReadProgress:
    """How far one consumer has come. Asked again and again, a second or so apart."""

    def __init__(self) -> None:
        self._goals: dict[TopicPartition, _Goal] = {}

    async def read_until(
        self, kafka: AIOKafkaConsumer, *, busy: bool, batches: int
    ) -> Mapping[int, datetime]:
        """The partitions of which all has had its effect that had come by some moment, and that moment.

        ``busy``: a batch is in hand; ``batches``: how many are done. What was handed out by the time of one
        question is done by the next if nothing is in hand then, or if a batch was finished in between.
        Offsets that are committed would not do: markers of transactions are never committed. Raises
        ``KafkaError``.
        """
        partitions = kafka.assignment()
        self._goals = {partition: goal for partition, goal in self._goals.items() if partition in partitions}
        if not partitions:
            return {}
        now = clock.now()
        ends = await kafka.end_offsets(partitions)
        read = {}
        for partition in partitions:
            position = await kafka.position(partition)
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
