"""Transactions that wait for each other."""

import asyncio

from sqlalchemy import text

from shared.database import Database


async def locks_awaited(database: Database, number: int = 1) -> None:
    """Return once so many transactions in this database wait for locks of others."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + 30
    while await _waiting(database) < number:
        assert loop.time() < deadline, f"not within 30 s: {number} transactions wait for locks"
        await asyncio.sleep(0.02)


async def _waiting(database: Database) -> int:
    async with database.quiet_transaction() as tx:
        return int(await tx.scalar(_WAITING) or 0)


_WAITING = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)
