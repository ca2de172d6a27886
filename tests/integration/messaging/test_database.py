"""A connection is the same wherever the server stands."""

import asyncio
import traceback
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.exc import DBAPIError

from shared.database import Database, DatabaseUnreachable, Statement, is_temporary
from tests.conftest import Eventually, opened
from tests.support.metrics import metric
from tests.support.statements import execute, statements


async def test_days_of_an_interval_have_24_hours_wherever_the_server_is(
    new_database: Callable[[str], str],
) -> None:
    """The longest session is looked for so; on the night of 30 March a day in Paris has 23."""
    url = new_database("enrolment")
    async with opened(url) as database, database.transaction() as tx:
        await tx.execute(text(f"ALTER DATABASE \"{database.url.database}\" SET timezone TO 'Europe/Paris'"))
    query = (
        "SELECT timestamptz '2025-04-11T22:00Z' - interval '25 days 23:00' = timestamptz '2025-03-16T23:00Z'"
    )
    async with opened(url) as database, database.quiet_transaction() as tx:
        assert await tx.scalar(text(query)) is True


async def test_postgres_ends_what_a_process_that_is_gone_has_left(enrolment_url: str) -> None:
    async with opened(enrolment_url) as database, database.quiet_transaction() as tx:
        for name, least in (("statement_timeout", 60), ("idle_in_transaction_session_timeout", 30)):
            seconds = await tx.scalar(text(f"SELECT extract(epoch FROM current_setting('{name}')::interval)"))
            assert seconds is not None
            assert least < seconds <= 90, (
                f"{name}: longer than the driver waits, and no more than a stop may take"
            )


def _die(connection: Any, _record: Any) -> None:
    connection.run_async(lambda driver: driver.execute("SELECT pg_terminate_backend(pg_backend_pid())"))


