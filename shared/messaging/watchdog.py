"""The watchdog: notices a consumer that hangs in a batch, or that has records to take and takes none."""

import asyncio
import time
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from shared import clock
from shared.messaging.consumer import Consumer


async def stalled(consumers: Sequence[Consumer], limit: float, stopping: asyncio.Event) -> str | None:
    """Wait until a consumer has made no progress for ``limit`` seconds and return a sentence that names it.

    Returns None once ``stopping`` is set.
    """
    while not stopping.is_set():
        await clock.pause(stopping, min(5.0, limit / 4))
        for consumer in consumers:
            if not consumer.busy and (consumer.kafka is None or await _has_caught_up(consumer.kafka)):
                consumer.since = time.monotonic()
            idle = time.monotonic() - consumer.since
            if idle > limit:
                topic = consumer.subscription.topic
                return f"the consumer of {topic} has made no progress for {idle:.0f} s"
    return None


async def _has_caught_up(kafka: AIOKafkaConsumer) -> bool:
    """Whether the consumer has taken all that the broker has for it, or the broker does not answer.

    The broker is asked, since a consumer that hangs does not learn of new records.
    """
    partitions = kafka.assignment()
    try:
        async with asyncio.timeout(5):
            ends = await kafka.end_offsets(partitions)  # of what is committed, for read_committed
    except (KafkaError, TimeoutError):
        return True  # the broker is away, and no restart of ours would bring it back
    try:
        async with asyncio.timeout(5):
            return all([await kafka.position(partition) >= end for partition, end in ends.items()])
    except (KafkaError, TimeoutError):
        return False  # it does not know its own position
