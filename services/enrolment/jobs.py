import logging
from datetime import datetime, timedelta
from functools import partial

from prometheus_client import Counter, Gauge

from services.enrolment.rules.policy import Policy
from services.enrolment.service import enrolments, messages, requests, session_changes, sessions, webhooks
from services.enrolment.settings import Settings
from shared import clock
from shared.database import Database, is_temporary
from shared.events.topics import Topic
from shared.events.vocabulary import EARLIEST
from shared.messaging import progress
from shared.messaging.portals.registry import PortalsFile
from shared.process.jobs import Job

log = logging.getLogger(__name__)

FAILURES = Counter("parcours_expiry_failures_total", "Sessions in which what is due cannot be done.")
WEBHOOK_FAILING = Gauge(
    "parcours_webhook_failing_seconds", "For how long the webhook of a portal has taken nothing.", ["portal"]
)
LAPSING = Gauge("parcours_offers_lapsing", "Seats offered whose hold ends within 24 hours.")
OVERDUE = Gauge("parcours_offers_overdue_seconds", "For how long an offer whose hold is over has not lapsed.")

READS = (Topic.PORTAL_ENROLMENTS, Topic.PORTAL_BESPOKE)
"""Topics with requests about an agent. All must be read before a time limit is judged, or an agent erased."""

SLICE = 1_000
"""Agents notified of a session change per transaction."""
REST_SECONDS = 0.2
"""The pause between two slices, so that requests for the session are processed meanwhile."""


def all_jobs(database: Database, settings: Settings, registry: PortalsFile) -> tuple[Job, ...]:
    patience = timedelta(seconds=settings.enrolment_pending_session_seconds)

    async def tell_changes() -> float | None:
        async with database.autocommit() as tx:
            if await session_changes.oldest(tx) is None:
                return None
        async with database.transaction() as tx:
            notified = await session_changes.next_slice(tx, most=SLICE)
        return None if notified is None else REST_SECONDS

    async def send_messages() -> float | None:
        async with database.transaction() as tx:
            return 0 if await messages.send_due(tx, clock.now()) else None

    return (
        Job("send-messages", 5.0, send_messages),
        Job("expire", 1.0, partial(expire_what_is_due, database, settings.policy)),
        Job("settle-pending", 1.0, partial(settle_pending, database, settings.policy, patience)),
        Job("tell-session-changes", 1.0, tell_changes),
        Job("measure-offers", 10.0, partial(measure, database)),
        Job("measure-webhooks", 10.0, partial(measure_webhooks, database, registry)),
    )


async def settle_pending(database: Database, policy: Policy, patience: timedelta) -> float | None:
    """Process requests whose session has come, and refuse requests that wait in vain.

    A request is refused once it has waited for ``patience`` and all sessions published before it are read. So
    a service that was away refuses nobody for its delay. Returns 0 if more may wait in vain.
    """
    now = clock.now()
    async with database.autocommit() as tx:
        if not await requests.any_undecided(tx):
            return None
        read_until = await progress.read_until(tx, [Topic.CATALOGUE_SESSIONS]) or EARLIEST
    async with database.transaction() as tx:
        await requests.process_waiting(tx, policy, now)
    async with database.transaction() as tx:
        more = await requests.refuse_unknown(tx, min(now - patience, read_until), now)
    return 0 if more else None


async def measure(database: Database) -> None:
    now = clock.now()
    async with database.quiet_transaction() as tx:
        to_come, overdue = await enrolments.lapsing(tx, now, timedelta(days=1))
    LAPSING.set(to_come)
    OVERDUE.set(overdue)


async def measure_webhooks(database: Database, registry: PortalsFile) -> None:
    now = clock.now()
    async with database.quiet_transaction() as tx:
        states = await webhooks.states(tx)
    sent_to = {portal.portal for portal in registry.portals if portal.webhook is not None}
    WEBHOOK_FAILING.clear()
    for state in states:
        if state.portal in sent_to:
            since = state.failing_since or now
            WEBHOOK_FAILING.labels(state.portal).set((now - since).total_seconds())


async def expire_what_is_due(database: Database, policy: Policy) -> float | None:
    async with database.autocommit() as tx:
        read_until = await progress.read_until(tx, READS)
    return await expire(database, policy, read_until or EARLIEST)


async def expire(database: Database, policy: Policy, read_until: datetime) -> float | None:
    """Lapse offers, release reserved seats and refuse late approvals, session by session.

    A failing session does not stop the others. Returns 0 if more may be due.
    """
    now = clock.now()
    async with database.autocommit() as tx:
        due = await sessions.due(tx, policy, read_until, now)
    changed = 0
    for session_id in due:
        try:
            async with database.transaction() as tx:
                changed += await sessions.expire(tx, session_id, policy, read_until, now)
        except Exception as error:
            if is_temporary(error):
                raise
            FAILURES.inc()
            log.exception(
                "What is due in the session %s cannot be done",
                session_id,
                extra={"session_id": str(session_id)},
            )
    return 0 if changed else None
