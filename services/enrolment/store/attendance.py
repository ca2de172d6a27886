"""Attendance as it was last recorded, by enrolment and module."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlmodel import col, select

from services.enrolment.tables import AttendanceRow
from shared.database import Transaction, insert_many


async def of_enrolment(tx: Transaction, enrolment_id: UUID) -> Sequence[AttendanceRow]:
    """Return what was recorded for an enrolment, by module."""
    rows = await tx.scalars(
        select(AttendanceRow)
        .where(col(AttendanceRow.enrolment_id) == enrolment_id)
        .order_by(col(AttendanceRow.module))
    )
    return rows.all()


async def of_enrolments(tx: Transaction, enrolment_ids: Sequence[UUID]) -> dict[UUID, dict[int, str]]:
    """Return what was recorded for these enrolments, by enrolment and module."""
    recorded: dict[UUID, dict[int, str]] = {}
    if enrolment_ids:
        found = select(AttendanceRow).where(col(AttendanceRow.enrolment_id).in_(enrolment_ids))
        for row in await tx.scalars(found):
            recorded.setdefault(row.enrolment_id, {})[row.module] = row.attendance
    return recorded


async def save(tx: Transaction, recorded: Mapping[tuple[UUID, int], str], now: datetime) -> None:
    """Record attendance by enrolment and module, in place of what was recorded before."""
    if recorded:
        rows = [
            {"enrolment_id": enrolment_id, "module": module, "attendance": attendance, "recorded_at": now}
            for (enrolment_id, module), attendance in recorded.items()
        ]
        await insert_many(
            tx,
            AttendanceRow,
            rows,
            then="ON CONFLICT (enrolment_id, module) DO UPDATE SET attendance = excluded.attendance, "
            "recorded_at = excluded.recorded_at",
        )
