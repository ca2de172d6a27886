"""A catalogue on a real database, and organisers who ask things of it."""

import asyncio
import hashlib
import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import insert, text

from services.catalogue import api, pages
from services.catalogue.offer_files.reading import OFFER
from services.catalogue.pages.site import DEFAULT_KEPT_DAYS
from services.catalogue.rules.offers import loaded_session_id
from services.catalogue.service import occupancy
from services.catalogue.service.acting import Acting
from services.catalogue.service.loading import Summary
from services.catalogue.settings import TrainingOrganisation
from services.catalogue.tables import OfferRow, ThemeRow
from shared.auth import Principal, Tokens
from shared.database import Database, Transaction
from shared.events.enrolment import SessionOccupancyChanged
from shared.events.index import BY_TYPE
from shared.events.vocabulary import Event, Format
from shared.permissions import Role
from shared.web.rendering import Sites
from tests.conftest import Ask, opened, pooled
from tests.support.catalogue import load
from tests.support.guards import a_guard
from tests.support.pools import Pools

RENNES = loaded_session_id("ia-et-territoires", "rennes")
MOOC = loaded_session_id("mooc-fondamentaux-ia", "printemps-2025")
AS_OF = date(2025, 3, 20)
"""A day on which the MOOC runs and is open, and most of the offer too."""

BRETAGNE, CORSE, ADMIN, PORTAL = "advisor-bretagne", "advisor-corse", "siege", "portail"
TOKENS = [  # the secret of each is its name
    {"name": BRETAGNE, "role": "organiser", "delegation": "bretagne"},
    {"name": CORSE, "role": "organiser", "delegation": "corse"},
    {"name": ADMIN, "role": "admin"},
    {"name": PORTAL, "role": "support"},
]


@pytest.fixture
def database(catalogue_database: Database) -> Database:
    return catalogue_database


@pytest.fixture
def tokens_file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens.json"
    entries = [entry | {"sha256": hashlib.sha256(entry["name"].encode()).hexdigest()} for entry in TOKENS]
    path.write_text(json.dumps(entries))
    return path


EventsOf = Callable[..., Awaitable[list[Event]]]


@asynccontextmanager
async def asking(database: Database, tokens_file: Path) -> AsyncIterator[Ask]:
    """``await ask("GET", "/sessions", by="siege", format="mooc")``: parameters, or JSON if not of a sheet."""
    application = api.build(database, Tokens(tokens_file), a_guard(database))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=application), base_url="http://catalogue/api/v1"
    ) as client:

        async def ask(
            method: str,
            path: str,
            *,
            by: str | None = None,
            if_match: str | None = None,
            if_none_match: str | None = None,
            content: bytes | None = None,
            **fields: Any,
        ) -> httpx.Response:
            headers = {} if by is None else {"authorization": f"Bearer {by}"}
            kind = None if content is None else "text/csv"
            given = {"if-match": if_match, "if-none-match": if_none_match, "content-type": kind}
            headers |= {name: value for name, value in given.items() if value is not None}
            if method == "GET" or content is not None:
                return await client.request(method, path, headers=headers, params=fields, content=content)
            return await client.request(method, path, headers=headers, json=fields)

        yield ask


@pytest.fixture
async def ask(database: Database, tokens_file: Path) -> AsyncIterator[Ask]:
    async with asking(database, tokens_file) as ask:
        yield ask


PUBLIC_URL = "https://parcours.example.org"
SITES = {
    "catalogue": PUBLIC_URL,
    "enrolment": "https://inscriptions.example.org",
    "notifier": "https://courriels.example.org",
}


