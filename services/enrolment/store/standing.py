"""Where one enrolment stands: what a link in a letter is about, and what a certificate says."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from services.enrolment.rules import Enrolment
from services.enrolment.store.facts import enrolment_from, session_of
from shared.database import Transaction
from shared.events.catalogue import SessionState
from shared.events.enrolment import Attendance


@dataclass(frozen=True, slots=True)
class Standing:
    """An enrolment and its session, as they are."""

    enrolment: Enrolment
    session: SessionState


async def standing(tx: Transaction, enrolment_id: UUID) -> Standing | None:
    """The enrolment with its session, or None when there is no such enrolment (any more)."""
    enrolment = (await tx.execute(_ENROLMENT, {"id": enrolment_id})).one_or_none()
    if enrolment is None:
        return None
    session = (await tx.execute(_SESSION, {"id": enrolment.session_id})).one_or_none()
    return None if session is None else Standing(enrolment_from(enrolment), session_of(session))


async def standing_for_update(tx: Transaction, enrolment_id: UUID) -> Standing | None:
    """The same while nobody else changes it: the session's row, which is the lock, is taken first."""
    await tx.execute(_LOCK_SESSION_OF, {"id": enrolment_id})
    return await standing(tx, enrolment_id)


@dataclass(frozen=True, slots=True)
class Attended:
    """The modules that were attended, counted from 0, and when attendance was last recorded."""

    modules: tuple[int, ...]
    recorded_at: datetime


async def attended(tx: Transaction, enrolment_id: UUID) -> Attended | None:
    """What was attended; None when nothing was recorded."""
    rows = (await tx.execute(_ATTENDANCE, {"id": enrolment_id})).all()
    if not rows:
        return None
    return Attended(
        modules=tuple(row.module for row in rows if row.attendance == Attendance.ATTENDED),
        recorded_at=max(row.recorded_at for row in rows),
    )


_ENROLMENT = text("SELECT * FROM enrolment WHERE enrolment_id = :id")
_SESSION = text("SELECT * FROM session WHERE session_id = :id")
_LOCK_SESSION_OF = text(
    "SELECT session_id FROM session "
    "WHERE session_id = (SELECT session_id FROM enrolment WHERE enrolment_id = :id) FOR UPDATE"
)
_ATTENDANCE = text(
    "SELECT module, attendance, recorded_at FROM attendance WHERE enrolment_id = :id ORDER BY module"
)
