import functools

from services.catalogue.service import sessions
from shared import clock
from shared.database import Database
from shared.process.jobs import Job


def all_jobs(database: Database) -> tuple[Job, ...]:
    return (Job("lifecycle", POLL_SECONDS, functools.partial(announce_due, database)),)


POLL_SECONDS = 1.0
BATCH = 200


async def announce_due(database: Database) -> float:
    """Return the seconds until the next announcement is due."""
    now = clock.now()
    async with database.transaction() as tx:
        announced, next_at = await sessions.announce_due(tx, now, most=BATCH)
    if announced == BATCH:
        return 0
    return POLL_SECONDS if next_at is None else min(POLL_SECONDS, (next_at - clock.now()).total_seconds())
