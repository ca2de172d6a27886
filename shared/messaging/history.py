"""Reads topics to their present end, without a consumer group."""

import asyncio
from collections.abc import AsyncIterator, Collection
from datetime import UTC, datetime

from aiokafka import TopicPartition

from shared.events.topics import TOPICS, Topic
from shared.failures import OperatorError
from shared.messaging.broker import KafkaSettings
from shared.messaging.clients import reading_client
from shared.messaging.consumer import Delivery
from shared.messaging.consumer import read as read_record
from shared.messaging.faststream import record_of

PATIENCE_SECONDS = 30.0
_POLL_MS = 500


class HistoryCut(OperatorError):
    """A topic could not be read to its end. The message says which."""


async def read(
    settings: KafkaSettings,
    topics: Collection[Topic],
    *,
    since: datetime | None = None,
    newest: int | None = None,
) -> AsyncIterator[list[Delivery]]:
    """Yield all present records of these topics, in the order of each partition.

    ``since`` skips older records. ``newest`` limits the number of records of each partition.

    Later records may be among them, because the embedded broker reports the first record of its last batch as
    the end. The time of receipt is the time of publication. Raises ``KafkaError``, and :class:`HistoryCut` if
    the broker gives nothing more before the end.
    """
    async with reading_client(settings, "parcours-history") as consumer:
        partitions = [
            TopicPartition(topic.value, number)
            for topic in topics
            for number in range(TOPICS[topic].partitions)
        ]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        if since is not None:
            moment = int(since.timestamp() * 1000)
            found_at = await consumer.offsets_for_times(dict.fromkeys(partitions, moment))
            for partition, first in found_at.items():
                consumer.seek(partition, ends[partition] if first is None else first.offset)
        elif newest is not None:
            begins = await consumer.beginning_offsets(partitions)
            for partition in partitions:
                consumer.seek(partition, max(begins[partition], ends[partition] - newest))
        loop = asyncio.get_running_loop()
        progress_at = loop.time()
        # Compare positions, because the end may be the marker of a transaction instead of a record.
        while behind := [
            partition for partition in partitions if await consumer.position(partition) < ends[partition]
        ]:
            found = await consumer.getmany(*behind, timeout_ms=_POLL_MS)
            if found:
                progress_at = loop.time()
                yield [
                    read_record(record_of(raw, datetime.fromtimestamp(raw.timestamp / 1000, UTC)))
                    for records in found.values()
                    for raw in records
                ]
            elif loop.time() - progress_at > PATIENCE_SECONDS:
                topic, number = behind[0].topic, behind[0].partition
                raise HistoryCut(f"{topic}/{number} could not be read to its end. Run the command again.")
