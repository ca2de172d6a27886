from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.enrolment.rules.named_agents import AgentsByName, NamedAgent
from services.enrolment.rules.organising import OrganisingFault, attendance_marks, record_attendance
from services.enrolment.service.acting import Acting
from services.enrolment.service.failures import AttendanceHasChanged, InvalidRecords
from services.enrolment.service.sessions import lock_own
from services.enrolment.store import attendance as store
from services.enrolment.store import enrolments, rosters
from services.enrolment.store.load_plans import LoadPlan
from shared.database import Transaction
from shared.events.catalogue import SessionState
from shared.events.enrolment import Attendance


async def record(
    acting: Acting,
    session_id: UUID,
    records: Sequence[tuple[NamedAgent, int | None, Attendance]],
) -> None:
    """All records count, or none. Modules count from 1; None is the only module.

    Raises ``NotFound``, ``InvalidRecords``.
    """
    session = await lock_own(acting.tx, session_id, acting.who)
    only_module = 0 if len(session.modules) <= 1 else -1  # with several modules the record must name one
    marks, faults = attendance_marks(
        [
            (named, only_module if number is None else number - 1, attendance)
            for named, number, attendance in records
        ],
        AgentsByName(
            await enrolments.agents_of(acting.tx, session_id, {named.agent_id for named, *_ in records})
        ),
    )
    if faults:
        raise InvalidRecords(faults)
    agents = {mark.agent for mark in marks}
    roster = await rosters.load_for_organiser(
        acting.tx, session_id, acting.policy, acting.now, plan=LoadPlan(), agents=agents
    )
    faults = record_attendance(roster, marks, acting.who.name)
    if faults:
        raise InvalidRecords(faults)
    await rosters.save(acting.tx, [roster])


@dataclass(frozen=True, slots=True)
class AttendanceAsSeen:
    """Modules count from 0."""

    enrolment_id: UUID
    module: int
    before: Attendance | None
    after: Attendance


async def incomplete_modules(tx: Transaction, session: SessionState, now: datetime) -> set[int]:
    begun = sum(module.starts_at <= now for module in session.modules)
    return await store.incomplete_modules(tx, session.session_id, begun)


async def record_as_seen(acting: Acting, session_id: UUID, changes: Sequence[AttendanceAsSeen]) -> None:
    """Do nothing if another value was recorded since.

    Raises ``NotFound``, ``InvalidRecords``, ``AttendanceHasChanged``.
    """
    await lock_own(acting.tx, session_id, acting.who)
    agents = await enrolments.agents(acting.tx, session_id, [change.enrolment_id for change in changes])
    gone = {
        index: OrganisingFault.NOT_ENROLLED
        for index, change in enumerate(changes)
        if change.enrolment_id not in agents
    }
    if gone:
        raise InvalidRecords(gone)
    recorded = await store.of_enrolments(acting.tx, [*agents])
    since: dict[UUID, Attendance | None] = {}
    for change in changes:
        mark = recorded.get(change.enrolment_id, {}).get(change.module)
        if mark != change.before:
            since[change.enrolment_id] = None if mark is None else Attendance(mark)
    if since:
        raise AttendanceHasChanged(since)
    records = []
    for change in changes:
        agent = agents[change.enrolment_id]
        records.append((NamedAgent(agent.agent_id, agent.issuer), change.module + 1, change.after))
    await record(acting, session_id, records)
