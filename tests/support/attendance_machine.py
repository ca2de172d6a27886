"""A session whose attendance is recorded at random (rules 9 and 11), compared with a naive model.

As in ``enrolment_machine``, a world is what is tested: the rules alone, or the store on a real Postgres.
"""

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from services.enrolment.rules.organising import AttendanceMark, OrganisingFault
from services.enrolment.rules.requests import SeatRequest
from shared.events.enrolment import Attendance, AttendanceRecorded, Decision, EnrolmentWithdrawn
from shared.events.vocabulary import AgentKey
from tests.support.builders import a_session
from tests.support.enrolment_machine import World
from tests.support.enrolment_model import AGENTS, CLOSES, OPENS, STARTS, EnrolmentEvent

DAY = timedelta(hours=7)
STRANGER, *PARTICIPANTS = [agent.key for agent in AGENTS[:3]]
participants = st.sampled_from(PARTICIPANTS)

AgentOutcome = tuple[AgentKey, str, bool]
"""An agent, what is published of them, and whether a certificate is due now or attendance is kept."""


class RecordingWorld(World, Protocol):
    """What is tested here: attendance is recorded too."""

    def record(
        self, marks: Sequence[AttendanceMark], now: datetime
    ) -> tuple[Mapping[int, OrganisingFault], list[EnrolmentEvent]]: ...


