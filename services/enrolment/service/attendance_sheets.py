from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from services.enrolment.rules.named_agents import NamedAgent
from services.enrolment.rules.roster_lines import RosterLine
from services.enrolment.service.sheet_lines import AttendanceLine
from shared.events.catalogue import SessionState
from shared.events.enrolment import Attendance
from shared.web.spreadsheets import Fault


@dataclass(frozen=True, slots=True)
class AttendanceChange:
    """A line that differs from the record. ``module`` counts from 0."""

    line: int
    person: RosterLine
    module: int
    before: Attendance | None
    after: Attendance

    @property
    def enrolment_id(self) -> UUID:
        return self.person.enrolment.enrolment_id


def compared(
    session: SessionState, seated: Sequence[RosterLine], lines: Sequence[tuple[int, AttendanceLine]]
) -> tuple[list[AttendanceChange], list[Fault]]:
    changes: list[AttendanceChange] = []
    faults: list[Fault] = []
    number_of_modules = max(1, len(session.modules))
    by_name: dict[NamedAgent, list[RosterLine]] = {}
    for person in seated:
        agent = person.enrolment.agent
        by_name.setdefault(NamedAgent(agent.agent_id, agent.issuer), []).append(person)
        by_name.setdefault(NamedAgent(agent.agent_id), []).append(person)
    for number, record in lines:
        people = by_name.get(record.agent, [])
        module = (record.module or (1 if number_of_modules == 1 else 0)) - 1
        if len(people) != 1:
            faults.append(Fault(number, "not_enrolled", "names nobody with a seat, or two people"))
        elif not 0 <= module < number_of_modules:
            faults.append(Fault(number, "no_such_module", "names no module of the session"))
        elif people[0].attendance.get(module) != record.attendance:
            before = people[0].attendance.get(module)
            changes.append(AttendanceChange(number, people[0], module, before, record.attendance))
    return changes, faults
