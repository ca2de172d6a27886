"""Time in: offers lapse, seats are released, approvals have not come, sessions are late, keys are old."""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta

from prometheus_client import Counter

from services.enrolment import desk, store
from services.enrolment.rules import Policy
from services.enrolment.settings import Settings
from services.enrolment.store import intake
from shared import clock
from shared.database import Database, is_temporary
from shared.events.topics import Topic
from shared.events.vocabulary import EARLIEST
from shared.messaging.progress import OnRead
from shared.process.jobs import Job

log = logging.getLogger(__name__)

FAILURES = Counter("parcours_expiry_failures_total", "Sessions in which what is due cannot be done.")


def all_jobs(database: Database, settings: Settings) -> tuple[Job, ...]:
    """What the clock triggers in this service."""
    patience = timedelta(seconds=settings.enrolment_pending_session_seconds)

    async def do_what_is_due() -> float | None:
        async with database.quiet_transaction() as tx:
            read_until = await store.read_until(tx) or EARLIEST
        return await expire(database, settings.policy, read_until)

    async def settle_pending() -> None:
        await settle_known(database, settings.policy)
        await refuse_unknown(database, patience)

    async def forget_keys() -> None:
        async with database.quiet_transaction() as tx:
            await intake.forget_keys(tx)

    return (
        Job("expire", 1.0, do_what_is_due),
        Job("settle-pending", 1.0, settle_pending),
        Job("forget-intake-keys", 3600, forget_keys),
    )


async def expire(database: Database, policy: Policy, read_until: datetime) -> float | None:
    """Lapse, release and refuse what is due, session by session: one that fails does not stop the others.

    Returns 0 when there may be more, so that it is called again at once.
    """
    now = clock.now()
    async with database.quiet_transaction() as tx:
        due = await store.sessions_due(tx, min(read_until, now) - policy.grace, now)
    changed = 0
    for session_id in due:
        try:
            async with database.transaction() as tx:
                changed += await desk.expire(tx, session_id, policy, now, min(read_until, now))
        except Exception as error:
            if is_temporary(error):
                raise
            FAILURES.inc()
            log.exception("What is due in the session %s cannot be done", session_id)
    return 0 if changed else None


def noting(database: Database) -> OnRead:
    """Keeps until when the requests of portals are read."""

    async def note(topic: Topic, read: Mapping[int, datetime]) -> None:
        if topic is Topic.PORTAL_ENROLMENTS:
            async with database.quiet_transaction() as tx:
                await store.note_read(tx, read)

    return note


async def settle_known(database: Database, policy: Policy) -> None:
    """Answer requests that were stored while their session's own event was being committed."""
    async with database.transaction() as tx:
        await desk.answer_waiting(tx, policy, clock.now())


async def refuse_unknown(database: Database, patience: timedelta) -> None:
    """Refuse what has waited long enough for a session that nobody has told us of."""
    async with database.transaction() as tx:
        now = clock.now()
        await desk.refuse_unknown(tx, now - patience, now)