class AttendanceMachine(RuleBasedStateMachine):
    """Attendance, corrected or not, at one module or another, time, and a cancellation."""

    world: RecordingWorld

    def new_world(self) -> RecordingWorld:
        raise NotImplementedError

    @initialize(days=st.sampled_from([3, 2, 2, 1, 0]))
    def publish(self, *, days: int) -> None:
        """Publish a session of so many modules, each on its day; 0: one that has none."""
        self.now = OPENS + timedelta(hours=2)
        starts = [STARTS + timedelta(days=number) for number in range(max(1, days))]
        self.session = a_session(
            capacity=None,
            modules=[
                {"title": f"Journée {number}", "starts_at": at, "ends_at": at + DAY}
                for number, at in enumerate(starts[:days], start=1)
            ],
            enrolment_opens_at=OPENS,
            enrolment_closes_at=CLOSES,
            starts_at=starts[0],
            ends_at=starts[-1] + DAY,
        )
        self.starts = starts
        self.marks: dict[AgentKey, dict[int, Attendance]] = {agent: {} for agent in PARTICIPANTS}
        self.lost_their_seat: set[AgentKey] = set()
        self.cancelled_at: datetime | None = None
        self.world = self.new_world()
        self.world.apply_state(self.session, self.now)
        session_id = self.session_id
        self.world.ask(
            [SeatRequest(uuid.uuid4(), self.now, session_id, agent, True) for agent in AGENTS[1:3]], self.now
        )
        self.now = STARTS - timedelta(hours=1)

    @property
    def session_id(self) -> uuid.UUID:
        return self.session.session_id

    # ------------------------------------------------------------------------------------ what happens

    @rule(data=st.data(), modules=st.sampled_from([1, 1, 3]))
    def record(self, data: st.DataObject, modules: int) -> None:
        """All marks are taken, or none where one is wrong: of a module too many, or of one still to come."""
        module = st.integers(0, max(modules, len(self.starts)) - 1)
        mark = st.builds(AttendanceMark, participants, module, st.sampled_from(Attendance))
        self.record_marks(data.draw(st.lists(mark, min_size=1, max_size=4)))

    @rule(agent=participants, attendance=st.sampled_from(Attendance))
    def record_all_that_was_held(self, agent: AgentKey, attendance: Attendance) -> None:
        marks = [AttendanceMark(agent, module, attendance) for module in self.held_until_now()]
        if marks:
            self.record_marks(marks)

    @rule(module=st.integers(0, 3))
    def record_a_stranger(self, module: int) -> None:
        self.record_marks([AttendanceMark(STRANGER, module, Attendance.ATTENDED)])

    @rule(hours=st.sampled_from([1, 24, 72]))
    def let_time_pass(self, hours: int) -> None:
        self.now += timedelta(hours=hours)
        self.check(self.world.expire(self.now), [])

    @precondition(lambda self: self.cancelled_at is None and self.somebody_came())
    @rule()
    def cancel(self) -> None:
        """Attendance that is recorded stays; a certificate may be due, since no more will be held."""
        before = {agent: self.state(agent) for agent in PARTICIPANTS}
        version = self.session.version + 1
        session = a_session(**(self.session.model_dump() | {"status": "cancelled", "version": version}))
        self.cancelled_at = self.now
        expected: list[AgentOutcome] = []
        for agent, state in before.items():
            is_kept = state != "enrolled"
            expected.append((agent, "cancelled", is_kept))
            if not is_kept:
                self.lost_their_seat.add(agent)
            elif state == "attended" and self.state(agent) == "certified":
                expected.append((agent, "attended", True))
        self.check(self.world.apply_state(session, self.now), expected)

    # ------------------------------------------------------------------------------------ what is expected

    def record_marks(self, marks: Sequence[AttendanceMark]) -> None:
        expected_faults = self.faults_of(marks)
        faults, published = self.world.record(marks, self.now)
        assert dict(faults) == expected_faults
        self.check(published, [] if expected_faults else self.outcomes_of(marks))

    def held_until_now(self) -> list[int]:
        """The modules that have begun, counted from 0; none begins after the cancellation."""
        until = self.now if self.cancelled_at is None else min(self.now, self.cancelled_at)
        return [module for module, starts_at in enumerate(self.starts) if starts_at <= until]

    def somebody_came(self) -> bool:
        return any(Attendance.ATTENDED in marks.values() for marks in self.marks.values())

    def state(self, agent: AgentKey) -> str:
        """Say what follows from what is recorded: a certificate, once all that is held is known."""
        modules = range(len(self.starts)) if self.cancelled_at is None else self.held_until_now()
        marks = [self.marks[agent].get(module) for module in modules]
        has_come = Attendance.ATTENDED in marks
        if None in marks or not marks:
            return "attended" if has_come else "enrolled"
        return "certified" if has_come else "absent"

    def faults_of(self, marks: Sequence[AttendanceMark]) -> dict[int, OrganisingFault]:
        faults: dict[int, OrganisingFault] = {}
        for index, mark in enumerate(marks):
            same = [m.attendance for m in marks if (m.agent, m.module) == (mark.agent, mark.module)]
            if mark.attendance != same[0]:
                faults[index] = OrganisingFault.CONTRADICTION
            elif mark.module >= len(self.starts):
                faults[index] = OrganisingFault.NO_SUCH_MODULE
            elif mark.agent == STRANGER or mark.agent in self.lost_their_seat:
                faults[index] = OrganisingFault.NOT_ENROLLED
            elif mark.module not in self.held_until_now():
                faults[index] = OrganisingFault.NOT_STARTED
        return faults

    def outcomes_of(self, marks: Sequence[AttendanceMark]) -> list[AgentOutcome]:
        outcomes = []
        for mark in marks:
            if self.marks[mark.agent].get(mark.module) != mark.attendance:
                before = self.state(mark.agent)
                self.marks[mark.agent][mark.module] = mark.attendance
                is_due = self.state(mark.agent) == "certified" != before
                outcomes.append((mark.agent, mark.attendance.value, is_due))
        return outcomes

    def check(self, published: Sequence[EnrolmentEvent], expected: Sequence[AgentOutcome]) -> None:
        heard = [_outcome(event) for event in published if isinstance(event, Decision)]
        for each in heard:
            note(f"{self.now:%d %H:%M} {each}")
        assert Counter(heard) == Counter(expected)


def _outcome(event: Decision) -> AgentOutcome:
    match event:
        case AttendanceRecorded():
            return event.agent.key, event.attendance.value, event.certified
        case EnrolmentWithdrawn():
            assert event.by == "session_cancelled"
            return event.agent.key, "cancelled", event.attendance_kept
        case _:
            raise AssertionError(f"nobody expected {event}")
