"""What organisers see first: their sessions with their numbers, and what waits for them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from services.enrolment.rules.overview import BespokeTask, SessionNumbers
from services.enrolment.store import bespoke_tasks, overview
from shared import clock
from shared.auth import Principal
from shared.database import Transaction

STAYS = timedelta(days=14)
"""How long a session is shown after its end."""
UNRECORDED_STAYS = timedelta(days=90)
"""How long after its end attendance is asked for: until then nobody has a certificate of it."""
MOST = 200
"""Sessions at once, and requests."""


async def of_organiser(tx: Transaction, organiser: Principal, now: datetime) -> Sequence[SessionNumbers]:
    """Return the sessions of an organiser that are not over for long, the first to start first.

    After them those that are, where attendance is to be recorded still.

    There is one more than :data:`MOST` where some are left out.
    """
    return await overview.list_numbers(
        tx,
        organiser.delegation,
        MOST + 1,
        since=now - STAYS,
        unrecorded_since=now - UNRECORDED_STAYS,
        now=now,
    )


async def bespoke_tasks_of(tx: Transaction, organiser: Principal) -> Sequence[BespokeTask]:
    """Return the bespoke requests that wait for an organiser, who waits longest first; one more as above."""
    return await bespoke_tasks.waiting(tx, organiser.delegation, MOST + 1)


async def of_session(tx: Transaction, session_id: UUID, organiser: Principal) -> SessionNumbers | None:
    """Return a session with its numbers; None: it is not the organiser's."""
    found = await overview.find_numbers(tx, session_id, clock.now())
    return found if found is not None and organiser.finds(found.session.organiser) else None
