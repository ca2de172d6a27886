"""Who comes is noted at the door; it is attendance only once the organiser records it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from services.enrolment.rules.roster_lines import RosterLine
from services.enrolment.rules.states import State
from services.enrolment.service.sessions import find_own
from services.enrolment.store import arrivals, attendance, roster_lines, sessions
from shared import read_log
from shared.auth import Principal
from shared.database import Transaction
from shared.events.catalogue import SessionState
from shared.events.enrolment import Attendance
from shared.read_log import Reading, ReadKind
from shared.references import ids_of

MOST = 1000
"""Who is shown at once."""
SEATED = [state for state in State if state.has_seat]


class ArrivalFault(StrEnum):
    """Why nobody was noted."""

    UNKNOWN_CODE = "unknown_code"
    NO_SUCH_MODULE = "no_such_module"


@dataclass(frozen=True, slots=True)
class Door:
    """Who has a seat, one more than :data:`MOST` at most, and when those came who have come to the module."""

    session: SessionState
    lines: Sequence[RosterLine]
    arrived: Mapping[UUID, datetime]


async def at_the_door(
    tx: Transaction, session_id: UUID, module: int, organiser: Principal, reading: Reading
) -> Door | None:
    """Return who has a seat and who has come to a module, counted from 0; None: it is not the organiser's.

    Who reads is recorded.
    """
    session = await find_own(tx, session_id, organiser)
    if session is None:
        return None
    await read_log.record(tx, reading, ReadKind.ROSTER, session_id=session_id)
    lines = await roster_lines.page(tx, session_id, None, MOST + 1, states=SEATED)
    ids = [line.enrolment.enrolment_id for line in lines]
    return Door(session, lines, await arrivals.at_module(tx, ids, module))


async def note(
    tx: Transaction, session_id: UUID, module: int, *, code: str, organiser: Principal, now: datetime
) -> UUID | ArrivalFault | None:
    """Note that somebody has come, by the id or the reference of their enrolment. Returns the id.

    None: the session is not the organiser's.
    """
    session = await find_own(tx, session_id, organiser)
    if session is None:
        return None
    if not 0 <= module < max(1, len(session.modules)):
        return ArrivalFault.NO_SUCH_MODULE
    found = await _seated(tx, session_id, code)
    if found is None:
        return ArrivalFault.UNKNOWN_CODE
    await arrivals.note(tx, [found], module, organiser.name, now)
    return found


async def undo(
    tx: Transaction, session_id: UUID, module: int, *, code: str, organiser: Principal
) -> UUID | ArrivalFault | None:
    """Undo that somebody was noted; as :func:`note`."""
    if await find_own(tx, session_id, organiser) is None:
        return None
    found = await _seated(tx, session_id, code)
    if found is None:
        return ArrivalFault.UNKNOWN_CODE
    await arrivals.remove(tx, found, module)
    return found


async def _seated(tx: Transaction, session_id: UUID, code: str) -> UUID | None:
    """Return the enrolment of this id or reference, if it has a seat in the session and is the only one."""
    between: tuple[UUID, UUID] | None
    try:
        between = UUID(code), UUID(code)
    except ValueError:
        between = ids_of(code)
    if between is None:
        return None
    found = await roster_lines.seated_between(tx, session_id, *between)
    return found[0] if len(found) == 1 else None


async def attendance_since(
    tx: Transaction, session_id: UUID, module: int, seen: Mapping[UUID, Attendance | None]
) -> Mapping[UUID, Attendance | None]:
    """Return the attendance of those for whom it is not any more what somebody saw; nobody changes it now."""
    await sessions.lock(tx, [session_id])
    rows = await attendance.rows_of(tx, list(seen))
    stored = {
        enrolment_id: next((Attendance(row.attendance) for row in marks if row.module == module), None)
        for enrolment_id, marks in rows.items()
    }
    return {
        enrolment_id: stored.get(enrolment_id)
        for enrolment_id, mark in seen.items()
        if stored.get(enrolment_id) != mark
    }
