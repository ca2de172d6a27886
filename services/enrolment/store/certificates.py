from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import func, text
from sqlmodel import col, select

from services.enrolment.rules.states import State
from services.enrolment.tables import CertificateRow, EnrolmentRow
from shared.database import Transaction


async def codes_of(tx: Transaction, new: Mapping[UUID, str]) -> dict[UUID, str]:
    """A certificate without a code gets the code in ``new``."""
    known = select(CertificateRow.enrolment_id, CertificateRow.code).where(
        col(CertificateRow.enrolment_id).in_(new)
    )
    codes: dict[UUID, str] = {row[0]: row[1] for row in await tx.execute(known)}
    if missing := [enrolment_id for enrolment_id in new if enrolment_id not in codes]:
        parameters = {"ids": missing, "codes": [new[enrolment_id] for enrolment_id in missing]}
        codes |= {row.enrolment_id: row.code for row in await tx.execute(_NEW_CODES, parameters)}
    return codes


async def enrolment_of(tx: Transaction, code: str) -> UUID | None:
    found = select(CertificateRow.enrolment_id).where(col(CertificateRow.code) == code)
    return await tx.scalar(found)


async def count_due(tx: Transaction, session_id: UUID) -> int:
    due = select(func.count()).where(
        col(EnrolmentRow.session_id) == session_id, col(EnrolmentRow.state) == State.CERTIFIED
    )
    return (await tx.scalar(due)) or 0


# The update changes nothing: it returns a code that another process has created meanwhile.
_NEW_CODES = text(
    "INSERT INTO certificate (enrolment_id, code) SELECT * FROM unnest(CAST(:ids AS uuid[]), "
    "CAST(:codes AS text[])) AS new (enrolment_id, code) ORDER BY enrolment_id "
    "ON CONFLICT (enrolment_id) DO UPDATE SET code = certificate.code RETURNING enrolment_id, code"
)
