import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from prometheus_client import Counter, Gauge

from shared import archive, certificates, clock
from shared.database import Database, is_temporary
from shared.messaging import connections, dead_letters, held, outbox
from shared.messaging.giving_up import end_undecided
from shared.messaging.router import Router
from shared.personal_data import SLICE, Register, days_of, end_rows
from shared.settings import ServiceSettings

log = logging.getLogger(__name__)

FAILURES = Counter("parcours_job_failures_total", "Runs of a job that failed.", ["name"])
DEAD_LETTERS = Gauge("parcours_dead_letters", "Records that wait for an operator.")
DEAD_LETTERS_AGE = Gauge(
    "parcours_dead_letters_oldest_seconds", "For how long a record has waited for an operator."
)
DECIDED = Gauge(
    "parcours_dead_letters_decided", "What was done about dead letters in the last 24 hours.", ["action"]
)
ACTIONS = ("redriven", "redrive failed", "discarded")
UNSENT = Gauge("parcours_outbox_unsent", "Events that wait to be published.")
REFUSED = Gauge("parcours_outbox_refused", "Events that the broker refused, which wait for an operator.")
WAITING = Gauge("parcours_outbox_waiting", "Events that wait for a topic, or behind a refused one.")
UNSENT_AGE = Gauge("parcours_outbox_oldest_seconds", "Age of the oldest event that waits to be published.")


@dataclass(frozen=True, slots=True)
class Job:
    """``run`` is repeated after ``every`` seconds, or after the seconds that it returns, if fewer."""

    name: str
    every: float
    run: Callable[[], Awaitable[float | None]]


async def repeat(job: Job, stopping: asyncio.Event) -> None:
    """A failed run is counted, logged, and followed by the next."""
    failures = FAILURES.labels(job.name)  # starts at 0, so that an alert sees the first failure
    while not stopping.is_set():
        wanted: float | None = None
        try:
            wanted = await job.run()
        except Exception as error:
            failures.inc()
            if is_temporary(error):
                log.warning("The job %s failed (%s) and is tried again", job.name, type(error).__name__)
            else:
                log.exception("The job %s failed and is tried again", job.name)
        await clock.pause(stopping, job.every if wanted is None else min(wanted, job.every))


def housekeeping(
    database: Database, router: Router, register: Register, settings: ServiceSettings
) -> tuple[Job, ...]:
    async def purge() -> float | None:
        return await end_old_rows(database, register, settings)

    async def give_up() -> float | None:
        return await end_undecided(database, router, settings.dead_letters_kept_days)

    async def measure() -> None:
        certificates.read_files(settings.kafka_ca_file)
        connections.forget_brokers(clock.now())
        async with database.quiet_transaction() as tx:
            unsent, age = await outbox.unsent(tx)
            refused, waiting = await held.count(tx)
            DEAD_LETTERS.set(await dead_letters.count_parked(tx))
            oldest = await dead_letters.oldest_parked(tx)
            decided = await dead_letters.decided(tx, clock.now() - timedelta(days=1))
            await archive.measure(tx)
        for action in ACTIONS:
            DECIDED.labels(action).set(decided.get(action, 0))
        DEAD_LETTERS_AGE.set(0 if oldest is None else (clock.now() - oldest).total_seconds())
        UNSENT.set(unsent)
        REFUSED.set(refused)
        WAITING.set(waiting)
        UNSENT_AGE.set(age)

    return Job("purge", 3600, purge), Job("give-up", 3600, give_up), Job("measure", 10, measure)


async def end_old_rows(database: Database, register: Register, settings: object) -> float | None:
    """Delete a slice of old rows by each rule of the register.

    Returns the seconds to rest if more are left: deletion takes a tenth of the time, so that decisions do not
    wait for it.
    """
    more, begun = False, time.monotonic()
    for retention in register.retentions:
        async with database.quiet_transaction() as tx:
            ended = await end_rows(tx, retention, days_of(retention, settings), clock.now())
        more |= ended == SLICE
    return 9 * (time.monotonic() - begun) if more else None
