"""The newest record of topics, as an operator asks for it: without a group, and without what it says."""

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime

from aiokafka import AIOKafkaConsumer

from shared.messaging import fetched, groups
from shared.messaging.broker import KafkaSettings, client_options

_SECONDS = 10.0
_LAST = 10
"""Offsets before the end that are looked at: the last may be markers of transactions."""
_POLL_MS = 200


async def stamp(settings: KafkaSettings, topics: Collection[str]) -> datetime | None:
    """Return the latest time stamp among the last records of these topics, None where there are none.

    Raises ``KafkaError``, ``TimeoutError``.
    """
    partitions = await groups.partitions_at(settings, topics)
    if not partitions:
        return None
    fetched.tolerate()
    consumer = AIOKafkaConsumer(
        **client_options(settings, "parcours-newest"),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        async with asyncio.timeout(_SECONDS):
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
    finally:
        await consumer.stop()
    return None if newest is None else datetime.fromtimestamp(newest / 1000, UTC)
