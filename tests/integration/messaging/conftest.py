"""A database with the mechanisms' tables, and consumers that run inside the test."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from shared.database import Database
from shared.messaging.broker import KafkaSettings, new_broker
from shared.messaging.consumer import Intake, Subscriptions, router_for

Eventually = Callable[..., Awaitable[None]]
Consuming = Callable[[str, Database, Subscriptions], AbstractAsyncContextManager[list[Intake]]]


@pytest.fixture
def database(enrolment_database: Database) -> Database:
    """That of the enrolment service: inbox, outbox and parking lot are the same in all."""
    return enrolment_database


@pytest.fixture
def consuming() -> Consuming:
    """Run subscriptions on a broker as a service does, for the time of a ``with``."""

    @asynccontextmanager
    async def run(
        bootstrap_servers: str, database: Database, subscriptions: Subscriptions
    ) -> AsyncIterator[list[Intake]]:
        settings = KafkaSettings(kafka_bootstrap_servers=bootstrap_servers)
        router, intakes = router_for(subscriptions, database, settings)
        broker = new_broker(settings, subscriptions.service, [router])
        await broker.start()
        try:
            yield intakes
        finally:
            for intake in intakes:
                intake.stopping.set()
            await broker.stop()

    return run
