import asyncio
import imaplib
import logging
import ssl
import time
from collections.abc import Mapping
from functools import partial

from prometheus_client import Counter, Gauge

from services.notifier.delivery.returns import ReturnMailbox
from services.notifier.letters import day_of
from services.notifier.return_path import ReturnPath
from services.notifier.service import bounces, fan_outs, figures, organisers, queue
from services.notifier.settings import DelegationContacts
from shared import clock
from shared.database import Database
from shared.process.jobs import Job

SLICE = 1_000
REST = 3
"""A fan-out rests this many times as long as its slice took, so that answers are not delayed."""

log = logging.getLogger(__name__)

EXPIRED = Counter("parcours_mail_leases_expired_total", "Leases that ran out.", ["became"])
FANNED_OUT = Counter("parcours_mails_fanned_out_total", "Agents that fan-outs have gone through.")
FAN_OUTS = Gauge("parcours_fan_outs_in_progress", "Letters to many that are on their way into the queue.")
FAN_OUTS_AGE = Gauge("parcours_fan_outs_oldest_seconds", "For how long the oldest of them has been.")
OPEN = Gauge("parcours_mails_open", "Mails that are due, under way or ambiguous.", ["template", "state"])
DUE = Gauge("parcours_mails_due", "Mails that are due and wait.")
DUE_AGE = Gauge(
    "parcours_mails_oldest_due_seconds",
    "Age of the oldest mail that is due, in the queue or on its way there.",
)
BOUNCES = Counter("parcours_bounce_messages_total", "Messages to the return path.", ["outcome"])
AMBIGUOUS = Gauge("parcours_mails_ambiguous", "Mails that an operator must decide about.")


def all_jobs(
    database: Database,
    contacts: Mapping[str, DelegationContacts],
    mailbox: ReturnMailbox | None = None,
    path: ReturnPath | None = None,
) -> tuple[Job, ...]:
    jobs = (
        Job("write-to-organisers", 60.0, partial(write_to_organisers, database, contacts)),
        Job("expire-leases", 5.0, partial(expire_leases, database)),
        Job("measure-queue", 10.0, partial(measure, database)),
        Job("count-figures", 300.0, partial(count_figures, database)),
        Job("fan-out", 0.5, partial(fan_out, database)),
    )
    if mailbox is None or path is None:
        return jobs
    return Job("read-returns", 60.0, partial(read_returns, database, mailbox, path)), *jobs


async def fan_out(database: Database) -> float | None:
    """Return the seconds to rest, or None if nothing is left."""
    begun = time.monotonic()
    async with database.autocommit() as tx:
        if not await fan_outs.any_waiting(tx):
            return None
    async with database.quiet_transaction() as tx:
        done = await fan_outs.next_slice(tx, clock.now(), most=SLICE)
    if done is None:
        return None
    if done:
        database.after_commit()
    FANNED_OUT.inc(done)
    return REST * (time.monotonic() - begun)


async def count_figures(database: Database) -> None:
    async with database.quiet_transaction() as tx:
        await figures.count(tx)


async def write_to_organisers(database: Database, contacts: Mapping[str, DelegationContacts]) -> None:
    for organiser, found in contacts.items():
        now = clock.now()
        day = day_of(organiser, now)
        if day is not None:
            async with database.transaction() as tx:
                await organisers.write_day(tx, day, found, now)


async def read_returns(database: Database, mailbox: ReturnMailbox, path: ReturnPath) -> None:
    """A report that cannot be stored stays unseen."""
    try:
        found = await asyncio.to_thread(mailbox.unseen)
        done = []
        for number, raw in found:
            async with database.transaction() as tx:
                outcome = await bounces.record(tx, raw, path)
            BOUNCES.labels(outcome).inc()
            done.append(number)
        if done:
            await asyncio.to_thread(mailbox.seen, done)
    except ssl.SSLCertVerificationError as error:
        log.warning(
            "The mailbox that mails come back to cannot be trusted (%s): nothing was sent to it",
            error.verify_message,
        )
    except imaplib.IMAP4.error as error:
        # The error's text may quote the user's name, so it is left out. The settings name the mailbox.
        log.warning("The mailbox that mails come back to cannot be read (%s)", type(error).__name__)


async def expire_leases(database: Database) -> None:
    """Take back the mails of processes that ended. A mail whose DATA had begun becomes ambiguous."""
    async with database.autocommit() as tx:
        returned, ambiguous = await queue.expire_leases(tx)
    EXPIRED.labels("pending").inc(returned)
    EXPIRED.labels("ambiguous").inc(ambiguous)
    if ambiguous:
        log.warning("%d mails are ambiguous: see 'mails list --state ambiguous'", ambiguous)


async def measure(database: Database) -> None:
    async with database.quiet_transaction() as tx:
        figures = await queue.measure(tx)
        begun, age = await fan_outs.in_progress(tx)
    OPEN.clear()
    for (state, template), number in figures.mails.items():
        OPEN.labels(template, state).set(number)
    DUE.set(figures.due)
    DUE_AGE.set(figures.age)
    AMBIGUOUS.set(figures.ambiguous)
    FAN_OUTS.set(begun)
    FAN_OUTS_AGE.set(age)
