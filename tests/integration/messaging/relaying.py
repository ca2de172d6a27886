"""Relays, what is written for them, and what they published."""

import asyncio
import uuid
import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import text

from shared.database import Database
from shared.events.enrolment import SessionOccupancyChanged
from shared.events.vocabulary import Event
from shared.messaging import outbox
from shared.messaging.broker import KafkaSettings
from shared.messaging.outbox import BUCKETS, Outbox, OutboxEvent
from shared.messaging.relay import Relay
from tests.support.kafka import PublishedRecord, collect

TOPIC = SessionOccupancyChanged.TOPIC.value
_ROW = text(
    "INSERT INTO outbox (bucket, topic, key, event_id, type, source, data) "
    "VALUES (:bucket, :topic, :key, gen_random_uuid(), 'fr.cnfpt.test.Event.v1', '/services/test', :data)"
)


def news(session_id: uuid.UUID, version: int = 1) -> SessionOccupancyChanged:
    return SessionOccupancyChanged(
        session_id=session_id, version=version, capacity=20, enrolled=version, waiting=0, offered=0
    )


async def write(database: Database, *events: Event | OutboxEvent) -> list[uuid.UUID]:
    async with database.transaction() as tx:
        return await Outbox("enrolment").publish(tx, events)


async def write_rows(database: Database, *rows: tuple[str, str], topic: str = TOPIC) -> None:
    """Write rows, each a key and its data, in one transaction."""
    async with database.transaction() as tx:
        for key, data in rows:
            bucket = zlib.crc32(key.encode()) % BUCKETS
            await tx.execute(_ROW, {"bucket": bucket, "topic": topic, "key": key, "data": data})


async def unsent(database: Database) -> int:
    async with database.quiet_transaction() as tx:
        return (await outbox.unsent(tx))[0]


@asynccontextmanager
async def connected(database: Database, bootstrap_servers: str) -> AsyncIterator[Relay]:
    """A relay that publishes on request."""
    relay = Relay(database, KafkaSettings(kafka_bootstrap_servers=bootstrap_servers), "test")
    await relay.start()
    try:
        yield relay
    finally:
        await relay.close()


@asynccontextmanager
async def relaying(database: Database, bootstrap_servers: str) -> AsyncIterator[Relay]:
    """A relay that runs in the background, as in a service."""
    async with connected(database, bootstrap_servers) as relay:
        running = asyncio.create_task(relay.run())
        try:
            yield relay
        finally:
            await relay.stop()
            await running


async def publish_all(relay: Relay, database: Database) -> None:
    """Pass until nothing is left but what is held back: Postgres lets a dead relay's locks go in its time."""
    async with asyncio.timeout(20):
        while await unsent(database):
            await relay.publish_unsent()


async def published(bootstrap_servers: str, number: int, *keys: uuid.UUID) -> list[PublishedRecord]:
    """The records of these sessions, once there are so many."""
    wanted = {str(key) for key in keys}

    def ours(found: Sequence[PublishedRecord]) -> list[PublishedRecord]:
        return [record for record in found if record.key in wanted]

    return ours(await collect(bootstrap_servers, TOPIC, lambda found: len(ours(found)) >= number))


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Each part of a plan of Postgres."""
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)
