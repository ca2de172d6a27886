from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, text
from sqlmodel import col

from services.enrolment.rules.roster_lines import SeatedPerson
from services.enrolment.rules.states import SEATED
from services.enrolment.tables import EMPLOYER, NAME_SQL, ArrivalRow
from shared.database import Transaction
from shared.events.enrolment import Attendance
from shared.statements import insert_many


async def note(tx: Transaction, enrolment_id: UUID, module: int, author: str, now: datetime) -> None:
    """Modules count from 0. An earlier note stays."""
    row = {"enrolment_id": enrolment_id, "module": module, "at": now, "author": author}
    await insert_many(tx, ArrivalRow, [row], then="ON CONFLICT (enrolment_id, module) DO NOTHING")


async def remove(tx: Transaction, enrolment_id: UUID, module: int) -> None:
    await tx.execute(
        delete(ArrivalRow).where(
            col(ArrivalRow.enrolment_id) == enrolment_id, col(ArrivalRow.module) == module
        )
    )


async def seated(tx: Transaction, session_id: UUID, module: int, limit: int) -> list[SeatedPerson]:
    parameters = {"session": session_id, "module": module, "seated": SEATED, "limit": limit}
    return [
        SeatedPerson(
            row.enrolment_id,
            row.family_name,
            row.given_name,
            row.employer,
            row.attendance and Attendance(row.attendance),
            row.arrived_at,
        )
        for row in await tx.execute(_BY_NAME, parameters)
    ]


async def count(tx: Transaction, session_id: UUID, module: int) -> int:
    parameters = {"session": session_id, "module": module, "seated": SEATED}
    number: int = await tx.scalar(_COUNT, parameters)
    return number


async def count_noted(tx: Transaction, modules: Mapping[UUID, int]) -> dict[UUID, int]:
    """Count the agents with a seat whose arrival or attendance at the session's module is known."""
    if not modules:
        return {}
    parameters = {"sessions": [*modules], "modules": [*modules.values()], "seated": SEATED}
    return {row.session_id: row.number for row in await tx.execute(_COUNT_NOTED, parameters)}


async def of_one(tx: Transaction, enrolment_id: UUID, module: int) -> datetime | None:
    row = await tx.get(ArrivalRow, (enrolment_id, module))
    return None if row is None else row.at


_COUNT = text(
    "SELECT count(*) FROM arrival JOIN enrolment USING (enrolment_id) "
    "WHERE session_id = :session AND module = :module AND state = ANY(CAST(:seated AS text[]))"
)
_COUNT_NOTED = text(
    """
    SELECT session_id, count(*) AS number
      FROM unnest(CAST(:sessions AS uuid[]), CAST(:modules AS int[])) AS held (session_id, module)
           JOIN enrolment USING (session_id)
     WHERE state = ANY(CAST(:seated AS text[]))
       AND (EXISTS (SELECT FROM arrival WHERE arrival.enrolment_id = enrolment.enrolment_id
                       AND arrival.module = held.module)
            OR EXISTS (SELECT FROM attendance WHERE attendance.enrolment_id = enrolment.enrolment_id
                          AND attendance.module = held.module))
     GROUP BY session_id"""
)
_BY_NAME = text(f"""
    SELECT people.*, attendance.attendance, arrival.at AS arrived_at
      FROM (
           SELECT enrolment_id, agent ->> 'family_name' AS family_name, agent ->> 'given_name' AS given_name,
                  {EMPLOYER} AS employer, name
             FROM unnest(CAST(:seated AS text[])) AS of_state,
                  LATERAL (
                  SELECT enrolment_id, agent, {NAME_SQL} AS name FROM enrolment
                   WHERE session_id = :session AND state = of_state
                   ORDER BY {NAME_SQL}, enrolment_id LIMIT :limit) AS found
            ORDER BY name, enrolment_id LIMIT :limit) AS people
           LEFT JOIN attendance
                ON attendance.enrolment_id = people.enrolment_id AND attendance.module = :module
           LEFT JOIN arrival ON arrival.enrolment_id = people.enrolment_id AND arrival.module = :module
     ORDER BY name, enrolment_id""")  # noqa: S608 our own words
