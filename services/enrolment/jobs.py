"""Time in: requests whose session has come, or will not."""

from datetime import timedelta

from services.enrolment import store
from services.enrolment.settings import Settings
from shared import clock
from shared.database import Database
from shared.events.vocabulary import Reason
from shared.process import Job


def all_jobs(database: Database, settings: Settings) -> tuple[Job, ...]:
    """What the clock triggers in this service."""
    patience = timedelta(seconds=settings.enrolment_pending_session_seconds)

    async def settle_pending() -> None:
        await settle_known(database)
        await refuse_unknown(database, patience)

    return (Job("settle-pending", 1.0, settle_pending),)


async def settle_known(database: Database) -> None:
    """Answer requests that were stored while their session's own event was being committed."""
    async with database.transaction() as tx:
        now = clock.now()
        desk = await store.open_books_of_undecided(tx)
        for book, requests in desk.by_book():
            book.decide(requests, now)
        await store.save(tx, desk.books.values(), now)


async def refuse_unknown(database: Database, patience: timedelta) -> None:
    """Refuse what has waited long enough for a session that nobody has told us of."""
    async with database.transaction() as tx:
        now = clock.now()
        waited = await store.undecided_since(tx, now - patience)
        await store.save_refusals(tx, waited, Reason.UNKNOWN_SESSION, now)
