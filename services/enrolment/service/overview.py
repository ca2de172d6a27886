from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from services.enrolment.rules.overview import BespokeTask, SessionNumbers
from services.enrolment.store import arrivals, bespoke_tasks, overview
from shared import clock
from shared.auth import Principal
from shared.database import Transaction

STAYS = timedelta(days=14)
UNRECORDED_STAYS = timedelta(days=90)
"""Missing attendance is a task this long: without it nobody gets a certificate."""
MOST = 200


async def of_organiser(tx: Transaction, organiser: Principal, now: datetime) -> Sequence[SessionNumbers]:
    """Past sessions that lack attendance come last. Returns at most one more than :data:`MOST`."""
    found = await overview.list_numbers(
        tx,
        organiser.delegation,
        MOST + 1,
        since=now - STAYS,
        unrecorded_since=now - UNRECORDED_STAYS,
        now=now,
    )
    return await with_noted(tx, found, now)


async def with_noted(
    tx: Transaction, sessions: Sequence[SessionNumbers], now: datetime
) -> Sequence[SessionNumbers]:
    """Return the numbers with the agents who are known to be there, for each session held today."""
    held = {numbers.session.session_id: numbers.module_today(now) for numbers in sessions}
    today = {session_id: module for session_id, module in held.items() if module is not None}
    noted = await arrivals.count_noted(tx, today)
    return [replace(numbers, noted=noted.get(numbers.session.session_id, 0)) for numbers in sessions]


async def bespoke_tasks_of(tx: Transaction, organiser: Principal) -> Sequence[BespokeTask]:
    return await bespoke_tasks.waiting(tx, organiser.delegation, MOST + 1)


async def of_session(tx: Transaction, session_id: UUID, organiser: Principal) -> SessionNumbers | None:
    found = await overview.find_numbers(tx, session_id, clock.now())
    return found if found is not None and organiser.finds(found.session.organiser) else None
