"""Organisers record attendance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.enrolment.rules.named_agents import AgentsByName, NamedAgent
from services.enrolment.rules.organising import OrganisingFault, attendance_marks, record_attendance
from services.enrolment.rules.policy import Policy
from services.enrolment.service import sessions
from services.enrolment.store import attendance as store
from services.enrolment.store import enrolments, rosters
from services.enrolment.store import sessions as sessions_store
from services.enrolment.store.load_plans import LoadPlan
from shared.auth import Principal
from shared.database import Transaction
from shared.events.enrolment import Attendance


async def record(
    tx: Transaction,
    session_id: UUID,
    records: Sequence[tuple[NamedAgent, int | None, Attendance]],
    *,
    organiser: Principal,
    policy: Policy,
    now: datetime,
) -> Mapping[int, OrganisingFault] | None:
    """Record who came to which module: all records, or none when there is a fault.

    A record is an agent as named, the number of the module (1 is the first; None where there is no choice),
    the attendance. Returns the faults by the index of their record, or None when the session is not the
    organiser's.
    """
    session = await sessions.find_own(tx, session_id, organiser)
    if session is None:
        return None
    only_module = 0 if len(session.modules) <= 1 else -1  # where there is a choice it must be made
    marks, faults = attendance_marks(
        [
            (named, only_module if number is None else number - 1, attendance)
            for named, number, attendance in records
        ],
        AgentsByName(await enrolments.agents_of(tx, session_id, {named.agent_id for named, *_ in records})),
    )
    if faults:
        return faults
    agents = {mark.agent for mark in marks}
    roster = await rosters.load_for_organiser(tx, session_id, policy, now, plan=LoadPlan(), agents=agents)
    faults = record_attendance(roster, marks, organiser.name)
    if not faults:
        await rosters.save(tx, [roster])
    return faults


@dataclass(frozen=True, slots=True)
class AttendanceAsSeen:
    """The attendance of an enrolment at a module, counted from 0: as it was seen, and as it is to be."""

    enrolment_id: UUID
    module: int
    before: Attendance | None
    after: Attendance


@dataclass(frozen=True, slots=True)
class ChangedSince:
    """Nothing was recorded: this attendance is recorded now, and was not seen; by enrolment."""

    attendance: Mapping[UUID, Attendance | None]


async def record_as_seen(
    tx: Transaction,
    session_id: UUID,
    changes: Sequence[AttendanceAsSeen],
    *,
    organiser: Principal,
    policy: Policy,
    now: datetime,
) -> ChangedSince | Mapping[int, OrganisingFault] | None:
    """Record attendance, if all of it is still as it was seen; else as :func:`record`."""
    if await sessions.find_own(tx, session_id, organiser) is None:
        return None
    await sessions_store.lock(tx, [session_id])
    agents = await enrolments.agents(tx, session_id, [change.enrolment_id for change in changes])
    gone = {
        index: OrganisingFault.NOT_ENROLLED
        for index, change in enumerate(changes)
        if change.enrolment_id not in agents
    }
    if gone:
        return gone
    recorded = await store.of_enrolments(tx, [*agents])
    since: dict[UUID, Attendance | None] = {}
    for change in changes:
        mark = recorded.get(change.enrolment_id, {}).get(change.module)
        if mark != change.before:
            since[change.enrolment_id] = None if mark is None else Attendance(mark)
    if since:
        return ChangedSince(since)
    records = []
    for change in changes:
        agent = agents[change.enrolment_id]
        records.append((NamedAgent(agent.agent_id, agent.issuer), change.module + 1, change.after))
    return await record(tx, session_id, records, organiser=organiser, policy=policy, now=now)
