from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlmodel import col, select

from services.enrolment.tables import BEFORE_SQL, AttendanceRow, ErasedAttendanceRow
from shared.database import Transaction
from shared.events.vocabulary import AgentKey
from shared.statements import insert_many


async def rows_of(tx: Transaction, enrolment_ids: Sequence[UUID]) -> dict[UUID, list[AttendanceRow]]:
    recorded: dict[UUID, list[AttendanceRow]] = {}
    if enrolment_ids:
        found = select(AttendanceRow).where(col(AttendanceRow.enrolment_id).in_(enrolment_ids))
        for row in await tx.scalars(found.order_by(col(AttendanceRow.module))):
            recorded.setdefault(row.enrolment_id, []).append(row)
    return recorded


async def of_enrolments(tx: Transaction, enrolment_ids: Sequence[UUID]) -> dict[UUID, dict[int, str]]:
    return {
        enrolment_id: {row.module: row.attendance for row in rows}
        for enrolment_id, rows in (await rows_of(tx, enrolment_ids)).items()
    }


async def save(tx: Transaction, recorded: Mapping[tuple[UUID, int], str], now: datetime) -> None:
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


async def incomplete_modules(tx: Transaction, session_id: UUID, modules: int) -> set[int]:
    """Read only the first incomplete enrolments. Others appear once these are complete."""
    parameters = {"session": session_id, "last": modules - 1}
    return set(await tx.scalars(_INCOMPLETE, parameters))


async def count_erased(tx: Transaction, agent: AgentKey, until: datetime) -> None:
    await tx.execute(_COUNT_ERASED, {**agent._asdict(), "until": until})


async def erased(tx: Transaction, session_id: UUID) -> Sequence[ErasedAttendanceRow]:
    rows = select(ErasedAttendanceRow).where(col(ErasedAttendanceRow.session_id) == session_id)
    in_order = rows.order_by(col(ErasedAttendanceRow.module), col(ErasedAttendanceRow.attendance))
    return (await tx.scalars(in_order)).all()


# In the order of each state's index, so that a large session is not read whole.
_INCOMPLETE = text(
    "SELECT DISTINCT number FROM unnest(ARRAY['enrolled', 'attended']) AS of_state, "  # noqa: S608 our own words
    "LATERAL (SELECT enrolment_id FROM enrolment WHERE session_id = :session AND state = of_state "
    f"ORDER BY {BEFORE_SQL}, coalesce(ticket, 0) LIMIT 300) AS line, "
    "generate_series(0, :last) AS modules (number) WHERE NOT EXISTS ("
    "SELECT FROM attendance WHERE attendance.enrolment_id = line.enrolment_id AND module = number)"
)
_COUNT_ERASED = text(
    """
    INSERT INTO erased_attendance (session_id, module, attendance, number)
    SELECT session_id, module, attendance, count(*) FROM attendance JOIN enrolment USING (enrolment_id)
     WHERE issuer = :issuer AND agent_id = :agent_id AND received_at <= :until
     GROUP BY session_id, module, attendance
     ORDER BY session_id, module, attendance
        ON CONFLICT (session_id, module, attendance)
           DO UPDATE SET number = erased_attendance.number + excluded.number"""
)
