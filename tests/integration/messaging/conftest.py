"""A database with the mechanisms' tables, and consumers that run inside the test."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from faststream import ContextRepo
from typer.testing import CliRunner, Result

import shared.process
from services.enrolment.definition import DEFINITION
from shared import clock
from shared.cli.service import service_cli
from shared.database import Database
from shared.messaging.broker import KafkaSettings
from shared.messaging.consumer import Consumer
from shared.messaging.faststream import new_broker
from shared.messaging.offsets import COMMIT_SECONDS
from shared.messaging.router import REST_SECONDS, Router
from tests.conftest import settings_of
from tests.support.processes import SERVICES

RunOperator = Callable[..., Awaitable[Result]]
Consuming = Callable[[str, Database, Router], AbstractAsyncContextManager[list[Consumer]]]


@pytest.fixture
def database(enrolment_database: Database) -> Database:
    """That of the enrolment service: inbox, outbox and parking lot are the same in all."""
    return enrolment_database


@pytest.fixture
async def in_this_process(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Let a service run in the process of the tests, and take back what it changes there."""
    monkeypatch.setattr(shared.process, "tune_gc", lambda: None)
    yield
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().remove_signal_handler(number)


@pytest.fixture
def consuming() -> Consuming:
    """Take in what a router listens to on a broker, as a service does, for the time of a ``with``."""

    @asynccontextmanager
    async def run(
        bootstrap_servers: str, database: Database, router: Router
    ) -> AsyncIterator[list[Consumer]]:
        settings = KafkaSettings(kafka_bootstrap_servers=bootstrap_servers)
        broker, consumers = new_broker(settings, router, database, ContextRepo())
        await broker.start()
        committing = asyncio.create_task(broker.commit_offsets())
        try:
            yield consumers
        finally:
            for consumer in consumers:
                consumer.stopping.set()
            await committing
            await broker.stop()

    return run


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How many seconds were waited, each time; in order. Rests and commits of offsets are left out."""
    waited: list[float] = []
    pause = clock.pause

    async def noted(until: asyncio.Event, seconds: float) -> None:
        if seconds not in (COMMIT_SECONDS, REST_SECONDS):
            waited.append(seconds)
        await pause(until, seconds)

    monkeypatch.setattr(clock, "pause", noted)
    return waited


@pytest.fixture
def services_set_up(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Have the environment name the worker's databases of all services."""
    for service in SERVICES:
        url = request.getfixturevalue(f"{service}_url")
        for name, value in settings_of(service, url, "localhost:1").items():
            monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture
def operator(services_set_up: pytest.MonkeyPatch) -> RunOperator:
    """``await operator("dead-letters", "list")``: a command of the enrolment service, or of ``app``."""
    enrolment = service_cli(DEFINITION)

    async def run(*arguments: str, app: Any = enrolment) -> Result:
        # In a thread: the command line runs an event loop of its own.
        return await asyncio.to_thread(lambda: CliRunner().invoke(app, arguments))

    return run
