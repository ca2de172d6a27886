"""Time in: offers lapse, seats are released, approvals have not come, sessions are late, keys are old."""

from datetime import timedelta

from services.enrolment import desk
from services.enrolment.rules import Policy
from services.enrolment.settings import Settings
from services.enrolment.store import intake
from shared import clock
from shared.database import Database
from shared.process import Job


def all_jobs(database: Database, settings: Settings) -> tuple[Job, ...]:
    """What the clock triggers in this service."""
    patience = timedelta(seconds=settings.enrolment_pending_session_seconds)

    async def do_what_is_due() -> float | None:
        return await catch_up(database, settings.policy)

    async def settle_pending() -> None:
        await settle_known(database, settings.policy)
        await refuse_unknown(database, patience)

    async def forget_keys() -> None:
        async with database.quiet_transaction() as tx:
            await intake.forget_keys(tx)

    return (
        Job("catch-up", 1.0, do_what_is_due, after_backlog=True),
        Job("settle-pending", 1.0, settle_pending),
        Job("forget-intake-keys", 3600, forget_keys),
    )


async def catch_up(database: Database, policy: Policy) -> float | None:
    """Lapse, release and refuse what is due; returns 0 when there may be more, so that it is called again."""
    async with database.transaction() as tx:
        sessions = await desk.catch_up(tx, policy, clock.now())
    return 0 if sessions else None


async def settle_known(database: Database, policy: Policy) -> None:
    """Answer requests that were stored while their session's own event was being committed."""
    async with database.transaction() as tx:
        await desk.answer_waiting(tx, policy, clock.now())


async def refuse_unknown(database: Database, patience: timedelta) -> None:
    """Refuse what has waited long enough for a session that nobody has told us of."""
    async with database.transaction() as tx:
        now = clock.now()
        await desk.refuse_unknown(tx, now - patience, now)
