from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import text
from sqlmodel import col, select

from services.enrolment.rules.overview import BespokeStep, BespokeTask
from services.enrolment.tables import BespokeTaskRow
from shared.database import Transaction
from shared.statements import insert_many

_WAITS = text(f"bespoke_task.step < {BespokeStep.DONE.value}")
"""A parameter instead of this literal would not use the index."""
# A step is never taken back, in whatever order the events arrive.
_THE_FURTHER = (
    "ON CONFLICT (request_id, source) DO UPDATE SET "
    "delegation = coalesce(bespoke_task.delegation, excluded.delegation), "
    "authority = coalesce(bespoke_task.authority, excluded.authority), "
    "trainees = coalesce(bespoke_task.trainees, excluded.trainees), "
    "since = CASE WHEN excluded.step > bespoke_task.step THEN excluded.since ELSE bespoke_task.since END, "
    "step = greatest(bespoke_task.step, excluded.step)"
)


async def save(tx: Transaction, rows: Iterable[dict[str, Any]]) -> None:
    """Store the step of each request. Unknown columns are None."""
    if found := list(rows):
        await insert_many(tx, BespokeTaskRow, found, then=_THE_FURTHER)


async def waiting(tx: Transaction, delegation: str | None, limit: int) -> Sequence[BespokeTask]:
    """Return the longest wait first. ``delegation`` None means all."""
    since = col(BespokeTaskRow.since)
    query = select(BespokeTaskRow).where(_WAITS)
    if delegation is None:
        query = query.where(col(BespokeTaskRow.delegation).is_not(None))
    else:
        query = query.where(col(BespokeTaskRow.delegation) == delegation)
    rows = await tx.scalars(query.order_by(since, col(BespokeTaskRow.request_id)).limit(limit))
    return [
        BespokeTask(
            request_id=row.request_id,
            delegation=row.delegation or "",
            authority=row.authority or "",
            trainees=row.trainees or 0,
            since=row.since,
            step=BespokeStep(row.step),
        )
        for row in rows
    ]
