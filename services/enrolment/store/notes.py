from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid5

from sqlalchemy import func, update
from sqlmodel import col, select

from services.enrolment.tables import NoteRow
from shared.database import Transaction
from shared.statements import insert_many


async def add(tx: Transaction, enrolment_id: UUID, text: str, author: str, now: datetime) -> None:
    """The same text of one author is stored once a day (UTC), unless it was removed."""
    note_id = uuid5(enrolment_id, f"{now.date().isoformat()} {author}\n{text}")
    removed = select(NoteRow.removed_at)
    while await tx.scalar(removed.where(col(NoteRow.note_id) == note_id)):
        note_id = uuid5(note_id, "again")
    row = {
        "note_id": note_id,
        "enrolment_id": enrolment_id,
        "author": author,
        "text": text,
        "written_at": now,
    }
    await insert_many(tx, NoteRow, [row], then="ON CONFLICT DO NOTHING")


async def remove(tx: Transaction, enrolment_id: UUID, note_id: UUID, author: str, now: datetime) -> None:
    """Remove the text of a note. Its remover and the time of removal stay."""
    removed = (
        update(NoteRow)
        .where(
            col(NoteRow.note_id) == note_id,
            col(NoteRow.enrolment_id) == enrolment_id,
            col(NoteRow.removed_at).is_(None),
        )
        .values(text="", removed_by=author, removed_at=now)
    )
    await tx.execute(removed)


async def count(tx: Transaction, enrolment_ids: Sequence[UUID]) -> dict[UUID, int]:
    counted = (
        select(col(NoteRow.enrolment_id), func.count())
        .where(col(NoteRow.enrolment_id).in_(enrolment_ids), col(NoteRow.removed_at).is_(None))
        .group_by(col(NoteRow.enrolment_id))
    )
    return {row[0]: row[1] for row in await tx.execute(counted)}


async def of_enrolments(tx: Transaction, enrolment_ids: Sequence[UUID]) -> dict[UUID, list[NoteRow]]:
    """Return the oldest first, including removed notes."""
    found: dict[UUID, list[NoteRow]] = {}
    rows = select(NoteRow).where(col(NoteRow.enrolment_id).in_(enrolment_ids))
    for row in await tx.scalars(rows.order_by(col(NoteRow.written_at), col(NoteRow.note_id))):
        found.setdefault(row.enrolment_id, []).append(row)
    return found
