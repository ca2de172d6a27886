"""The events of a topic, read from the beginning and as they are written."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from typing import Any

from aiokafka import AIOKafkaConsumer

Take = Callable[[str, datetime, Any], None]
"""Called with an event: the last word of its type before the version, its time, its data."""


@contextlib.asynccontextmanager
async def following(topic: str, connection: Mapping[str, Any], take: Take) -> AsyncIterator[None]:
    """Have `take` called with each event of a topic, once by its id, for the time of a `with`.

    `connection`: how aiokafka reaches the broker.
    """
    consumer = AIOKafkaConsumer(topic, **connection, auto_offset_reset="earliest")
    await consumer.start()
    reading = asyncio.create_task(_read(consumer, take))
    try:
        yield
    finally:
        reading.cancel()
        await _end_of(reading)
        # Where the broker is gone, aiokafka cancels what it waits for itself, and so its own stop.
        await _end_of(asyncio.create_task(consumer.stop()))


async def _end_of(task: asyncio.Task[None]) -> None:
    """Wait for the end of a task that may be cancelled. Raises what it raised; cancelled where we are."""
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()


async def _read(consumer: AIOKafkaConsumer, take: Take) -> None:
    seen: set[bytes] = set()
    async for record in consumer:
        headers = dict(record.headers)
        if headers["ce_id"] not in seen:
            seen.add(headers["ce_id"])
            name = headers["ce_type"].decode().split(".")[-2]
            take(name, datetime.fromisoformat(headers["ce_time"].decode()), json.loads(record.value))
