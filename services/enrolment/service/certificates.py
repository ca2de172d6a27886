from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from services.enrolment.render.certificates import Certificate, certificate_of
from services.enrolment.rules.certificates import is_name_of
from services.enrolment.rules.enrolments import Enrolment, EnrolmentInSession
from services.enrolment.rules.roster_lines import LineKey
from services.enrolment.rules.states import State
from services.enrolment.service.enrolments import find_own
from services.enrolment.store import attendance, certificates, enrolments, roster_lines
from shared import read_log
from shared.auth import Principal
from shared.database import Transaction
from shared.events.catalogue import SessionState
from shared.events.enrolment import Attendance
from shared.read_log import Reading, ReadKind


async def of_enrolment(tx: Transaction, found: EnrolmentInSession) -> Certificate | None:
    """Return None if no certificate is due. The first read creates its code."""
    due = await _due(tx, found.session, [found.enrolment])
    return due.get(found.enrolment.enrolment_id)


async def certificate_for_organiser(
    tx: Transaction, enrolment_id: UUID, organiser: Principal, reading: Reading
) -> tuple[EnrolmentInSession | None, Certificate | None]:
    own = await find_own(tx, enrolment_id, organiser)
    if own is None:
        return None, None
    due = await certificates_of(tx, own.session, [own.enrolment], reading, of_a_list=False)
    return own, due[0] if due else None


async def certificates_of(
    tx: Transaction,
    session: SessionState,
    enrolments: Sequence[Enrolment],
    reading: Reading,
    *,
    of_a_list: bool = True,
) -> list[Certificate]:
    if enrolments:
        agents = [enrolment.agent.key for enrolment in enrolments]
        session_id = session.session_id
        await read_log.record(
            tx, reading, ReadKind.CERTIFICATE, agents=agents, session_id=session_id, of_a_list=of_a_list
        )
    due = await _due(tx, session, enrolments)
    return [due[enrolment.enrolment_id] for enrolment in enrolments if enrolment.enrolment_id in due]


async def count_due(tx: Transaction, session_id: UUID) -> int:
    return await certificates.count_due(tx, session_id)


async def ends_of_parts(tx: Transaction, session_id: UUID, size: int) -> list[LineKey]:
    return await roster_lines.ends_of_parts(tx, session_id, State.CERTIFIED, size)


@dataclass(frozen=True, slots=True)
class Verified:
    """``name`` is the agent's name if the reader typed it correctly.

    ``hours`` is None if unknown. A correction of attendance may have withdrawn the certificate.
    """

    is_valid: bool
    session: SessionState
    hours: timedelta | None = None
    name: str | None = None


async def verify(tx: Transaction, code: str, name: str | None = None) -> Verified | None:
    """Return None for an unknown code."""
    known = await certificates.enrolment_of(tx, code)
    found = None if known is None else await enrolments.find(tx, known.enrolment_id)
    if known is None or found is None:
        return None
    valid = None if known.is_void else await of_enrolment(tx, found)
    if valid is None:
        return Verified(False, found.session)
    agent = found.enrolment.agent
    matches = name is not None and is_name_of(agent, name)
    return Verified(
        True, found.session, valid.hours, f"{agent.given_name} {agent.family_name}" if matches else None
    )


async def _due(
    tx: Transaction, session: SessionState, enrolments: Sequence[Enrolment]
) -> dict[UUID, Certificate]:
    certified = {
        enrolment.enrolment_id: enrolment for enrolment in enrolments if enrolment.state is State.CERTIFIED
    }
    recorded = await attendance.rows_of(tx, list(certified))
    codes = await certificates.codes_of(tx, recorded)
    return {
        enrolment_id: certificate_of(
            certified[enrolment_id],
            session,
            [row.module for row in rows if row.attendance == Attendance.ATTENDED],
            max(row.recorded_at for row in rows),
            codes[enrolment_id],
        )
        for enrolment_id, rows in recorded.items()
    }
