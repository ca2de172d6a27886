"""Alembic's entry: connects by asyncpg and runs under a lock, so that replicas wait for each other.

Each migration is its own transaction. A migration that waits for the lock of a table blocks all later
statements on it, so it waits for a second, gives up, and tries again.
"""

import asyncio

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from shared.database import async_url
from shared.migrations import LOCK_TIMEOUT, is_of_newer_version

_LOCK = 0x6D696772617465  # "migrate"
_TRIES = 120
_PAUSE_SECONDS = 1
_LOCK_NOT_AVAILABLE = "55P03"


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=context.config.attributes["metadata"],
        compare_type=True,
        transaction_per_migration=True,
    )
    if is_of_newer_version(context.get_context().get_current_revision(), context.script):
        return
    with context.begin_transaction():
        context.run_migrations()


async def _lock(connection: AsyncConnection) -> None:
    """Wait without a running statement: a concurrent index build waits for running statements."""
    while not await connection.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": _LOCK}):
        await connection.commit()
        await asyncio.sleep(_PAUSE_SECONDS)
    await connection.execute(text(f"SET lock_timeout = {LOCK_TIMEOUT}"))
    await connection.commit()


async def _migrate(connection: AsyncConnection) -> None:
    for left in reversed(range(_TRIES)):
        try:
            await connection.run_sync(_run)
            break
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE or not left:
                raise
            await connection.rollback()
            await asyncio.sleep(_PAUSE_SECONDS)


async def _main() -> None:
    engine = create_async_engine(async_url(context.config.attributes["url"]), poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            await _lock(connection)
            await _migrate(connection)
    finally:
        await engine.dispose()


asyncio.run(_main())
