"""Time in: what the clock owes the sessions is announced at its instant, once, however many replicas run."""

import functools

from services.catalogue import rules
from services.catalogue.store import sessions
from shared import clock
from shared.database import Database
from shared.process import Job


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
        due = await sessions.claim_due(tx, now, most=BATCH)
        await sessions.save_announced(tx, [rules.announce(session, now) for session in due])
        next_at = await sessions.next_announcement_after(tx, now)
    if len(due) == BATCH:
        return 0
    return POLL_SECONDS if next_at is None else min(POLL_SECONDS, (next_at - clock.now()).total_seconds())
