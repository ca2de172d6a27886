"""The enrolment service's HTTP on a real database, and the clients that send it requests."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from services.enrolment.app import compose, eraser
from services.enrolment.pages.manage.staff_area import STAFF_AREA
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import Request, SeatRequest, Withdrawal
from services.enrolment.service import requests as service
from services.enrolment.service import sessions as service_sessions
from services.enrolment.settings import Settings
from shared import clock
from shared.database import Database, Row
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Agent
from shared.messaging.erasure import Eraser
from shared.messaging.portals.registry import PortalsFile
from shared.process import Process
from tests.conftest import Ask, settings_of
from tests.support.builders import open_now
from tests.support.databases import MigratedDatabases
from tests.support.enrolment_on_postgres import KeptDatabase, New, sessions_on_postgres
from tests.support.pools import Pools
from tests.support.statements import execute

SelectRows = Callable[..., Awaitable[list[Row]]]

PROBLEM = "application/problem+json"

INTAKE_KEY = "whsec_aW50YWtlLXNlY3JldC1vZi10aGUtc2VydmljZXMtMzI="
TOKENS = [
    {"name": "assistance", "role": "support"},
    {"name": "advisor-bretagne", "role": "organiser", "delegation": "bretagne"},
    {"name": "advisor-corse", "role": "organiser", "delegation": "corse"},
    {"name": "siege", "role": "admin"},
]


@pytest.fixture
def database(enrolment_database: Database) -> Database:
    return enrolment_database


def a_tokens_file(folder: Path) -> Path:
    """Every token's secret is its owner's name."""
    path = folder / "tokens.json"
    entries = [entry | {"sha256": hashlib.sha256(entry["name"].encode()).hexdigest()} for entry in TOKENS]
    path.write_text(json.dumps(entries))
    return path


def a_portals_file(folder: Path) -> Path:
    """Portals, each with its name as token. Two have one issuer, one of them only in Corsica."""
    path = folder / "portals.json"
    entries = [
        {
            "portal": name,
            "issuer": issuer,
            "contact": "equipe@portail.example",
            "tokens": [{"sha256": hashlib.sha256(name.encode()).hexdigest()}],
            "delegations": delegations,
        }
        for name, issuer, delegations in (
            ("portail-bretagne", "portail-bretagne", None),
            ("portail-corse", "portail-bretagne", ["corse"]),
            ("portail-deux", "portail-deux", None),
        )
    ]
    path.write_text(json.dumps(entries))
    return path


ToApplication = Callable[..., FastAPI]


class ComposedProcesses:
    """Processes of this worker, each of one test at a time: to compose a process takes 20 ms."""

    def __init__(self, folder: Path, pools: Pools) -> None:
        self._usual: dict[str, Any] = {
            "api_tokens_file": a_tokens_file(folder),
            "portals_file": a_portals_file(folder),
            "intake_signing_key": INTAKE_KEY,
        }
        self._pools = pools
        self._free: list[tuple[dict[str, Any], Process]] = []

    def take(self, given: dict[str, Any]) -> Process:
        """Return a process with these settings that no test has now. To validate settings takes 5 ms."""
        for place, (settings, process) in enumerate(self._free):
            if settings == given:
                del self._free[place]
                return process
        with self._pools.used():
            return compose(Settings(**self._usual | given))

    async def give_back(self, given: dict[str, Any], process: Process) -> None:
        """Forget the visitors that the process has counted. A stopped process is not used again."""
        await process.database.close()
        process.api.state.guard._shares.clear()
        process.api.state.guard._let_in.clear()
        if not process.api.state.watch._stopped:
            self._free.append((given, process))


@pytest.fixture(scope="session")
def composed(tmp_path_factory: pytest.TempPathFactory, pools: Pools) -> ComposedProcesses:
    return ComposedProcesses(tmp_path_factory.mktemp("composed"), pools)


@pytest.fixture
async def application(enrolment_url: str, composed: ComposedProcesses) -> AsyncIterator[ToApplication]:
    """The HTTP of a service wired to the test's database, with settings of its own; nothing else runs."""
    environment = settings_of("enrolment", enrolment_url, "localhost:1")
    usual = {name.lower(): value for name, value in environment.items()}
    taken: list[tuple[dict[str, Any], Process]] = []

    def wired(**settings: Any) -> FastAPI:
        given = usual | settings
        process = composed.take(given)
        taken.append((given, process))
        return process.api

    yield wired
    for given, process in taken:
        await composed.give_back(given, process)


@pytest.fixture
async def visitor(application: ToApplication) -> AsyncIterator[httpx.AsyncClient]:
    """A browser that nobody has logged in with yet."""
    transport = httpx.ASGITransport(app=application())
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8001") as browser:
        yield browser


