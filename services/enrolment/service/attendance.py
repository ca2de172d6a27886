"""Organisers record attendance; certificates follow from it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from services.enrolment.render.certificates import Certificate, certificate_of
from services.enrolment.rules.enrolments import EnrolmentInSession
from services.enrolment.rules.organising import AttendanceMark, OrganisingFault, record_attendance
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.states import State
from services.enrolment.service import sessions
from services.enrolment.store import attendance, rosters
from services.enrolment.store.rosters import LoadPlan
from shared.auth import Principal
from shared.database import Transaction
from shared.events.enrolment import Attendance


async def record(
    tx: Transaction,
    session_id: UUID,
    records: Sequence[tuple[str, int | None, Attendance]],
    *,
    organiser: Principal,
    policy: Policy,
    now: datetime,
) -> Mapping[int, OrganisingFault] | None:
    """Record who came to which module: all records, or none when there is a fault.

    A record is an agent's id, the number of the module (1 is the first; None where there is no choice), the
    attendance. Returns the faults by the index of their record, or None when the session is not the
    organiser's.
    """
    session = await sessions.find_own(tx, session_id, organiser)
    if session is None:
        return None
    only_module = 0 if len(session.modules) <= 1 else -1  # where there is a choice it must be made
    marks = [
        AttendanceMark(agent_id, only_module if number is None else number - 1, mark)
        for agent_id, number, mark in records
    ]
    agent_ids = sorted({mark.agent_id for mark in marks})
    roster = await rosters.load_for_organiser(
        tx, session_id, policy, now, plan=LoadPlan(), agent_ids=agent_ids
    )
    faults = record_attendance(roster, marks, organiser.name)
    if not faults:
        await rosters.save(tx, [roster])
    return faults


async def certificate(tx: Transaction, found: EnrolmentInSession) -> Certificate | None:
    """Return the certificate of an enrolment, or None when none is due."""
    recorded = await attendance.of_enrolment(tx, found.enrolment.enrolment_id)
    if found.enrolment.state is not State.CERTIFIED or not recorded:
        return None
    attended = [row.module for row in recorded if row.attendance == Attendance.ATTENDED]
    recorded_at = max(row.recorded_at for row in recorded)
    return certificate_of(found.enrolment, found.session, attended, recorded_at)
