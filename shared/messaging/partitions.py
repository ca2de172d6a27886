"""The partition of a key, by Kafka's default partitioner."""

import asyncio
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2

from shared.events.cloudevents import Record
from shared.events.topics import Topic
from shared.messaging.broker import KafkaSettings
from shared.messaging.clients import admin_client

FORMER_COUNTS = timedelta(hours=1)
"""Producers learn of an increase late, so the former count stays valid this long."""
_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class PartitionNumber:
    """The partition count of a topic, present or until a moment."""

    number: int
    until: datetime | None = None


def partition_of(key: str, number: int) -> int:
    """Return the partition as the Java client and aiokafka choose it."""
    return _hash(key) % number


def lies_right(record: Record, key: str, numbers: Sequence[PartitionNumber]) -> bool:
    """Return whether the record lay in the key's partition at its receipt."""
    return any(
        record.partition == partition_of(key, known.number)
        for known in numbers
        if known.until is None or record.received_at < known.until + FORMER_COUNTS
    )


async def number_of_partitions(settings: KafkaSettings, topic: Topic) -> int:
    """Ask the broker how many partitions a topic has now. Raises ``ConnectionError``."""
    try:
        async with asyncio.timeout(_SECONDS), admin_client(settings, "parcours-partitions") as admin:
            [described] = await admin.describe_topics([topic.value])
    except (KafkaError, TimeoutError) as error:
        raise ConnectionError(f"the partitions of {topic} are not known: {error}") from error
    if not described["partitions"]:
        raise ConnectionError(f"the partitions of {topic} are not known: error {described['error_code']}")
    return len(described["partitions"])


@functools.lru_cache(maxsize=50_000)
def _hash(key: str) -> int:
    return int(murmur2(key.encode())) & 0x7FFFFFFF
