"""Public pages among 5,000 sessions: time to the first byte over HTTP, and the plans of the queries.

``python -m tests.benchmarks.pages`` prints both.
"""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import ClauseElement, Executable, Select, text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from local.postgres import PostgresServer
from services.catalogue import api, pages, tables
from services.catalogue.app import REVISIONS
from services.catalogue.offer_files.reading import OFFER
from services.catalogue.pages import filters
from services.catalogue.store import session_lists
from shared import clock, migrations
from shared.auth import Tokens
from shared.database import Database
from tests.support.catalogue import load
from tests.support.guards import a_guard
from tests.support.serving import serving

SESSIONS = 5_000
REQUESTS = 60
PAGES = {
    "home": "/",
    "list": "/sessions",
    "list_filtered": "/sessions?format=webinar&ouvertes=oui",
    "list_theme": "/sessions?theme=transition-ecologique",
    "search": "/sessions?recherche=transition+ecologique+des+territoires",
    "search_rare": "/sessions?recherche=mamoudzou+900",
    "api_list": "/api/v1/sessions?limit=50",
    "calendar": "/agenda.ics?delegation=bretagne",
}

_COLUMNS = [column.name for column in tables.metadata.tables["session"].columns if column.computed is None]
# Copies of the loaded sessions, spread over two years around today; every seat state occurs.
_MANY = f"""
INSERT INTO session ({", ".join(_COLUMNS)})
SELECT {", ".join(f"copy.{name}" for name in _COLUMNS)}
FROM session, LATERAL generate_series(1, :copies) AS n,
    LATERAL (SELECT now() + (n * 73 % 730 - 365) * interval '1 day' AS start) AS days,
    LATERAL jsonb_populate_record(session, jsonb_build_object(
        'session_id', gen_random_uuid(), 'reference', NULL, 'title', title || ' – ' || n,
        'announced', 3, 'next_announcement_at', NULL, 'reserved_seats', '[]'::jsonb,
        'enrolment_opens_at', start - interval '60 days', 'enrolment_closes_at', start - interval '5 days',
        'starts_at', start, 'ends_at', start + interval '7 hours')) AS copy
"""
_OCCUPANCY = """
INSERT INTO occupancy (session_id, version, capacity, enrolled, waiting, offered)
SELECT session_id, 1, capacity, coalesce(capacity, 100) * (hashtext(session_id::text) % 3 + 2) / 4, 0, 0
FROM session
"""


def run() -> dict[str, float]:
    """Milliseconds to the first byte of each page, as a client on this machine sees them: median and p95."""
    with _catalogue() as (address, _):
        return {f"{name}_{kind}_ms": value for name, kind, value in _first_bytes(address)}


def main() -> None:
    """Print the times and the plans."""
    with _catalogue() as (address, url):
        for name, kind, value in _first_bytes(address):
            print(f"{name:16} {kind:6} {value:8.1f} ms")
        for name, path in PAGES.items():
            if path.startswith("/sessions"):
                print(f"\n{name}: {path}")
                print("\n".join(f"    {line}" for line in asyncio.run(_plan(url, path))))


@contextmanager
def _catalogue() -> Iterator[tuple[str, str]]:
    with PostgresServer.temporary(durable=True) as postgres:
        url = postgres.create_database("catalogue")
        migrations.upgrade(url, REVISIONS, tables.metadata)

        @asynccontextmanager
        async def composed(address: str) -> AsyncIterator[object]:
            database = Database(url, application_name="bench")
            await _fill(database)
            guard = a_guard(database)
            web = api.build(database, Tokens(), guard)
            site = pages.Site(database=database, tokens=Tokens(), guard=guard, address=address)
            pages.mount(web, pages.build(site))
            yield web
            await database.close()

        with serving(composed) as address:
            yield address, url


async def _fill(database: Database, offer: Path = OFFER) -> None:
    summary = await load(database, offer)
    async with database.quiet_transaction() as tx:
        await tx.execute(text(_MANY), {"copies": SESSIONS // summary.new})
        await tx.execute(text(_OCCUPANCY))
        await tx.execute(text("ANALYZE"))


def _first_bytes(address: str) -> Iterator[tuple[str, str, float]]:
    with httpx.Client(base_url=address, headers={"accept-encoding": "gzip"}) as client:
        for name, path in PAGES.items():
            times = []
            for _ in range(REQUESTS):
                began = time.perf_counter()
                with client.stream("GET", path) as answer:
                    times.append((time.perf_counter() - began) * 1000)
                    answer.read()
                answer.raise_for_status()
            warm = sorted(times[10:])
            yield name, "median", statistics.median(warm)
            yield name, "p95", warm[int(len(warm) * 0.95)]


async def _plan(url: str, path: str) -> Sequence[str]:
    """How Postgres answers the query of a list."""
    wanted = filters.read(httpx.QueryParams(path.partition("?")[2])).search(clock.now())
    database = Database(url, application_name="bench-plans")
    try:
        async with database.quiet_transaction() as tx:
            return [
                row[0] for row in await tx.execute(_Explained(session_lists.page_query(wanted, None, 21)))
            ]
    finally:
        await database.close()


class _Explained(Executable, ClauseElement):
    """A query that is run for its plan."""

    inherit_cache = False

    def __init__(self, query: Select[*tuple[Any, ...]]) -> None:
        self.query = query


@compiles(_Explained)
def _explained(element: _Explained, compiler: SQLCompiler, **options: Any) -> str:
    query = compiler.process(element.query, **options)
    return f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, BUFFERS OFF) {query}"


if __name__ == "__main__":
    main()
