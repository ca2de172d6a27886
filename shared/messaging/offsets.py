"""Commits of offsets, gathered: a commit costs the broker as much as a small batch costs a service."""

import asyncio
import logging
from collections.abc import Sequence

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from prometheus_client import Counter

from shared import clock
from shared.events.cloudevents import Record
from shared.messaging.consumer import Consumer

log = logging.getLogger(__name__)

COMMIT_SECONDS = 1.0
"""Offsets of several batches are committed together. After a kill, the batches of this time come again."""
DEADLINE_SECONDS = 5.0

FAILURES = Counter("parcours_offset_commit_failures_total", "Commits of offsets to try again.", ["topic"])


class OffsetCommits(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka left it untyped
    """Commits the offsets of one consumer: once a second, before its partitions change, and at its stop.

    What cannot be committed before they change is forgotten, and its batches come again: if the topic was
    made again meanwhile, the old offset would skip its first records.
    """

    def __init__(self, consumer: Consumer) -> None:
        self.rebalances = 0
        self._consumer = consumer
        self._taken: dict[TopicPartition, int] = {}
        self._one_at_a_time = asyncio.Lock()

    async def taken(self, records: Sequence[Record], rebalances: int) -> None:
        """These records and all before them have had their effect.

        ``rebalances`` is the number of rebalances when the batch began.
        """
        if rebalances != self.rebalances:
            return
        self._taken |= {
            TopicPartition(record.topic, record.partition): record.offset + 1 for record in records
        }
        if self._consumer.stopping.is_set():
            await self.commit()

    async def run(self) -> None:
        """Commit until the stop. Raises an error that is not Kafka's."""
        while not self._consumer.stopping.is_set():
            await clock.pause(self._consumer.stopping, COMMIT_SECONDS)
            await self.commit()

    async def commit(self) -> None:
        """The commit fails if another process reads the partitions by now, or if Kafka does not answer."""
        async with self._one_at_a_time:
            taken, self._taken = self._taken, {}
            kafka, topic = self._consumer.kafka, self._consumer.subscription.topic
            if kafka is None:
                return
            owned = {partition: taken[partition] for partition in taken.keys() & kafka.assignment()}
            if not owned:
                return
            try:
                async with asyncio.timeout(DEADLINE_SECONDS):
                    await kafka.commit(owned)
            except (CommitFailedError, IllegalStateError):
                log.info("%s: the group changed before a commit; its batches come again", topic)
            except (KafkaError, TimeoutError) as error:
                FAILURES.labels(topic).inc()
                log.warning("%s: offsets cannot be committed yet (%s)", topic, type(error).__name__)
                self._taken = owned | self._taken

    async def on_partitions_revoked(self, revoked: object) -> None:
        del revoked
        await self.commit()
        self._taken.clear()
        self.rebalances += 1

    async def on_partitions_assigned(self, assigned: object) -> None:
        """Nothing is to be done."""
