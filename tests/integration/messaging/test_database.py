"""A connection is the same wherever the server stands."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from shared.database import Database, DatabaseUnreachable, is_temporary
from tests.conftest import opened


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
