"""Postgres: one engine per process, transactions that survive cancellation, writes of many rows."""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any, TypeVar, cast

import asyncpg
from prometheus_client import Counter, Gauge
from sqlalchemy import (
    DateTime,
    MetaData,
    Row,
    Select,
    SQLColumnExpression,
    TextClause,
    event,
    inspect,
    text,
    tuple_,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import URL, CursorResult, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import registry
from sqlalchemy.pool import QueuePool
from sqlmodel import SQLModel

from shared import certificates

Rows = CursorResult[*tuple[Any, ...]]


class Transaction(AsyncSession):
    """A session inside a transaction that the edge commits (ADR 0016).

    ``scalars`` runs a statement made from the classes of ``tables.py``. Its instances are read, never
    written to. ``execute`` runs a named SQL statement for many rows.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._counted: list[tuple[Counter, int]] = []

    def count(self, metric: Counter, number: int = 1) -> None:
        """Add to a metric after the commit. A rollback adds nothing."""
        self._counted.append((metric, number))

    def committed(self) -> None:
        for metric, number in self._counted:
            metric.inc(number)

    async def execute(self, statement: Any, params: Any = None, **options: Any) -> Rows:
        """Return the rows, or the number of changed rows (``rowcount``)."""
        return cast("Rows", await super().execute(statement, params, **options))


CONNECTIONS = Gauge("parcours_database_connections", "Connections of the pool that are in use.")
MOST_CONNECTIONS = Gauge(
    "parcours_database_connections_most", "Connections that the pool may have; who wants another waits."
)

Timestamp: Any = DateTime(timezone=True)
"""``Any`` because SQLModel's ``sa_type`` expects a class and accepts an instance."""

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


def new_registry() -> registry:
    """``SQLModel.metadata`` is global and would mix the services."""
    return registry(metadata=MetaData(naming_convention=NAMES))


class DatabaseUnreachable(Exception):
    pass


class Database:
    """``after_commit`` is called after each commit: it wakes the relay or the queue of mails.

    ``info`` is the ``info`` of every transaction.
    """

    def __init__(
        self,
        url: str,
        *,
        application_name: str,
        pool_size: int = 10,
        info: Mapping[str, object] = MappingProxyType({}),
    ) -> None:
        self.url = async_url(url)
        self._info = info
        self.after_commit: Callable[[], None] = lambda: None
        self._engine = create_async_engine(
            self.url,
            pool_size=pool_size,
            max_overflow=0,
            # The connection used last first: its statements are prepared, and no more are opened than needed.
            pool_use_lifo=True,
            hide_parameters=True,  # they are names and addresses, and errors end in logs
            pool_timeout=30,
            pool_recycle=1800,
            connect_args={
                "timeout": 10,
                "command_timeout": 60,
                "server_settings": {
                    "application_name": application_name,
                    # Days of an interval are counted in this zone; with summer time not all have 24 h.
                    "timezone": "UTC",
                    # A transaction left open by a process that hangs must not hold locks for ever.
                    "idle_in_transaction_session_timeout": "60000",
                    # Nor may a statement whose process is gone: one that is there gives up after 60 s itself.
                    "statement_timeout": "65000",
                    "jit": "off",
                },
            },
        )

        self._autocommit = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        event.listen(self._engine.sync_engine, "connect", _look_up_array_types)
        event.listen(self._engine.sync_engine, "connect", _note_certificate)

    def export_pool(self) -> None:
        pool = self._engine.pool
        assert isinstance(pool, QueuePool)  # noqa: S101 for the type checker: nothing else is made above
        CONNECTIONS.set_function(pool.checkedout)
        MOST_CONNECTIONS.set(pool.size())

    async def check(self) -> None:
        """Raises :class:`DatabaseUnreachable`."""
        try:
            async with self._engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
        except (OSError, TimeoutError, DBAPIError, *_DRIVER) as error:
            raise DatabaseUnreachable(
                f"The database {self.url.render_as_string()} cannot be used ({_first_line(error)}). "
                "Check that it runs and that the *_DATABASE_URL setting is right."
            ) from error

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Commit at the end and call ``after_commit``, or roll back on any error."""
        async with self.quiet_transaction() as tx:
            yield tx
        self.after_commit()

    @asynccontextmanager
    async def quiet_transaction(self) -> AsyncIterator[Transaction]:
        """Open a transaction that publishes nothing: ``after_commit`` is not called.

        A task cancelled in the middle drops its connection instead of returning it to the pool inside an
        open transaction (SQLAlchemy issue 13381).
        """
        tx = Transaction(self._engine, autoflush=False, expire_on_commit=False, info=self._info)
        try:
            async with tx.begin():
                await tx.connection()  # now, so that work begins only with a database
                try:
                    yield tx
                except asyncio.CancelledError:
                    # Before the rollback: that gives the connection back to the pool.
                    await asyncio.shield(tx.invalidate())
                    raise
            tx.committed()
        finally:
            await asyncio.shield(tx.close())

    @asynccontextmanager
    async def autocommit(self) -> AsyncIterator[Transaction]:
        """Each statement is a transaction of its own, in one round trip: no ``BEGIN``, no ``COMMIT``."""
        tx = Transaction(self._autocommit, autoflush=False, expire_on_commit=False, info=self._info)
        try:
            yield tx
        except asyncio.CancelledError:
            await asyncio.shield(tx.invalidate())
            raise
        finally:
            await asyncio.shield(tx.close())

    async def execute_alone(self, statement: TextClause, params: Mapping[str, Any]) -> Sequence[Row[Any]]:
        async with self.autocommit() as tx:
            result = await tx.execute(statement, params)
            return result.all() if result.returns_rows else []

    async def close(self) -> None:
        await self._engine.dispose()


def _look_up_array_types(connection: Any, _record: Any) -> None:
    """Look up all array types when a connection opens, in one query.

    asyncpg would look up each type at its first use: 7 ms per type and connection, in the middle of work.
    """
    types = "bool", "bytea", "int2", "int4", "int8", "varchar", "timestamptz", "interval", "uuid", "jsonb"
    columns = ", ".join(f"CAST(${number} AS {name}[])" for number, name in enumerate(types, 1))
    connection.run_async(lambda driver: driver.prepare(f"SELECT {columns}"))


def _note_certificate(connection: Any, _record: Any) -> None:
    transport = connection.driver_connection._transport  # noqa: SLF001 asyncpg shows it nowhere else
    certificates.presented("database", transport.get_extra_info("peercert"))


def async_url(url: str) -> URL:
    """Raises ``ValueError``."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ValueError("is not a database URL such as postgresql://user:password@host:5432/name") from None
    if parsed.port is not None and not 0 < parsed.port < 65_536:
        raise ValueError(f"has the port {parsed.port}, but ports end at 65535")
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise ValueError(f"names {parsed.get_backend_name()}, but only PostgreSQL is supported")
    query = dict(parsed.query)
    if "sslmode" in query:  # libpq's name for what asyncpg calls ssl
        query["ssl"] = query.pop("sslmode")
    return parsed.set(drivername="postgresql+asyncpg", query=query)


Listing = TypeVar("Listing", bound=Select[Any])
FoundItem = TypeVar("FoundItem")


def next_to(
    query: Listing,
    place: Sequence[SQLColumnExpression[Any]],
    after: tuple[Any, ...] | None,
    before: tuple[Any, ...] | None = None,
    *,
    descending: bool = False,
) -> Listing:
    """Return the query for the rows of a sorted list after the row ``after``.

    ``place`` are the sort columns. With ``before`` the query returns the rows before that row, nearest first,
    so that a limit keeps the nearest.
    """
    edge = after if before is None else before
    falls = descending if before is None else not descending
    if edge is not None:
        row = tuple_(*place)
        query = query.where(row < edge if falls else row > edge)
    return query.order_by(*(column.desc() if falls else column for column in place))


def in_order(found: Iterable[FoundItem], before: object) -> list[FoundItem]:
    """A page ``before`` a row was read backwards."""
    page = list(found)
    return page if before is None else page[::-1]


async def insert_many(
    tx: Transaction, table: type[SQLModel], rows: Sequence[dict[str, Any]], *, then: str = ""
) -> Rows:
    """Insert ``rows`` in one statement, by ``unnest``: about forty times as fast as one by one.

    Every row has the same keys, which are column names. JSON columns take text. ``then`` follows the
    statement: ``ON CONFLICT …``, ``RETURNING …``.
    """
    return await insert_columns(tx, table, _columns(rows), then=then)


async def insert_columns(
    tx: Transaction, table: type[SQLModel], columns: Mapping[str, Any], *, then: str = ""
) -> Rows:
    """Insert whole columns, for hot paths. See :func:`insert_many`.

    A column is a list with a value for each row. Any other value is the same in every row and is sent once.
    """
    lists = tuple(name for name, values in columns.items() if isinstance(values, list))
    constants = tuple(name for name in columns if name not in lists)
    return await tx.execute(_insert_statement(table, lists, then, constants), dict(columns))


def once(values: list[Any]) -> Any:
    """Return a single value if it is the same in every row, so that it is sent once.

    Otherwise return all values.
    """
    first = values[0]
    return first if all(value is first for value in values) else values


async def update_many(
    tx: Transaction, table: type[SQLModel], rows: Sequence[dict[str, Any]], *, by: str
) -> Rows:
    """Find each row by its column ``by``, and update all in one statement."""
    columns = _columns(rows)
    return await tx.execute(_update_statement(table, tuple(columns), by), columns)


def _columns(rows: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


@functools.cache
def _insert_statement(
    table: type[SQLModel], columns: tuple[str, ...], then: str, constants: tuple[str, ...] = ()
) -> TextClause:
    values = ", ".join(("rows.*", *(_cast(table, name) for name in constants)))
    return text(
        f"INSERT INTO {table.__tablename__} ({_quoted((*columns, *constants))}) "  # noqa: S608 names of our own columns
        f"SELECT {values} FROM unnest({_arrays(table, columns)}) AS rows {then}"
    )


@functools.cache
def _update_statement(table: type[SQLModel], columns: tuple[str, ...], by: str) -> TextClause:
    changes = ", ".join(f'"{name}" = change."{name}"' for name in columns if name != by)
    return text(
        f"UPDATE {table.__tablename__} SET {changes} "  # noqa: S608 names of our own columns
        f"FROM unnest({_arrays(table, columns)}) AS change ({_quoted(columns)}) "
        f'WHERE {table.__tablename__}."{by}" = change."{by}"'
    )


def _quoted(columns: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


def _arrays(table: type[SQLModel], columns: Iterable[str]) -> str:
    return ", ".join(_cast(table, name, "[]") for name in columns)


def _cast(table: type[SQLModel], name: str, array: str = "") -> str:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy left it untyped
    return f"CAST(:{name} AS {inspect(table).columns[name].type.compile(dialect)}{array})"


_DRIVER = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""Errors of asyncpg that bypass SQLAlchemy when a connection fails.

The last one comes from the lookup of types.
"""
_TEMPORARY_STATES = (
    "08",  # connection
    "25",  # a transaction in the wrong state: the session timeout struck
    "28",  # a role or password that is not accepted (any more)
    "3D",  # a database that is not there (any more)
    "40",  # serialization failure, deadlock
    "42",  # missing table, column or privilege: the deployment is wrong, not the record
    "53",  # out of disk, memory or connections
    "55",  # lock not available
    "57",  # cancelled, shutting down
    "58",  # I/O error
    "XX",  # internal error
)


FAILURES: tuple[type[Exception], ...] = (OSError, PoolTimeout, DBAPIError, DatabaseUnreachable, *_DRIVER)
"""Errors of a database that fails or does not answer. :func:`is_temporary` tells which ones pass."""


def is_temporary(error: BaseException) -> bool:
    """Return whether the same work may succeed later: infrastructure failed, not the data.

    Source: PostgreSQL, appendix A, classes of SQLSTATE.
    """
    if isinstance(error, _DRIVER):  # the connection failed before SQLAlchemy had it
        return True
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None)
        if isinstance(state, str):
            return state.startswith(_TEMPORARY_STATES)
        if isinstance(getattr(error.orig, "__cause__", None), asyncpg.InternalClientError):
            return True
        return error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)
    return isinstance(error, OSError | TimeoutError | PoolTimeout | DatabaseUnreachable)


def _first_line(error: BaseException) -> str:
    cause = getattr(error, "orig", None) or error
    return (str(cause) or type(cause).__name__).splitlines()[0]
