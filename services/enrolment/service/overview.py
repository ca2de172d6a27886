"""The first page of organisers: their sessions with numbers, and their tasks."""

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
    """Return current sessions of an organiser by start, then past sessions that lack attendance.

    Returns one more than :data:`MOST` if some are left out.
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
    """Return the bespoke requests that wait for an organiser, the longest wait first."""
    return await bespoke_tasks.waiting(tx, organiser.delegation, MOST + 1)


async def of_session(tx: Transaction, session_id: UUID, organiser: Principal) -> SessionNumbers | None:
    """Return a session with its numbers, or None if it is not the organiser's."""
    found = await overview.find_numbers(tx, session_id, clock.now())
    return found if found is not None and organiser.finds(found.session.organiser) else None
