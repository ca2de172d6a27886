"""Transactions that wait for each other."""

from collections.abc import Awaitable, Callable

from sqlalchemy import text

from shared.database import Database


def lock_wait_in(database: Database) -> Callable[[], Awaitable[bool]]:
    """Return a condition: a transaction in this database waits for a lock."""

    async def waits() -> bool:
        async with database.quiet_transaction() as tx:
            return bool(await tx.scalar(_WAITS))

    return waits


_WAITS = text(
    "SELECT EXISTS (SELECT FROM pg_stat_activity "
    "WHERE datname = current_database() AND wait_event_type = 'Lock')"
)
