"""Knows whether all is read, and ends a process whose consumer hangs or is in no group.

aiokafka does not always recover: after a broker was killed under load, a consumer may wait for ever for an
answer, while all probes of its process are green.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from prometheus_client import Gauge

from shared import clock
from shared.messaging.consumer import Consumer
from shared.messaging.groups import Group

LOOK_SECONDS = 5.0
OUTDATED_SECONDS = 30.0
"""After this time a result is outdated: a look takes 10 s at most if Kafka hangs."""

CONSUMING = Gauge(
    "parcours_consuming",
    "1 while all topics of this process are read, each partition by somebody, and its outbox is published.",
)
OWNED = Gauge(
    "parcours_consumer_owned_partitions", "Partitions of the topic that this process reads.", ["topic"]
)
UNOWNED = Gauge(
    "parcours_consumer_unowned_partitions", "Partitions of the topic that no process reads.", ["topic"]
)
LAG = Gauge(
    "parcours_consumer_lag_records", "Records that wait in the partitions that this process reads.", ["topic"]
)
LAG_SECONDS = Gauge(
    "parcours_consumer_lag_seconds",
    "How far behind this process is in the partition where it is most: "
    "the age of the last record that it took in, 0 where it has all.",
    ["topic"],
)

Lags = Mapping[TopicPartition, int]


@dataclass(frozen=True, slots=True)
class Behind:
    """A process's partitions of a topic, the waiting records, and their age."""

    partitions: int
    records: int
    seconds: float


class Groups(Protocol):
    """See :class:`shared.messaging.groups.ConsumerGroups`."""

    async def look(self, topics: Mapping[str, str]) -> Mapping[str, Group] | None: ...


class Watchdog:
    """Watches the consumers of a process.

    A consumer without progress for ``limit`` seconds is stalled. While Kafka does not answer, no consumer is:
    a restart would not help. ``relay_trouble`` returns None while the outbox is published.
    """

    def __init__(
        self,
        consumers: Sequence[Consumer],
        groups: Groups,
        *,
        limit: float,
        relay_trouble: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._consumers = consumers
        self._groups = groups
        self._limit = limit
        self._relay_trouble = relay_trouble
        self._trouble: str | None = "Kafka has not been asked yet"
        self._began = self._looked_at = time.monotonic()
        self._at_end: dict[TopicPartition, float] = {}
        self.behind: Mapping[str, Behind] = {}
        CONSUMING.set_function(lambda: self.trouble() is None)

    def trouble(self) -> str | None:
        """Return why a topic is not read or the outbox not published, or None."""
        age = time.monotonic() - self._looked_at
        if age > OUTDATED_SECONDS:
            return f"what Kafka says is not known for {age:.0f} s"
        return self._trouble or self._relay_trouble()

    async def stalled(self, stopping: asyncio.Event) -> str | None:
        """Look until a consumer is stalled, and return a sentence about it.

        Returns None once ``stopping`` is set.
        """
        while not stopping.is_set():
            await self._look()
            for consumer in self._consumers:
                idle = time.monotonic() - consumer.since
                if idle > self._limit:
                    topic = consumer.subscription.topic
                    return f"the consumer of {topic} has made no progress for {idle:.0f} s"
            await clock.pause(stopping, min(LOOK_SECONDS, self._limit / 4))
        return None

    async def _look(self) -> None:
        consumers = self._consumers
        groups = await self._groups.look(
            {consumer.subscription.group_id: consumer.subscription.topic for consumer in consumers}
        )
        if groups is None:
            lags: Sequence[Lags | None] = [None] * len(consumers)
        else:
            lags = await asyncio.gather(*map(_lags, consumers))
        for consumer, lag in zip(consumers, lags, strict=True):
            if not consumer.busy and self._is_well(consumer, groups, lag):
                consumer.since = time.monotonic()
        self._trouble = self._found(groups)
        self._looked_at = time.monotonic()
        if groups is not None:
            self._measure(groups, lags)

    def _is_well(self, consumer: Consumer, groups: Mapping[str, Group] | None, lag: Lags | None) -> bool:
        if consumer.kafka is None or groups is None:
            return True
        is_member = consumer.member_id in groups[consumer.subscription.group_id].members
        return is_member and lag is not None and not any(lag.values())

    def _found(self, groups: Mapping[str, Group] | None) -> str | None:
        if groups is None:
            return "Kafka does not answer"
        for consumer in self._consumers:
            group = groups[consumer.subscription.group_id]
            trouble = group.trouble()
            if trouble is None and consumer.member_id not in group.members:
                trouble = "this process is not in its group"
            if trouble is not None:
                return f"{consumer.subscription.topic}: {trouble}"
        return None

    def _measure(self, groups: Mapping[str, Group], lags: Sequence[Lags | None]) -> None:
        by_topic: dict[str, list[tuple[int, float]]] = {}
        for consumer, lag in zip(self._consumers, lags, strict=True):
            behind = by_topic.setdefault(consumer.subscription.topic, [])
            behind += [
                (records, self._seconds_behind(consumer, partition, records))
                for partition, records in (lag or {}).items()
            ]
            UNOWNED.labels(consumer.subscription.topic).set(
                len(groups[consumer.subscription.group_id].unowned)
            )
        self.behind = {
            topic: Behind(
                len(behind),
                sum(records for records, _ in behind),
                max((seconds for _, seconds in behind), default=0),
            )
            for topic, behind in by_topic.items()
        }
        for topic, seen in self.behind.items():
            OWNED.labels(topic).set(seen.partitions)
            LAG.labels(topic).set(seen.records)
            LAG_SECONDS.labels(topic).set(seen.seconds)

    def _seconds_behind(self, consumer: Consumer, partition: TopicPartition, records: int) -> float:
        """Return the age of the last record taken in, at most the time since the consumer had all."""
        now = time.monotonic()
        if not records:
            self._at_end[partition] = now
            return 0.0
        ages = [now - self._at_end[partition]] if partition in self._at_end else []
        if (taken := consumer.taken_until.get(partition.partition)) is not None:
            ages.append((clock.now() - taken).total_seconds())
        return min(ages, default=now - self._began)


async def _lags(consumer: Consumer) -> Lags | None:
    """Return how many records wait, or None if the consumer's client does not answer.

    The broker is asked, because a consumer that hangs does not learn of new records. Its client is already
    behind the batch that is being handled, or that has failed and will come again.
    """
    if (kafka := consumer.kafka) is None:
        return None
    try:
        async with asyncio.timeout(5):
            ends = await kafka.end_offsets(kafka.assignment())  # of committed records only
            return {
                partition: max(0, end - await kafka.position(partition))
                + consumer.in_hand[partition.partition]
                for partition, end in ends.items()
            }
    except (KafkaError, TimeoutError):
        return None
