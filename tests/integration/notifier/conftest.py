"""A migrated database, a scripted relay, and deliverers between them."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, time
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from typer.testing import CliRunner, Result

from services.notifier import __main__, handlers, jobs
from services.notifier.delivery import deliverer as claiming
from services.notifier.delivery import workers
from services.notifier.delivery.deliverer import Deliverer
from services.notifier.delivery.pool import SmtpPool
from services.notifier.delivery.results import Timeouts
from services.notifier.letters import timing
from services.notifier.settings import SmtpServer, Tls
from services.notifier.store import bounces
from shared.database import Database
from shared.events.enrolment import AgentEnrolled
from shared.events.vocabulary import Event
from tests.conftest import settings_of
from tests.integration.notifier.events import enrolled, scheduled
from tests.support.consuming import received, take
from tests.support.smtp import ScriptedRelay, scripted_relay
from tests.support.statements import execute
from tests.unit.notifier.builders import a_decision, a_renderer


@pytest.fixture
def database(notifier_database: Database) -> Database:
    return notifier_database


@pytest.fixture
async def relay() -> AsyncIterator[ScriptedRelay]:
    async with scripted_relay() as relay:
        yield relay


@pytest.fixture(autouse=True)
def by_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """No letter waits for the morning, at whatever hour the tests run."""
    monkeypatch.setattr(timing, "MORNING", time.min)
    monkeypatch.setattr(timing, "NIGHT", time.max)


@pytest.fixture(autouse=True)
def without_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deliverer looks often for mails, and gathers results only as long as it does under load."""
    monkeypatch.setattr(claiming, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(workers, "SETTLE_LINGER_SECONDS", 0.005)


@asynccontextmanager
async def running(deliverer: Deliverer) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """A deliverer at work. What is yielded waits until there is nothing to do for it for now."""
    stopping = asyncio.Event()
    work = asyncio.create_task(deliverer.run(stopping))

    async def idle() -> None:
        waiting = asyncio.create_task(deliverer.idle.wait())
        await asyncio.wait([work, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        deliverer.idle.clear()

    try:
        yield idle
    finally:
        stopping.set()
        await work


async def until_idle(deliverer: Deliverer) -> None:
    """Run a deliverer until there is nothing to do for it for now, then stop it."""
    async with running(deliverer) as idle:
        await idle()


class Notifier:
    """The service without its process: events in, mails out, and a look at the queue."""

    def __init__(self, database: Database, relay: ScriptedRelay) -> None:
        self.database = database
        self.relay = relay

    async def hear(
        self,
        *events: Event,
        ids: Sequence[UUID] = (),
        at: datetime | None = None,
        issuer: str | None = "iel",
    ) -> list[UUID]:
        """Take in events of one topic, in one batch, through inbox and handler; then what they fan out to."""
        heard = await self.take(*events, ids=ids, at=at, issuer=issuer)
        await self.fan_out()
        return heard

    async def take(
        self,
        *events: Event,
        ids: Sequence[UUID] = (),
        at: datetime | None = None,
        issuer: str | None = "iel",
    ) -> list[UUID]:
        """Take in events of one topic, and no more. ``at`` is when the broker received them, if not now.

        ``issuer`` is that of the portal, where it is one that sends them.
        """
        ids = ids or [uuid4() for _ in events]
        batch = [received(event, event_id, at, issuer) for event, event_id in zip(events, ids, strict=True)]
        await take(handlers.router, self.database, batch)
        return list(ids)

    async def fan_out(self) -> None:
        """Do what the job does until nothing is left."""
        while await jobs.fan_out(self.database) is not None:
            pass

    def deliverer(
        self,
        *,
        workers: int = 4,
        timeouts: Timeouts | None = None,
        stop_seconds: float = 5,
        per_domain: int = 0,
        domain_rate: float = 0,
    ) -> Deliverer:
        return Deliverer(
            self.database,
            SmtpPool(
                SmtpServer("127.0.0.1", self.relay.port, Tls.NONE),
                size=workers,
                timeouts=timeouts or Timeouts(connect=5, command=5, data=5, final=5),
            ),
            a_renderer(),
            workers=workers,
            message_domain="cnfpt.example",
            stop_seconds=stop_seconds,
            per_domain=per_domain,
            domain_rate=domain_rate,
        )

    async def deliver(self, deliverer: Deliverer | None = None) -> int:
        """Run a deliverer until nothing is left to do for now. Returns how many mails it claimed."""
        before = await self._claims()
        await until_idle(deliverer or self.deliverer())
        return await self._claims() - before

    async def _claims(self) -> int:
        async with self.database.quiet_transaction() as tx:
            return int(await tx.scalar(text("SELECT coalesce(sum(claims), 0) FROM mail")) or 0)

    async def rows(self, columns: str = "*", where: str = "true") -> list[Any]:
        return await self.query(f"SELECT {columns} FROM mail WHERE {where} ORDER BY created_at, mail_id")

    async def query(self, sql: str) -> list[Any]:
        return await execute(self.database, sql)

    async def row(self) -> Any:
        (row,) = await self.rows()
        return row

    async def row_of(self, template: str) -> Any:
        """Return the only letter of this type."""
        (row,) = await self.rows(where=f"template = '{template}'")
        return row

    async def states(self) -> list[str]:
        return [row.state for row in await self.rows("state, created_at, mail_id")]

    async def are(self, states: list[str]) -> bool:
        """Return whether the mails are in these states, in any order."""
        return sorted(await self.states()) == states

    async def published(self) -> list[tuple[str, str]]:
        """Return the events in the outbox: type and data."""
        return [tuple(row) for row in await self.query("SELECT type, data FROM outbox ORDER BY id")]

    async def events(self, kind: type[Event]) -> list[dict[str, Any]]:
        """Return the data of the events of a kind in the outbox."""
        return [json.loads(data) for name, data in await self.published() if name == kind.TYPE]

    async def addressees(self, template: str) -> list[str]:
        """Return the recipients of a letter, sorted."""
        return sorted(row.recipient for row in await self.rows(where=f"template = '{template}'"))

    async def suppress(self, *addresses: str) -> None:
        """Mails to these addresses came back."""
        async with self.database.transaction() as tx:
            await bounces.suppress_bad(tx, dict.fromkeys(addresses, uuid4()))

    async def change(self, sql: str, **values: Any) -> None:
        await execute(self.database, sql, **values)


@pytest.fixture
def notifier(database: Database, relay: ScriptedRelay) -> Notifier:
    return Notifier(database, relay)


@pytest.fixture
async def known(notifier: Notifier) -> Notifier:
    """The session is known."""
    await notifier.hear(scheduled())
    return notifier


@pytest.fixture
async def queued(known: Notifier) -> Notifier:
    """One mail in the queue, its session known."""
    await known.hear(a_decision(AgentEnrolled))
    return known


async def queue_many(notifier: Notifier, number: int) -> None:
    await notifier.hear(*(enrolled(n) for n in range(number)))


@asynccontextmanager
async def browsing(app: FastAPI, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application in this process."""
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test", **options) as client:
        yield client


RunCommand = Callable[..., Awaitable[Result]]


@pytest.fixture
def command(notifier_url: str) -> RunCommand:
    """A function that runs a command of the service in this process."""

    async def run(*arguments: str, given: bytes = b"", **environment: str) -> Result:
        runner = CliRunner(env=settings_of("notifier", notifier_url, "localhost:1") | environment)
        return await asyncio.to_thread(lambda: runner.invoke(__main__.app, arguments, input=given))

    return run
