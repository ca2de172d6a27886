"""Arrivals at modules, as they are noted at the door."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, text
from sqlmodel import col

from services.enrolment.rules.states import SEATED
from services.enrolment.tables import ArrivalRow
from shared.database import Transaction, insert_many


async def note(tx: Transaction, enrolment_id: UUID, module: int, author: str, now: datetime) -> None:
    """Note that somebody has come to a module, counted from 0; who is noted already stays as noted."""
    row = {"enrolment_id": enrolment_id, "module": module, "at": now, "author": author}
    await insert_many(tx, ArrivalRow, [row], then="ON CONFLICT (enrolment_id, module) DO NOTHING")


async def remove(tx: Transaction, enrolment_id: UUID, module: int) -> None:
    """Undo that somebody was noted."""
    await tx.execute(
        delete(ArrivalRow).where(
            col(ArrivalRow.enrolment_id) == enrolment_id, col(ArrivalRow.module) == module
        )
    )


async def at_module(tx: Transaction, session_id: UUID, module: int) -> dict[UUID, datetime]:
    """Return when those came who have come to a module of a session and have a seat there, by enrolment."""
    parameters = {"session": session_id, "module": module, "seated": SEATED}
    return {row.enrolment_id: row.at for row in await tx.execute(_AT_MODULE, parameters)}


async def of_one(tx: Transaction, enrolment_id: UUID, module: int) -> datetime | None:
    """Return when somebody came to a module; None: they have not."""
    row = await tx.get(ArrivalRow, (enrolment_id, module))
    return None if row is None else row.at


_AT_MODULE = text(
    "SELECT enrolment_id, at FROM arrival JOIN enrolment USING (enrolment_id) "
    "WHERE session_id = :session AND module = :module AND state = ANY(CAST(:seated AS text[]))"
)
