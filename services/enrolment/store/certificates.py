import secrets
from collections.abc import Collection
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, text
from sqlmodel import col, select

from services.enrolment.rules.certificates import code_of
from services.enrolment.rules.states import State
from services.enrolment.tables import CertificateRow, EnrolmentRow
from shared.database import Transaction


async def codes_of(tx: Transaction, enrolment_ids: Collection[UUID]) -> dict[UUID, str]:
    """A certificate without a code gets one."""
    known = select(CertificateRow.enrolment_id, CertificateRow.code).where(
        col(CertificateRow.enrolment_id).in_(enrolment_ids)
    )
    codes: dict[UUID, str] = {row[0]: row[1] for row in await tx.execute(known)}
    missing = [enrolment_id for enrolment_id in enrolment_ids if enrolment_id not in codes]
    if missing:
        codes |= {row.enrolment_id: row.code for row in await tx.execute(_NEW_CODES, _with_codes(missing))}
    return codes


async def make_void(tx: Transaction, enrolment_ids: Collection[UUID]) -> None:
    """Give the certificates that were read other codes. The page of verification still knows the old ones."""
    if enrolment_ids:
        await tx.execute(_MAKE_VOID, _with_codes(enrolment_ids))


class KnownCode(NamedTuple):
    enrolment_id: UUID
    is_void: bool


async def enrolment_of(tx: Transaction, code: str) -> KnownCode | None:
    found = (await tx.execute(_OF_CODE, {"code": code})).one_or_none()
    return None if found is None else KnownCode(*found)


async def count_due(tx: Transaction, session_id: UUID) -> int:
    due = select(func.count()).where(
        col(EnrolmentRow.session_id) == session_id, col(EnrolmentRow.state) == State.CERTIFIED
    )
    return (await tx.scalar(due)) or 0


def _with_codes(enrolment_ids: Collection[UUID]) -> dict[str, list[UUID] | list[str]]:
    codes = [code_of(secrets.randbits(128)) for _ in enrolment_ids]
    return {"ids": sorted(enrolment_ids), "codes": codes}


# The update changes nothing: it returns a code that another process has created meanwhile.
_NEW_CODES = text(
    "INSERT INTO certificate (enrolment_id, code) SELECT * FROM unnest(CAST(:ids AS uuid[]), "
    "CAST(:codes AS text[])) AS new (enrolment_id, code) ORDER BY enrolment_id "
    "ON CONFLICT (enrolment_id) DO UPDATE SET code = certificate.code RETURNING enrolment_id, code"
)
_MAKE_VOID = text(
    "UPDATE certificate SET void_codes = void_codes || certificate.code, code = new.code "
    "FROM unnest(CAST(:ids AS uuid[]), CAST(:codes AS text[])) AS new (enrolment_id, code) "
    "WHERE certificate.enrolment_id = new.enrolment_id"
)
_OF_CODE = text(
    "SELECT enrolment_id, code <> :code AS is_void FROM certificate "
    "WHERE code = :code OR void_codes @> ARRAY[CAST(:code AS varchar)]"
)