@pytest.fixture
async def organiser(visitor: httpx.AsyncClient) -> httpx.AsyncClient:
    """The browser of somebody of Bretagne, logged in."""
    answer = await visitor.post(STAFF_AREA.log_in, data={"jeton": "advisor-bretagne"})
    assert answer.status_code == 303
    return visitor


@pytest.fixture
async def asking(application: ToApplication) -> AsyncIterator[Callable[..., Ask]]:
    """``asking(setting=…)`` gives ``await ask("GET", "/path", by="siege", …)`` with httpx's own arguments."""
    clients: list[httpx.AsyncClient] = []

    def with_settings(**settings: Any) -> Ask:
        transport = httpx.ASGITransport(app=application(**settings))
        client = httpx.AsyncClient(transport=transport, base_url="http://enrolment")
        clients.append(client)

        async def ask(method: str, path: str, *, by: str | None = None, **fields: Any) -> httpx.Response:
            headers = {} if by is None else {b"authorization": f"Bearer {by}".encode()}
            headers |= {
                name.encode(): value.encode("latin-1") for name, value in fields.pop("headers", {}).items()
            }
            return await client.request(method, path, headers=headers, **fields)

        return ask

    yield with_settings
    for client in clients:
        await client.aclose()


@pytest.fixture
def ask(asking: Callable[..., Ask]) -> Ask:
    return asking()


@pytest.fixture
def rows(database: Database) -> Callable[..., Awaitable[list[Row]]]:
    """A function that returns the rows of a query."""
    return partial(execute, database)


@pytest.fixture(scope="session")
def kept_process(databases: MigratedDatabases) -> Iterator[KeptDatabase]:
    """An event loop beside that of the tests, and a database whose connections stay open in it."""
    with asyncio.Runner() as runner:
        database = Database(databases.empty("enrolment"), application_name="test")
        yield KeptDatabase(runner, database)
        runner.run(database.close())


@pytest.fixture
def a_session_on_postgres(
    enrolment_url: str, kept_process: KeptDatabase, monkeypatch: pytest.MonkeyPatch
) -> Iterator[New]:
    """A function that makes sessions on the test's empty database, at a moment that the test sets."""
    assert kept_process.database.url.database == enrolment_url.rpartition("/")[2]
    with sessions_on_postgres(kept_process, monkeypatch) as new:
        yield new


class Front:
    """Sessions and enrolments, made as portals and the catalogue make them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def publish(self, *sessions: SessionState) -> None:
        async with self._database.transaction() as tx:
            await service_sessions.apply_states(
                tx, {session.session_id: session for session in sessions}, Policy(), clock.now()
            )

    async def open(self, *agents: Agent, **changes: Any) -> SessionState:
        """Publish a session that is open now. These agents ask for a seat in this order."""
        session = open_now(**changes)
        await self.publish(session)
        await self.enrol(session, *agents)
        return session

    async def change(self, session: SessionState, **changes: Any) -> None:
        await self.publish(session.model_copy(update={"version": session.version + 1, **changes}))

    async def answer(self, *requests: Request, at: datetime | None = None) -> None:
        async with self._database.transaction() as tx:
            await service.process(tx, requests, Policy(), at or clock.now())

    async def enrol(self, session: SessionState, *agents: Agent, approved: bool = False) -> None:
        """Each asks for a seat, in this order."""
        now = clock.now()
        await self.answer(
            *(SeatRequest(uuid4(), now, session.session_id, agent, approved) for agent in agents)
        )

    async def withdraw(self, session: SessionState, agent: Agent) -> None:
        await self.answer(Withdrawal(uuid4(), clock.now(), session.session_id, agent.key, None))

    async def of(self, session: SessionState, agent: Agent) -> Row:
        """The last enrolment of an agent there."""
        query = (
            "SELECT * FROM enrolment "
            "WHERE session_id = :session AND issuer = :issuer AND agent_id = :agent_id "
            "ORDER BY updated_at DESC LIMIT 1"
        )
        async with self._database.quiet_transaction() as tx:
            found: Row = (
                await tx.execute(text(query), {"session": session.session_id, **agent.key._asdict()})
            ).one()
            return found

    async def states(self, session: SessionState, *agents: Agent) -> list[str]:
        """Where their last enrolments stand."""
        return [(await self.of(session, agent)).state for agent in agents]


@pytest.fixture
def front(database: Database) -> Front:
    return Front(database)


@pytest.fixture
def erasing(database: Database, portals: PortalsFile) -> Eraser:
    """How the service forgets an agent, and gives out what it has of them."""
    return eraser(database, portals, Policy())


def problem(answer: httpx.Response, status: int) -> list[str]:
    """The fields that a problem names."""
    request = answer.request
    asked = f"{request.method} {request.url} {request.headers.get('authorization')}"
    assert answer.status_code == status, f"{asked}: {answer.text}"
    assert answer.headers["content-type"] == PROBLEM
    body = answer.json()
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    return [error.get("field", "") for error in body.get("errors") or []]
