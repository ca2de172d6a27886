"""Migrated databases: one of each service for all tests of a worker, and new ones for who needs one alone."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from local.postgres import PostgresServer
from shared import migrations

_STATEMENTS = """
SELECT string_agg(part, ' UNION ALL ')
  FROM (SELECT format(
                 'SELECT CASE WHEN pg_relation_size(%1$L) > 1000000 THEN ''TRUNCATE %1$I CASCADE'' '
                 'ELSE ''DELETE FROM %1$I'' END WHERE EXISTS (SELECT FROM %1$I)', tablename) AS part
          FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'
         UNION ALL
        SELECT format('SELECT ''ALTER SEQUENCE %1$I RESTART'' FROM %1$I WHERE is_called', sequencename)
          FROM pg_sequences WHERE schemaname = 'public') AS parts
"""
"""Makes a query from the tables there are. That query gives the statements that empty the database.

The statements delete what there is, in any order: no trigger and no foreign key stops whoever runs them.
A large table is truncated, because its dead rows would be read again and again. A truncated table costs as
much as its files: with a few sessions and people 8 ms of the processor in all, deleted rows 3.
"""
_TABLES = "SELECT string_agg(tablename, ' ' ORDER BY tablename) FROM pg_tables WHERE schemaname = 'public'"

# What autovacuum noted about an emptied table would change the plans of the next tests.
_FORGET_ROWS = (
    "UPDATE pg_class SET reltuples = -1, relpages = 0 "
    "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND reltuples >= 0"
)


class MigratedDatabases:
    """The databases of one worker, on its own Postgres.

    Works in a thread of its own, so that it can be called wherever an event loop runs already.
    """

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._templates: set[str] = set()
        self._shared: dict[str, tuple[str, asyncpg.Connection]] = {}
        self._queries: dict[tuple[str, str], str] = {}
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="databases")

    def empty(self, service: str) -> str:
        """Empty the database of ``service`` that this worker's tests share, and return its URL.

        Fails after ten seconds when somebody still holds a lock there: a test that left a transaction open.
        """
        return self._thread.submit(self._empty, service).result()

    def new(self, service: str) -> str:
        """Return the URL of a database that nobody else has: 0.1 to 0.5 s, so only for who would spoil it."""
        return self._thread.submit(self._new, service).result()

    def close(self) -> None:
        """Close the connections."""
        self._thread.submit(self._close).result()
        self._thread.shutdown()

    def _empty(self, service: str) -> str:
        if service not in self._shared:
            url = self._new(service)
            settings = {"lock_timeout": "10s", "session_replication_role": "replica"}
            # The superuser alone may go without foreign keys.
            emptier = self._server.url(urlsplit(url).path.removeprefix("/"))
            connection = self._runner.run(asyncpg.connect(emptier, server_settings=settings, timeout=10))
            self._shared[service] = url, connection
        url, connection = self._shared[service]
        self._runner.run(self._delete(service, connection))
        return url

    async def _delete(self, service: str, connection: asyncpg.Connection) -> None:
        state = service, await connection.fetchval(_TABLES)
        if state not in self._queries:  # a test may have made a table
            self._queries[state] = await connection.fetchval(_STATEMENTS)
        needed = [row[0] for row in await connection.fetch(self._queries[state])]
        await connection.execute("; ".join([*needed, _FORGET_ROWS]))

    def _new(self, service: str) -> str:
        template = f"template_{service}"  # whose role owns the tables of its copies
        if service not in self._templates:
            url = self._server.create_database(template)
            migrations.upgrade(url, Path(f"services/{service}/migrations").absolute())
            self._templates.add(service)
        return self._server.fresh_database(owner=template, template=template)

    def _close(self) -> None:
        for _, connection in self._shared.values():
            self._runner.run(connection.close(timeout=10))
        self._runner.close()


@contextmanager
def migrated_databases(server: PostgresServer) -> Iterator[MigratedDatabases]:
    """Databases on ``server``, for as long as the block."""
    databases = MigratedDatabases(server)
    try:
        yield databases
    finally:
        databases.close()
