"""Arrivals at modules, as they are noted at the door."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete
from sqlmodel import col, select

from services.enrolment.tables import ArrivalRow
from shared.database import Transaction, insert_many


async def note(
    tx: Transaction, enrolment_ids: Sequence[UUID], module: int, author: str, now: datetime
) -> None:
    """Note that these have come to a module, counted from 0; who is noted already stays as noted."""
    rows = [
        {"enrolment_id": enrolment_id, "module": module, "at": now, "author": author}
        for enrolment_id in enrolment_ids
    ]
    if rows:
        await insert_many(tx, ArrivalRow, rows, then="ON CONFLICT (enrolment_id, module) DO NOTHING")


async def remove(tx: Transaction, enrolment_id: UUID, module: int) -> None:
    """Undo that somebody was noted."""
    await tx.execute(
        delete(ArrivalRow).where(
            col(ArrivalRow.enrolment_id) == enrolment_id, col(ArrivalRow.module) == module
        )
    )


async def at_module(tx: Transaction, enrolment_ids: Collection[UUID], module: int) -> dict[UUID, datetime]:
    """Return when those of these who have come to a module came."""
    rows = select(ArrivalRow).where(
        col(ArrivalRow.enrolment_id).in_(enrolment_ids), col(ArrivalRow.module) == module
    )
    return {row.enrolment_id: row.at for row in await tx.scalars(rows)}
