"""The watchdog: notices a consumer that hangs in a batch, takes nothing, or is in no group any more.

aiokafka does not always find its way back: after a broker was killed under load, a consumer may wait for ever
for an answer, and its process hear nothing, with all its probes green.
"""

import asyncio
import time
from collections.abc import Collection, Sequence
from typing import Protocol

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from shared import clock
from shared.messaging.consumer import Consumer


class Groups(Protocol):
    """Kafka's groups. See :class:`shared.messaging.groups.ConsumerGroups`."""

    async def members(self, group_ids: Collection[str]) -> Collection[str] | None:
        """Return the ids of all members of these groups; None: Kafka does not answer."""


async def stalled(
    consumers: Sequence[Consumer], groups: Groups, limit: float, stopping: asyncio.Event
) -> str | None:
    """Wait until a consumer has made no progress for ``limit`` seconds and return a sentence that names it.

    While Kafka does not answer nobody stalls: no restart of ours would bring it back. Returns None once
    ``stopping`` is set.
    """
    while not stopping.is_set():
        await clock.pause(stopping, min(5.0, limit / 4))
        members = await groups.members({consumer.subscription.group_id for consumer in consumers})
        for consumer in consumers:
            if not consumer.busy and (
                consumer.kafka is None
                or members is None
                or (consumer.member_id in members and await _has_caught_up(consumer.kafka))
            ):
                consumer.since = time.monotonic()
            idle = time.monotonic() - consumer.since
            if idle > limit:
                topic = consumer.subscription.topic
                return f"the consumer of {topic} has made no progress for {idle:.0f} s"
    return None


async def _has_caught_up(kafka: AIOKafkaConsumer) -> bool:
    """Whether the consumer has taken all that the broker has for it; False as well if its client hangs.

    The broker is asked, since a consumer that hangs does not learn of new records.
    """
    try:
        async with asyncio.timeout(5):
            ends = await kafka.end_offsets(kafka.assignment())  # of what is committed, for read_committed
            return all([await kafka.position(partition) >= end for partition, end in ends.items()])
    except (KafkaError, TimeoutError):
        return False
