"""Time in: leases that have run out, and the figures of the queue."""

import logging

from prometheus_client import Counter, Gauge

from services.notifier import store
from shared.database import Database
from shared.process import Job

log = logging.getLogger(__name__)

EXPIRED = Counter("parcours_mail_leases_expired_total", "Leases that ran out.", ["became"])
DUE = Gauge("parcours_mails_due", "Mails that are due and wait.")
DUE_AGE = Gauge("parcours_mails_oldest_due_seconds", "Age of the oldest mail that is due.")
AMBIGUOUS = Gauge("parcours_mails_ambiguous", "Mails that an operator must decide about.")


def all_jobs(database: Database) -> tuple[Job, ...]:
    """What the clock triggers in this service."""

    async def leases() -> None:
        await expire_leases(database)

    async def figures() -> None:
        await measure(database)

    return Job("expire-leases", 5.0, leases), Job("measure-queue", 10.0, figures)


async def expire_leases(database: Database) -> None:
    """Mails of processes that are gone: not begun, back to the queue; begun, ambiguous."""
    async with database.quiet_transaction() as tx:
        returned, ambiguous = await store.expire_leases(tx)
    EXPIRED.labels("pending").inc(returned)
    EXPIRED.labels("ambiguous").inc(ambiguous)
    if ambiguous:
        log.warning("%d mails are ambiguous: see 'mails list --state ambiguous'", ambiguous)


async def measure(database: Database) -> None:
    """Set the gauges."""
    async with database.quiet_transaction() as tx:
        due, age, ambiguous = await store.count_open(tx)
    DUE.set(due)
    DUE_AGE.set(age)
    AMBIGUOUS.set(ambiguous)