@asynccontextmanager
async def visiting(
    database: Database,
    tokens_file: Path,
    kept_days: Mapping[str, int] = DEFAULT_KEPT_DAYS,
    organisation: TrainingOrganisation | None = None,
) -> AsyncIterator[httpx.AsyncClient]:
    """A browser without scripts, cookies kept, on the pages beside the API."""
    tokens = Tokens(tokens_file)
    web = api.build(database, tokens, a_guard(database))
    site = pages.Site(
        database=database,
        tokens=tokens,
        guard=a_guard(database),
        address=PUBLIC_URL,
        portal="https://portail.example.org/inscription?session={session_id}",
        kept_days=kept_days,
        organisation=organisation,
        sites=Sites.by(SITES.__getitem__),
    )
    pages.mount(web, pages.build(site))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=web), base_url=PUBLIC_URL) as browser:
        yield browser


@pytest.fixture
async def visitor(loaded_url: str, tokens_file: Path, pools: Pools) -> AsyncIterator[httpx.AsyncClient]:
    """Visit the shared catalogue, and leave it as it is."""
    async with pooled(loaded_url, pools) as database, visiting(database, tokens_file) as browser:
        yield browser


@pytest.fixture
async def visit(database: Database, tokens_file: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with visiting(database, tokens_file) as browser:
        yield browser


@pytest.fixture(scope="session")
def loaded_url(new_database: Callable[[str], str]) -> str:
    """A catalogue with the national offer, shared by tests that change nothing."""
    url = new_database("catalogue")

    async def fill() -> None:
        async with opened(url) as database:
            await load(database, as_of=AS_OF)

    asyncio.run(fill())
    return url


@pytest.fixture
async def look(loaded_url: str, tokens_file: Path, pools: Pools) -> AsyncIterator[Ask]:
    """Ask the shared catalogue for what leaves it as it is."""
    async with pooled(loaded_url, pools) as database, asking(database, tokens_file) as ask:
        yield ask


@pytest.fixture
def events_of(database: Database) -> EventsOf:
    """The events in the outbox, in order; of one key, or all."""

    async def events_of(key: UUID | str | None = None) -> list[Event]:
        query = text(
            "SELECT type, data FROM outbox WHERE CAST(:key AS text) IS NULL OR key = :key ORDER BY id"
        )
        async with database.quiet_transaction() as tx:
            rows = (await tx.execute(query, {"key": None if key is None else str(key)})).all()
        return [BY_TYPE[row.type].model_validate_json(row.data) for row in rows]

    return events_of


@pytest.fixture
async def offer(database: Database) -> Summary:
    """The national offer, loaded so that today is 20 March 2025: the MOOC runs and is open."""
    return await load(database, as_of=AS_OF)


async def an_offer(database: Database, offer_id: str, *, kind: Format, **terms: Any) -> str:
    texts = {"offer_id": offer_id, "title": "Un essai", "summary": "Un essai.", "source": "illustrative"}
    row: dict[str, Any] = {"format": kind.value, "themes": [], "terms": terms, "choices": []}
    async with database.quiet_transaction() as tx:
        await tx.execute(insert(OfferRow).values(**row, **texts))
    return offer_id


@pytest.fixture
async def an_empty_offer(database: Database) -> str:
    """An offer without sessions, whose terms are those of local events; and a theme."""
    async with database.quiet_transaction() as tx:
        await tx.execute(insert(ThemeRow).values(theme="enjeux-ia", title="Enjeux"))
    terms = {"closes_days_before": 5, "waiting_list": "automatic", "capacity": 30}
    return await an_offer(database, "essai", kind=Format.LOCAL_EVENT, **terms)


BESPOKE_OFFER = "sur-mesure-enjeux-ia"


@pytest.fixture
async def a_bespoke_offer(database: Database) -> str:
    """A bespoke offer with the terms that the loaded ones have."""
    terms = {"closes_days_before": 15, "capacity": 20, "minimum": 12}
    return await an_offer(database, BESPOKE_OFFER, kind=Format.BESPOKE, **terms)


def in_days(days: float) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)


def a_draft_of(offer_id: str, **changes: Any) -> dict[str, Any]:
    """A session in forty days that is open now."""
    fields: dict[str, Any] = {
        "offer_id": offer_id,
        "enrolment_opens_at": in_days(-1).isoformat(),
        "starts_at": in_days(40).isoformat(),
        "ends_at": in_days(40.3).isoformat(),
        "venue": "Rennes",
    }
    return fields | changes


