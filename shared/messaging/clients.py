"""Kafka clients for a single question: an admin client, and a reader."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient

from shared.messaging import fetched
from shared.messaging.broker import KafkaSettings, client_options


@asynccontextmanager
async def admin_client(settings: KafkaSettings, client_id: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """Connect an admin client for a ``with`` block. Raises ``KafkaError``."""
    admin = AIOKafkaAdminClient(**client_options(settings, client_id))
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


@asynccontextmanager
async def reading_client(
    settings: KafkaSettings, client_id: str, *, group_id: str | None = None
) -> AsyncIterator[AIOKafkaConsumer]:
    """Connect a consumer of committed records for a ``with`` block. Raises ``KafkaError``."""
    fetched.tolerate()
    consumer = AIOKafkaConsumer(
        **client_options(settings, client_id),
        group_id=group_id,
        enable_auto_commit=False,
        auto_offset_reset="earliest",  # otherwise the default position and a seek would race
        isolation_level="read_committed",
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()
