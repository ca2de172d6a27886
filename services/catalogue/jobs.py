"""Time in: what the clock has to announce of sessions."""

import functools

from services.catalogue.service import sessions
from shared import clock
from shared.database import Database
from shared.process.jobs import Job


def all_jobs(database: Database) -> tuple[Job, ...]:
    """What the clock triggers in this service."""
    return (Job("lifecycle", POLL_SECONDS, functools.partial(announce_due, database)),)


POLL_SECONDS = 1.0
"""How often to look for what an organiser or another replica has changed meanwhile."""
BATCH = 200
"""Sessions in one transaction."""


async def announce_due(database: Database) -> float:
    """Announce what is due; return the seconds until something will be.

    Replicas skip each other's rows; what came due while none was running is caught up in order.
    """
    now = clock.now()
    async with database.transaction() as tx:
        announced, next_at = await sessions.announce_due(tx, now, most=BATCH)
    if announced == BATCH:
        return 0
    return POLL_SECONDS if next_at is None else min(POLL_SECONDS, (next_at - clock.now()).total_seconds())