@asynccontextmanager
async def time_is(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> AsyncIterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr("shared.clock.now", lambda: moment)
        yield


def problem(answer: httpx.Response, status: int) -> list[str]:
    """The fields that a problem names."""
    request = answer.request
    asked = f"{request.method} {request.url} {request.headers.get('authorization')}"
    assert answer.status_code == status, f"{asked}: {answer.text}"
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (body["status"], bool(body["title"]), bool(body["detail"])) == (status, True, True)
    return [error["field"] for error in body.get("errors") or []]


async def shown(ask: Ask, path: str, **query: Any) -> Any:
    answer = await ask("GET", path, **query)
    assert answer.is_success, answer.text
    return answer.json()


async def listed(ask: Ask, path: str = "/sessions", **query: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await shown(ask, path, **query))["items"]
    return items


async def change(ask: Ask, session_id: str, *, by: str = BRETAGNE, **fields: Any) -> dict[str, Any]:
    return _done(await ask("PATCH", f"/sessions/{session_id}", by=by, **fields))


def _done(answer: httpx.Response) -> dict[str, Any]:
    assert answer.is_success, answer.text
    session: dict[str, Any] = answer.json()
    return session


async def drafted(ask: Ask, offer_id: str, *, by: str = BRETAGNE, **changes: Any) -> dict[str, Any]:
    return _done(await ask("POST", "/sessions", by=by, **a_draft_of(offer_id, **changes)))


async def published(ask: Ask, offer_id: str, *, by: str = BRETAGNE, **changes: Any) -> str:
    draft = await drafted(ask, offer_id, by=by, **changes)
    return str(_done(await ask("POST", f"/sessions/{draft['session_id']}/publish", by=by))["session_id"])


@pytest.fixture
async def session_id(an_empty_offer: str, ask: Ask) -> str:
    return await published(ask, an_empty_offer)


@pytest.fixture
async def draft_id(an_empty_offer: str, ask: Ask) -> str:
    return str((await drafted(ask, an_empty_offer))["session_id"])


def begun() -> dict[str, str]:
    days = {"enrolment_opens_at": -9, "starts_at": -0.1, "ends_at": 0.2}
    return {name: in_days(number).isoformat() for name, number in days.items()}


def kinds(events: list[Event]) -> list[type[Event]]:
    return [type(event) for event in events]


async def audited(database: Database, subject: object) -> list[tuple[str, str, int, dict[str, Any]]]:
    """The actor, the action, the version and the changes of each entry of the subject's history, in order."""
    query = text(
        "SELECT actor, action, version, changes FROM audit_log WHERE subject = CAST(:id AS uuid) ORDER BY id"
    )
    async with database.quiet_transaction() as tx:
        return [tuple(row) for row in await tx.execute(query, {"id": str(subject)})]


async def seats_taken(database: Database, session_id: UUID | str, enrolled: int, waiting: int = 0) -> None:
    """Hear from enrolment how full a session of thirty seats is."""
    counted = {"version": 1, "capacity": 30, "enrolled": enrolled, "waiting": waiting, "offered": 0}
    async with database.transaction() as tx:
        event = SessionOccupancyChanged(session_id=UUID(str(session_id)), **counted)
        await occupancy.record(tx, [event])


def edited(tmp_path: Path, file: str, old: str, new: str) -> Path:
    """The offer's files with one change, the first place where ``old`` stands."""
    copy = tmp_path / "offer"
    shutil.copytree(OFFER, copy)
    content = (copy / file).read_text()
    assert old in content
    (copy / file).write_text(content.replace(old, new, 1))
    return copy


def acting(tx: Transaction, name: str = BRETAGNE, delegation: str | None = "bretagne") -> Acting:
    role = Role.ADMIN if delegation is None else Role.ORGANISER
    return Acting(tx, Principal(name=name, role=role, delegation=delegation))