async def test_a_connection_that_falls_while_it_is_made_is_no_fault_of_the_data(
    notifier_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver's own error comes through then; taken for the data's, records would be parked for it."""
    monkeypatch.setattr("shared.database._look_up_array_types", _die)
    database = Database(notifier_url, application_name="test")
    with pytest.raises(Exception) as fell:  # noqa: PT011 whatever it is, it must be known as temporary
        async with database.quiet_transaction():
            pass
    assert is_temporary(fell.value)
    with pytest.raises(DatabaseUnreachable):
        await database.check()
    await database.close()


def _wrapped(error: Exception) -> DBAPIError:
    """As SQLAlchemy gives an error of the driver that it does not know as one of the connection."""
    driver = AsyncAdapt_asyncpg_dbapi.InternalServerError("it fell", error)  # type: ignore[no-untyped-call]  # SQLAlchemy left it untyped
    driver.__cause__ = error
    return DBAPIError("SELECT 1", None, driver)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        asyncpg.CannotConnectNowError("the database system is starting up"),
        asyncpg.AdminShutdownError("terminating connection due to administrator command"),
        asyncpg.IdleInTransactionSessionTimeoutError("terminating connection"),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InternalClientError("got result for unknown protocol state"),
        ConnectionResetError(104, "Connection reset by peer"),
        BrokenPipeError(32, "Broken pipe"),
        TimeoutError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_every_error_of_a_connection_that_falls_is_temporary(error: Exception) -> None:
    assert is_temporary(error)
    if isinstance(error, asyncpg.InternalClientError | asyncpg.PostgresError):
        assert is_temporary(_wrapped(error))


async def test_connections_that_fall_at_any_moment_raise_nothing_else(database: Database) -> None:
    """Each is ended while its transaction works, or while it is made."""
    victim = Database(str(database.url.render_as_string(hide_password=False)), application_name="victim")
    end_all = text(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'victim'"
    )
    fell = []

    async def work() -> None:
        for _ in range(20):
            try:
                async with victim.transaction() as tx:
                    await tx.execute(text("CREATE TEMPORARY TABLE scratch ON COMMIT DROP AS SELECT 1"))
                    await tx.scalar(text("SELECT count(*) FROM scratch"))
                await victim.execute_alone(text("SELECT 1"), {})
            except Exception as error:  # noqa: BLE001 every one of them is looked at
                fell.append(error)

    working = asyncio.gather(*(work() for _ in range(5)))
    while not working.done():
        async with database.quiet_transaction() as tx:
            await tx.execute(end_all)
    await working
    await victim.close()
    assert fell, "none fell: nothing is proved"
    assert [error for error in fell if not is_temporary(error)] == []


async def test_a_connection_that_the_server_ended_in_the_pool_is_not_used(
    database: Database, eventually: Eventually
) -> None:
    victim = Database(str(database.url.render_as_string(hide_password=False)), application_name="victim")
    async with victim.quiet_transaction() as tx:
        driver = tx.driver
    async with database.quiet_transaction() as tx:
        await tx.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": driver.get_server_pid()})

    async def is_closed() -> bool:
        return driver.is_closed()

    await eventually(is_closed, "the client has seen it")
    async with victim.quiet_transaction() as tx:
        assert tx.driver is not driver
        assert await tx.scalar(text("SELECT 1")) == 1
    await victim.close()


async def test_a_connection_whose_transaction_could_not_begin_is_not_used_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server may have begun it, and would undo the next statements with it."""
    used = []

    async def time_out(connection: object, *_: object) -> None:
        used.append(connection)
        raise TimeoutError

    with monkeypatch.context() as patched:
        patched.setattr(asyncpg.Connection, "execute", time_out)
        with pytest.raises(TimeoutError):
            async with database.quiet_transaction():
                pass
    async with database.quiet_transaction() as tx:
        assert tx.driver not in used


async def test_a_part_of_a_transaction_is_undone_alone(database: Database) -> None:
    async with database.quiet_transaction() as tx:
        await tx.execute(text("CREATE TEMPORARY TABLE scratch (n integer PRIMARY KEY) ON COMMIT DROP"))

        async def insert(*numbers: int) -> None:
            async with tx.savepoint():
                for number in numbers:
                    await tx.execute(text("INSERT INTO scratch VALUES (:number)"), {"number": number})

        async with tx.savepoint():
            await insert(1)
            with pytest.raises(DBAPIError):
                await insert(2, 1)
        async with tx.savepoint() as part:
            await insert(3)
            await part.roll_back()
            await insert(4)
        assert await tx.scalars(text("SELECT n FROM scratch ORDER BY n")) == [1, 4]


async def test_an_exit_within_a_transaction_leaves_none_open(database: Database) -> None:
    async def ended() -> None:
        async with database.quiet_transaction() as tx:
            await tx.execute(text("CREATE TEMPORARY TABLE scratch (n integer)"))
            raise SystemExit

    with pytest.raises(SystemExit):
        await ended()
    async with database.quiet_transaction() as tx:
        assert await tx.scalar(text("SELECT to_regclass('scratch')")) is None


async def test_an_error_quotes_no_row(database: Database) -> None:
    name = str(uuid4())

    async def written_twice() -> None:
        async with database.quiet_transaction() as tx:
            await tx.execute(text("CREATE TEMPORARY TABLE scratch (name text UNIQUE) ON COMMIT DROP"))
            await tx.execute(
                text("INSERT INTO scratch SELECT :name FROM generate_series(1, 2)"), {"name": name}
            )

    with pytest.raises(DBAPIError, match="duplicate key") as duplicate:
        await written_twice()
    assert name not in "".join(traceback.format_exception(duplicate.value))
    assert not is_temporary(duplicate.value)


async def test_a_connection_whose_task_was_cancelled_in_a_transaction_is_not_used_again(
    database: Database,
) -> None:
    """Between two statements, where SQLAlchemy itself would give it back to the pool."""
    begun = asyncio.Event()
    used = []

    async def work() -> None:
        async with database.quiet_transaction() as tx:
            used.append(await tx.scalar(text("SELECT pg_backend_pid()")))
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with database.quiet_transaction() as tx:
        assert await tx.scalar(text("SELECT pg_backend_pid()")) not in used


async def test_the_metrics_say_how_many_connections_of_the_pool_are_in_use(database: Database) -> None:
    database.export_pool()
    async with database.transaction(), database.transaction():
        assert metric("parcours_database_connections") == 2
    assert metric("parcours_database_connections") == 0
    assert metric("parcours_database_connections_most") == 10


async def test_an_error_of_the_database_quotes_no_parameters(database: Database) -> None:
    """It ends in a log, and what was written may be a name."""
    with pytest.raises(DBAPIError, match="parameters hidden"):
        async with database.transaction() as tx:
            await tx.execute(text("SELECT CAST(:name AS text)"), {"name": "Zoé Durand\0"})


@pytest.mark.parametrize("portals", [[], ["a"], ["a", "b", "c"]])
async def test_statements_that_write_go_together_in_one_round_trip(
    database: Database, portals: list[str]
) -> None:
    add = text("INSERT INTO portal_feed (portal, last) VALUES (:portal, :last) RETURNING portal")
    with statements() as asked:
        async with database.transaction() as tx:
            result = await tx.execute_together(
                [Statement(add, {"portal": portal, "last": last}) for last, portal in enumerate(portals)]
            )
    assert len(asked) == min(len(portals), 1)
    assert result.scalars() == portals[-1:]
    assert await execute(database, "SELECT portal, last FROM portal_feed ORDER BY portal") == [
        (portal, last) for last, portal in enumerate(portals)
    ]
