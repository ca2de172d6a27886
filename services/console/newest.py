import asyncio
from collections.abc import Collection
from datetime import UTC, datetime

from shared.messaging import groups
from shared.messaging.broker import KafkaSettings
from shared.messaging.clients import reading_client

_SECONDS = 10.0
_LAST = 10
"""The last offsets may be markers of transactions."""
_POLL_MS = 200


async def stamp(settings: KafkaSettings, topics: Collection[str]) -> datetime | None:
    """Return the latest time stamp among the last records, or None. Uses no consumer group.

    Raises ``KafkaError``, ``TimeoutError``.
    """
    partitions = await groups.partitions_at(settings, topics)
    if not partitions:
        return None
    async with reading_client(settings, "parcours-newest") as consumer, asyncio.timeout(_SECONDS):
        ends = await consumer.end_offsets(partitions)
        beginnings = await consumer.beginning_offsets(partitions)
        left = {partition for partition, end in ends.items() if end > beginnings[partition]}
        if left:
            consumer.assign(list(left))
        for partition in left:
            consumer.seek(partition, max(beginnings[partition], ends[partition] - _LAST))
        newest = None
        while left:
            for records in (await consumer.getmany(*left, timeout_ms=_POLL_MS)).values():
                for record in records:
                    newest = max(newest or record.timestamp, record.timestamp)
            left = {part for part in left if await consumer.position(part) < ends[part]}
    return None if newest is None else datetime.fromtimestamp(newest / 1000, UTC)
