import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from shared.messaging import groups
from shared.messaging.broker import KafkaSettings
from shared.messaging.clients import reading_client

MOST = 20_000
"""The most records that a search reads: a busy hour."""
_SECONDS = 20.0
_POLL_MS = 200
_ID = "ce_id"


@dataclass(frozen=True, slots=True)
class RecordPlace:
    event_id: str
    topic: str
    partition: int
    offset: int
    at: datetime


@dataclass(frozen=True, slots=True)
class _Time:
    since: datetime
    until: datetime


async def find(
    settings: KafkaSettings, topics: Collection[str], ids: Collection[str], since: datetime, until: datetime
) -> list[RecordPlace]:
    """Raises ``KafkaError``, ``TimeoutError``."""
    partitions = await groups.partitions_at(settings, topics)
    if not partitions or not ids:
        return []
    async with reading_client(settings, "parcours-places") as consumer, asyncio.timeout(_SECONDS):
        return await _read(consumer, partitions, set(ids), _Time(since, until))


async def _read(
    consumer: AIOKafkaConsumer, partitions: list[TopicPartition], ids: set[str], time: _Time
) -> list[RecordPlace]:
    # All questions first: while a fetch waits, a broker answers nothing else on that connection.
    since = int(time.since.timestamp() * 1000)
    starts = await consumer.offsets_for_times(dict.fromkeys(partitions, since))
    ends = await consumer.end_offsets(partitions)
    left = {partition for partition, start in starts.items() if start is not None}
    if left:
        consumer.assign(list(left))
    for partition in left:
        consumer.seek(partition, starts[partition].offset)
    found: list[RecordPlace] = []
    number = 0
    while left and number < MOST and len({place.event_id for place in found}) < len(ids):
        batches = await consumer.getmany(*left, timeout_ms=_POLL_MS)
        for partition, records in batches.items():
            number += len(records)
            for record in records:
                at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
                if at > time.until:
                    left.discard(partition)
                    break
                if (event_id := _id_of(record, ids)) is not None:
                    found.append(RecordPlace(event_id, record.topic, record.partition, record.offset, at))
        # A partition that gave records may have more: see history.read.
        left = {
            partition
            for partition in left
            if batches.get(partition) or await consumer.position(partition) < ends[partition]
        }
    return found


def _id_of(record: ConsumerRecord, ids: set[str]) -> str | None:
    for name, value in record.headers:
        if name == _ID:
            written = bytes(value or b"").decode(errors="replace")
            return written if written in ids else None
    value = bytes(record.value or b"")
    return next((known for known in ids if f'"{known}"'.encode() in value), None)
