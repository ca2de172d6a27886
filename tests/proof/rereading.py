"""Has a consumer group read a topic again from its beginning."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, LeaderNotAvailableError

_GONE_SECONDS = 40.0
"""A process that was killed is a member of its group for so long at most."""


async def forget_offsets(kafka: Mapping[str, Any], service: str, topic: str) -> None:
    """Raises ``KafkaError`` if the group still has members after a time, or Kafka does not answer."""
    end = time.monotonic() + _GONE_SECONDS
    while True:
        try:
            await _commit_beginning(kafka, f"{service}.{topic}", topic)
        except KafkaError:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(1)
        else:
            return


async def _commit_beginning(kafka: Mapping[str, Any], group: str, topic: str) -> None:
    consumer = AIOKafkaConsumer(**kafka, group_id=group, enable_auto_commit=False)
    try:
        await consumer.start()
        await consumer.topics()
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        if not partitions:
            raise LeaderNotAvailableError(topic)
        consumer.assign(partitions)
        await consumer.commit(await consumer.beginning_offsets(partitions))
    finally:
        await consumer.stop()
