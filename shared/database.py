"""Postgres: one engine per process, and transactions that survive cancellation."""

import asyncio
import contextlib
import functools
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar, cast, overload

import asyncpg
from asyncpg.prepared_stmt import PreparedStatement
from prometheus_client import Counter, Gauge
from sqlalchemy import (
    DateTime,
    Executable,
    MetaData,
    ScalarResult,
    Select,
    TextClause,
    event,
    text,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import URL, CursorResult, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine
from sqlalchemy.orm import registry
from sqlalchemy.pool import QueuePool
from sqlalchemy.sql.dml import ReturningInsert
from sqlalchemy.sql.selectable import TypedReturnsRows
from sqlmodel import SQLModel

from shared import certificates
from shared.failures import OperatorError

T = TypeVar("T")
Instance = TypeVar("Instance", bound=SQLModel)

_DIALECT = postgresql.asyncpg.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy left it untyped
_PARAMETER = re.compile(r"(?<![:\w\\]):(\w+)(?!:)")
_MOST_PREPARED = 200
"""A connection keeps this many statements prepared."""
_STREAMED = 1_000
"""Rows of a stream that are read at once."""
_BEGIN_AND_PLAN_ONCE = (
    "BEGIN; SET LOCAL plan_cache_mode = force_generic_plan; "
    "SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off"
)


class Row(asyncpg.Record):
    """A row that a text statement returned. Its columns are its attributes."""

    __slots__ = ()

    if TYPE_CHECKING:

        def __eq__(self, other: object) -> bool: ...  # as a tuple too
        def __hash__(self) -> int: ...

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class Rows(list[Any]):
    """``rowcount`` is the number of returned rows, or of changed rows."""

    def __init__(self, rows: Iterable[Any], rowcount: int | None = None) -> None:
        super().__init__(rows)
        self.rowcount = len(self) if rowcount is None else rowcount

    def all(self) -> list[Any]:
        return self

    def one(self) -> Any:
        """Raises ``ValueError`` if there is not exactly one row."""
        [row] = self
        return row

    def one_or_none(self) -> Any:
        """Raises ``ValueError`` if there are several rows."""
        return self.one() if self else None

    def scalars(self) -> "Rows":
        return Rows(row[0] for row in self)

    def scalar_one(self) -> Any:
        return self.one()[0]


class Statement(NamedTuple):
    text: TextClause
    params: Mapping[str, Any]


class Transaction:
    """A transaction that the edge commits (ADR 0016), on one connection.

    A statement in text goes to asyncpg itself (ADR 0065). A statement made from the classes of ``tables.py``
    goes through a session of SQLAlchemy. Instances are read, and only :meth:`add`, :meth:`merge` and
    :meth:`delete` write them.
    """

    def __init__(self, connection: AsyncConnection, info: Mapping[str, Any]) -> None:
        self.connection = connection
        self.info = info
        self.publishes = False
        """Set by the outbox: the transaction stores events, so its commit wakes the relay."""
        raw: Any = connection.sync_connection.connection  # type: ignore[union-attr]  # it is connected
        self.driver: asyncpg.Connection[Row] = raw.driver_connection
        self._prepared: dict[str, PreparedStatement[Row]] = raw.info.setdefault("prepared", {})
        self._orm_session: AsyncSession | None = None
        self._counted: list[tuple[Counter, int]] = []

    def count(self, metric: Counter, number: int = 1) -> None:
        """Add to a metric after the commit. A rollback adds nothing."""
        self._counted.append((metric, number))

    def committed(self) -> None:
        counted, self._counted = self._counted, []
        for metric, number in counted:
            metric.inc(number)

    async def execute(self, statement: Executable, params: Mapping[str, Any] | None = None) -> Rows:
        if isinstance(statement, TextClause):
            return await self._fetch(statement, params or {})
        result = await self._session.execute(statement, params)
        if not isinstance(result, CursorResult):
            return Rows(result)
        return Rows(result if result.returns_rows else (), result.rowcount)

    async def execute_together(self, statements: Sequence[Statement]) -> Rows:
        """Execute statements that write, in one round trip. Return the result of the last one.

        Each is an INSERT, UPDATE or DELETE without WITH and without bound values. No statement sees what
        another one writes, and no two may write the same row.
        """
        if len(statements) < 2:
            return await self.execute(*statements[0]) if statements else Rows(())
        params = {
            f"{name}_{number}": value
            for number, statement in enumerate(statements)
            for name, value in statement.params.items()
        }
        return await self.execute(_together(tuple(statement.text for statement in statements)), params)

    @overload
    async def scalars(self, statement: TextClause, params: Mapping[str, Any] | None = None) -> Rows: ...
    @overload
    async def scalars(self, statement: TypedReturnsRows[tuple[T]] | Select[T]) -> ScalarResult[T]: ...
    async def scalars(self, statement: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Return the first column of the rows, or the instances."""
        if isinstance(statement, TextClause):
            return (await self._fetch(statement, params or {})).scalars()
        return await self._session.scalars(statement)

    @overload
    async def scalar(self, statement: TextClause, params: Mapping[str, Any] | None = None) -> Any: ...
    @overload
    async def scalar(
        self, statement: TypedReturnsRows[tuple[T]] | Select[T] | ReturningInsert[T]
    ) -> T | None: ...
    async def scalar(self, statement: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Return None without a row."""
        rows = await self.execute(statement, params)
        return rows[0][0] if rows else None

    async def stream(self, statement: TextClause, params: Mapping[str, Any]) -> AsyncIterator[Row]:
        sql, arguments = _positional(statement, params)
        with self._translated_errors(sql, params):
            prepared = await self._prepare(sql)
            async for row in prepared.cursor(*arguments, prefetch=_STREAMED):
                yield row

    async def get(
        self,
        table: type[Instance],
        key: object,
        *,
        populate_existing: bool = False,
        with_for_update: bool | dict[str, bool] | None = None,
    ) -> Instance | None:
        return await self._session.get(
            table, key, populate_existing=populate_existing, with_for_update=with_for_update
        )

    def add(self, instance: object) -> None:
        self._session.add(instance)

    async def merge(self, instance: Instance) -> Instance:
        return await self._session.merge(instance)

    async def delete(self, instance: object) -> None:
        await self._session.delete(instance)

    async def flush(self) -> None:
        if self._orm_session is not None:
            await self._orm_session.flush()

    def savepoint(self) -> "Savepoint":
        return Savepoint(self.driver)

    async def close(self) -> None:
        """Return the connection to the pool, or drop it if it is closed or still in a transaction."""
        if self._orm_session is not None:
            await self._orm_session.close()
        if self.driver.is_closed() or self.driver.is_in_transaction():
            await self.connection.invalidate()
        await self.connection.close()

    @property
    def _session(self) -> AsyncSession:
        if self._orm_session is None:
            self._orm_session = AsyncSession(self.connection, autoflush=False, expire_on_commit=False)
        return self._orm_session

    async def _fetch(self, statement: TextClause, params: Mapping[str, Any]) -> Rows:
        sql, arguments = _positional(statement, params)
        with self._translated_errors(sql, params):
            prepared = await self._prepare(sql)
            rows = await prepared.fetch(*arguments)
        number = str(prepared.get_statusmsg()).rpartition(" ")[2]  # the 5 of "INSERT 0 5"
        return Rows(rows, int(number) if number.isdecimal() else None)

    @contextmanager
    def _translated_errors(self, sql: str, params: Mapping[str, Any]) -> Iterator[None]:
        """Raise asyncpg's errors as SQLAlchemy's, and prepare the statement anew after one."""
        try:
            yield
        except _DRIVER as error:
            if isinstance(error, asyncpg.InvalidCachedStatementError):
                self._prepared.clear()
            self._prepared.pop(sql, None)
            cast("Any", error).detail = None  # the detail quotes rows, and errors are logged
            raise DBAPIError(
                sql,
                params,
                cast("Exception", error),
                hide_parameters=True,
                connection_invalidated=self.driver.is_closed(),
            ) from error

    async def _prepare(self, sql: str) -> "PreparedStatement[Row]":
        prepared = self._prepared.pop(sql, None)
        if prepared is None:
            if len(self._prepared) >= _MOST_PREPARED:
                del self._prepared[next(iter(self._prepared))]  # the least recently used statement
            prepared = await self.driver.prepare(sql, record_class=Row)
        self._prepared[sql] = prepared
        return prepared


class Savepoint:
    """A part of a transaction that an error, or :meth:`roll_back`, undoes alone.

    Instances that were read or added in the part stay in the session after a rollback.
    """

    def __init__(self, driver: "asyncpg.Connection[Row]") -> None:
        self._driver = driver

    async def __aenter__(self) -> Self:
        await self._driver.execute("SAVEPOINT part")
        return self

    async def __aexit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is not None:
            await self.roll_back()
        await self._driver.execute("RELEASE part")

    async def roll_back(self) -> None:
        await self._driver.execute("ROLLBACK TO part")


@functools.lru_cache(maxsize=4096)
def _together(statements: tuple[TextClause, ...]) -> TextClause:
    """Return one statement. The names of the parameters end in the number of their part."""
    *first, last = (
        _PARAMETER.sub(rf":\1_{number}", statement.text) for number, statement in enumerate(statements)
    )
    parts = ", ".join(f"part_{number} AS ({part}\n)" for number, part in enumerate(first))
    return text(f"WITH {parts} {last}")


@functools.lru_cache(maxsize=4096)
def _compiled(statement: TextClause) -> tuple[str, tuple[str, ...], Mapping[str, Any]]:
    """Return a statement as asyncpg takes it, the names of its parameters in order, and bound values."""
    compiled = statement.compile(dialect=_DIALECT)
    bound = {name: value for name, value in compiled.params.items() if value is not None}
    return compiled.string, tuple(compiled.positiontup or ()), bound


def _positional(statement: TextClause, params: Mapping[str, Any]) -> tuple[str, list[Any]]:
    sql, names, bound = _compiled(statement)
    return sql, [params[name] if name in params else bound[name] for name in names]


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


class DatabaseUnreachable(OperatorError):
    pass


class Database:
    """``after_commit`` is called after each commit: it wakes the queue of mails.

    ``after_publishing`` is called if the transaction stored events to publish: it wakes the relay.
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
        self.after_publishing: Callable[[], None] = lambda: None
        self._engine = create_async_engine(
            self.url,
            pool_size=pool_size,
            max_overflow=0,
            # The last used connection comes first: its statements are prepared, and no unneeded one is
            # opened.
            pool_use_lifo=True,
            # This class begins and ends transactions, not SQLAlchemy.
            isolation_level="AUTOCOMMIT",
            hide_parameters=True,  # parameters are names and addresses, and errors are logged
            pool_timeout=30,
            pool_recycle=1800,
            connect_args={
                "timeout": 10,
                "command_timeout": 60,
                "server_settings": {
                    "application_name": application_name,
                    # Days of an interval are counted in this zone; with summer time not all have 24 h.
                    "timezone": "UTC",
                    # A process that hangs must not hold locks for ever by an open transaction.
                    "idle_in_transaction_session_timeout": "60000",
                    # Ends also the statement of a dead process. A living one gives up after 60 s itself.
                    "statement_timeout": "65000",
                    "jit": "off",
                },
            },
        )
        event.listen(self._engine.sync_engine, "connect", _look_up_array_types)
        event.listen(self._engine.sync_engine, "connect", _note_certificate)
        event.listen(self._engine.sync_engine, "checkout", _skip_lost)

    def export_pool(self) -> None:
        pool = self._engine.pool
        assert isinstance(pool, QueuePool)  # noqa: S101 for the type checker: only a QueuePool is made above
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
        """Commit at the end and wake the relay or the queue of mails, or roll back on any error."""
        async with self.quiet_transaction() as tx:
            yield tx
        self.after_commit()
        if tx.publishes:
            self.after_publishing()

    @asynccontextmanager
    async def quiet_transaction(self, *, plan_once: bool = False) -> AsyncIterator[Transaction]:
        """Wake nobody: the transaction publishes nothing, or nobody waits for its events.

        With ``plan_once`` each connection plans the statements once, without sequential scans and sorts. For
        statements that run all day: to plan them can cost more than to run them. Postgres must be able to run
        each statement only by an index, because it may plan it while the tables are empty (ADR 0067).
        """
        async with self.autocommit() as tx:
            try:
                await tx.driver.execute(_BEGIN_AND_PLAN_ONCE if plan_once else "BEGIN")
            except BaseException:
                # The server may have begun it all the same, and the next statements would join it.
                await asyncio.shield(tx.connection.invalidate())
                raise
            try:
                yield tx
                await tx.flush()
            except asyncio.CancelledError:
                raise
            except BaseException:
                # A lost connection cannot roll back, and need not.
                with contextlib.suppress(*_DRIVER, OSError):
                    await tx.driver.execute("ROLLBACK")
                raise
            await tx.driver.execute("COMMIT")

    @asynccontextmanager
    async def autocommit(self) -> AsyncIterator[Transaction]:
        """Each statement is its own transaction, in one round trip: no ``BEGIN``, no ``COMMIT``.

        A cancelled task drops its connection, because a statement may still run on it.
        """
        tx = Transaction(await self._engine.connect(), self._info)
        try:
            yield tx
            await tx.flush()
            tx.committed()
        except asyncio.CancelledError:
            await asyncio.shield(tx.connection.invalidate())
            raise
        finally:
            await asyncio.shield(tx.close())

    async def execute_alone(self, statement: TextClause, params: Mapping[str, Any]) -> Rows:
        async with self.autocommit() as tx:
            return await tx.execute(statement, params)

    async def close(self) -> None:
        await self._engine.dispose()


def _look_up_array_types(connection: Any, _record: Any) -> None:
    """Look up all array types when a connection opens, in one query.

    asyncpg would look up each type at its first use: 7 ms per type and connection, in the middle of work.
    """
    types = "bool", "bytea", "int2", "int4", "int8", "varchar", "timestamptz", "interval", "uuid", "jsonb"
    columns = ", ".join(f"CAST(${number} AS {name}[])" for number, name in enumerate(types, 1))
    connection.run_async(lambda driver: driver.prepare(f"SELECT {columns}"))


def _skip_lost(connection: Any, _record: Any, _fairy: Any) -> None:
    """If the server has ended an unused connection, let the pool connect anew."""
    if connection.driver_connection.is_closed():
        raise InvalidatePoolError


def _note_certificate(connection: Any, _record: Any) -> None:
    transport = connection.driver_connection._transport  # noqa: SLF001 asyncpg has no public name for it
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
    if "sslmode" in query:  # libpq's name for asyncpg's ssl
        query["ssl"] = query.pop("sslmode")
    return parsed.set(drivername="postgresql+asyncpg", query=query)


_DRIVER = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""Errors of asyncpg that bypass SQLAlchemy when a connection fails.

The last one comes from the lookup of types.
"""
_TEMPORARY_STATES = (
    "08",  # connection
    "25",  # transaction in the wrong state: the session timeout ended it
    "28",  # role or password not accepted (any more)
    "3D",  # database missing (any more)
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
    cause = error.orig or error if isinstance(error, DBAPIError) else error
    state = getattr(cause, "sqlstate", None)
    if isinstance(state, str):
        return state.startswith(_TEMPORARY_STATES) or isinstance(cause, asyncpg.InvalidCachedStatementError)
    if isinstance(cause, _DRIVER) or isinstance(
        getattr(cause, "__cause__", None), asyncpg.InternalClientError
    ):
        return not isinstance(cause, ValueError)  # asyncpg's own DataError: a retry would fail too
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)
    return isinstance(error, OSError | TimeoutError | PoolTimeout | DatabaseUnreachable)


def _first_line(error: BaseException) -> str:
    cause = getattr(error, "orig", None) or error
    return (str(cause) or type(cause).__name__).splitlines()[0]
