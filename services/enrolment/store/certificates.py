"""The codes by which certificates are verified."""

from uuid import UUID

from sqlalchemy import text
from sqlmodel import col, select

from services.enrolment.tables import CertificateRow
from shared.database import Transaction


async def code_of(tx: Transaction, enrolment_id: UUID, new: str) -> str:
    """Return the code of an enrolment's certificate; ``new`` where it has none yet."""
    known = await tx.scalar(
        select(CertificateRow.code).where(col(CertificateRow.enrolment_id) == enrolment_id)
    )
    if known is not None:
        return known
    code: str = await tx.scalar(_NEW_CODE, {"id": enrolment_id, "code": new})
    return code


async def enrolment_of(tx: Transaction, code: str) -> UUID | None:
    """Return the enrolment whose certificate has this code, or None."""
    found = select(CertificateRow.enrolment_id).where(col(CertificateRow.code) == code)
    return await tx.scalar(found)


# The update changes nothing: it makes the code come back that somebody else has given meanwhile.
_NEW_CODE = text(
    "INSERT INTO certificate (enrolment_id, code) VALUES (:id, :code) "
    "ON CONFLICT (enrolment_id) DO UPDATE SET code = certificate.code RETURNING code"
)
