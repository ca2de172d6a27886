"""Arrivals at the door. They become attendance once the organiser records it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.enrolment.rules.roster_lines import RosterLine, SeatedPerson
from services.enrolment.service.acting import Acting
from services.enrolment.service.enrolments import find_own as find_own_enrolment
from services.enrolment.service.failures import NotFound, UnknownCode
from services.enrolment.service.sessions import find_own, read_own
from services.enrolment.store import arrivals, roster_lines
from shared import read_log
from shared.auth import Principal
from shared.database import Transaction
from shared.events.catalogue import SessionState
from shared.read_log import Reading, ReadKind
from shared.references import ids_of


@dataclass(frozen=True, slots=True)
class Arrivals:
    session: SessionState
    people: Sequence[SeatedPerson]
    arrived: int


async def show(
    tx: Transaction, session_id: UUID, module: int, organiser: Principal, *, reading: Reading, most: int
) -> Arrivals | None:
    session = await read_own(tx, session_id, organiser, reading)
    if session is None:
        return None
    people = await arrivals.seated(tx, session_id, module, most)
    return Arrivals(session, people, await arrivals.count(tx, session_id, module))


async def seen_by_code(
    tx: Transaction, enrolment_id: UUID, organiser: Principal, reading: Reading
) -> RosterLine | None:
    found = await find_own_enrolment(tx, enrolment_id, organiser)
    if found is None:
        return None
    session_id = found.session.session_id
    agents = [found.enrolment.agent.key]
    await read_log.record(tx, reading, ReadKind.ENROLMENTS, agents=agents, session_id=session_id)
    return await roster_lines.line_of(tx, session_id, enrolment_id)


async def arrived_at(tx: Transaction, enrolment_id: UUID, module: int) -> datetime | None:
    """Modules count from 0. Returns None if the agent has not arrived."""
    return await arrivals.of_one(tx, enrolment_id, module)


async def note(acting: Acting, session_id: UUID, module: int, code: str) -> UUID:
    """``code`` is the enrolment's id or reference. Returns the id.

    Raises ``NotFound``, ``UnknownCode``.
    """
    enrolment_id = await _seated(acting.tx, session_id, code, acting.who)
    await arrivals.note(acting.tx, enrolment_id, module, acting.who.name, acting.now)
    return enrolment_id


async def undo(acting: Acting, session_id: UUID, module: int, code: str) -> UUID:
    enrolment_id = await _seated(acting.tx, session_id, code, acting.who)
    await arrivals.remove(acting.tx, enrolment_id, module)
    return enrolment_id


async def _seated(tx: Transaction, session_id: UUID, code: str, organiser: Principal) -> UUID:
    if await find_own(tx, session_id, organiser) is None:
        raise NotFound(f"session {session_id}")
    between: tuple[UUID, UUID] | None
    try:
        between = UUID(code), UUID(code)
    except ValueError:
        between = ids_of(code)
    found = [] if between is None else await roster_lines.seated_between(tx, session_id, *between)
    if len(found) != 1:
        raise UnknownCode
    return found[0]
