"""Who came, recorded per module, and to whom a certificate is due (rule 9)."""

from datetime import timedelta
from typing import Any

import pytest

from services.enrolment.rules.organising import AttendanceMark, OrganisingFault, record_attendance
from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.states import Cause, State
from shared.events.enrolment import Attendance, AttendanceRecorded
from shared.events.vocabulary import Agent, AgentKey
from tests.support.builders import DURING, ENDS, STARTS, an_agent
from tests.support.rosters import (
    a_roster,
    a_seat_request,
    agents,
    changed,
    decided,
    enrol,
    since,
    state_of,
    states_of,
)

CAME, MISSED, EXCUSED = Attendance.ATTENDED, Attendance.ABSENT, Attendance.ABSENT_JUSTIFIED
AUTHOR = "Anne Conseil"


def modules(number: int) -> list[dict[str, Any]]:
    """As many séances, an hour each, from the start on."""
    return [
        {
            "title": f"Séance {index + 1}",
            "starts_at": STARTS + timedelta(hours=index),
            "ends_at": STARTS + timedelta(hours=index + 1),
        }
        for index in range(number)
    ]


def after_the_session(
    number_of_modules: int = 0, number_of_agents: int = 1
) -> tuple[SessionRoster, list[Agent]]:
    """A roster at the end of a session, in which all are enrolled."""
    roster, some = a_roster(now=ENDS, modules=modules(number_of_modules)), agents(number_of_agents)
    decided(roster, *(a_seat_request(roster, agent, received_at=DURING) for agent in some))
    return roster, some


def seen(roster: SessionRoster, agent: Agent, *marks: Attendance, first: int = 0) -> list[AttendanceRecorded]:
    """Record these, module after module; returns what is published."""
    before = len(roster.decisions)
    every = [AttendanceMark(agent.key, module, mark) for module, mark in enumerate(marks, start=first)]
    assert record_attendance(roster, every, AUTHOR) == {}
    events = since(roster, before)
    assert all(isinstance(event, AttendanceRecorded) for event in events)
    return [event for event in events if isinstance(event, AttendanceRecorded)]


# ------------------------------------------------------------ where somebody stands


@pytest.mark.parametrize(
    ("mark", "state"),
    [(CAME, State.CERTIFIED), (MISSED, State.ABSENT), (EXCUSED, State.ABSENT_JUSTIFIED)],
)
def test_a_session_without_modules_is_recorded_as_one(mark: Attendance, state: State) -> None:
    roster, (agent,) = after_the_session()
    [event] = seen(roster, agent, mark)
    assert (event.module, event.attendance, event.certified) == (None, mark, state is State.CERTIFIED)
    assert state_of(roster, agent) is state


@pytest.mark.parametrize(
    ("marks", "state"),
    [
        ([CAME], State.ATTENDED),
        ([MISSED], State.ENROLLED),
        ([EXCUSED], State.ENROLLED),
        ([MISSED, MISSED], State.ENROLLED),
        ([MISSED, CAME], State.ATTENDED),
        ([CAME, CAME, CAME], State.CERTIFIED),
        ([CAME, MISSED, MISSED], State.CERTIFIED),
        ([EXCUSED, EXCUSED, CAME], State.CERTIFIED),
        ([MISSED, MISSED, MISSED], State.ABSENT),
        ([EXCUSED, EXCUSED, MISSED], State.ABSENT),
        ([EXCUSED, EXCUSED, EXCUSED], State.ABSENT_JUSTIFIED),
    ],
)
def test_a_certificate_is_due_to_whoever_attended_a_module_once_it_is_known_of_each(
    marks: list[Attendance], state: State
) -> None:
    roster, (agent,) = after_the_session(3)
    events = seen(roster, agent, *marks)
    assert state_of(roster, agent) is state
    assert [event.module for event in events] == ["Séance 1", "Séance 2", "Séance 3"][: len(marks)]
    assert [event.certified for event in events if event.certified] == [True] * (state is State.CERTIFIED)


def test_modules_may_be_recorded_in_any_order() -> None:
    roster, (agent,) = after_the_session(2)
    seen(roster, agent, CAME, first=1)
    assert state_of(roster, agent) is State.ATTENDED
    [event] = seen(roster, agent, MISSED, first=0)
    assert event.certified
    assert (event.module, event.attendance) == ("Séance 1", MISSED)


def test_a_certificate_becomes_due_once() -> None:
    roster, (agent,) = after_the_session(2)
    seen(roster, agent, CAME, CAME)
    [event] = seen(roster, agent, MISSED)
    assert not event.certified
    assert state_of(roster, agent) is State.CERTIFIED


def test_whoever_came_sat_on_a_seat() -> None:
    roster, (came, missed) = after_the_session(0, 2)
    seen(roster, came, CAME)
    seen(roster, missed, MISSED)
    assert roster.seats.enrolled == 2


def test_what_is_recorded_keeps_its_author_its_module_and_the_mark() -> None:
    roster, (agent,) = after_the_session(2)
    seen(roster, agent, CAME, first=1)
    change = roster.changes[-1]
    assert change.cause is Cause.ATTENDANCE
    assert (change.numbers["author"], change.numbers["module"], change.numbers["attendance"]) == (
        AUTHOR,
        2,
        CAME,
    )
    assert roster.recorded == {(roster.latest[agent.key].enrolment_id, 1): CAME}


# ------------------------------------------------------------ corrections


def test_the_same_recorded_again_changes_nothing_and_tells_nothing() -> None:
    roster, (agent,) = after_the_session(2)
    seen(roster, agent, CAME, MISSED)
    before = roster.latest[agent.key]
    assert seen(roster, agent, CAME, MISSED) == []
    assert roster.latest[agent.key] == before


@pytest.mark.parametrize("first", Attendance)
@pytest.mark.parametrize("then", Attendance)
def test_a_mark_can_be_corrected_to_any_other(first: Attendance, then: Attendance) -> None:
    roster, (agent,) = after_the_session()
    seen(roster, agent, first)
    events = seen(roster, agent, then)
    assert len(events) == (first is not then)
    standing = {CAME: State.CERTIFIED, MISSED: State.ABSENT, EXCUSED: State.ABSENT_JUSTIFIED}
    assert state_of(roster, agent) is standing[then]


def test_a_correction_takes_a_certificate_back_and_another_makes_it_due_again() -> None:
    roster, (agent,) = after_the_session(2)
    seen(roster, agent, CAME, MISSED)
    [taken_back] = seen(roster, agent, EXCUSED)
    assert (taken_back.certified, state_of(roster, agent)) == (False, State.ABSENT)
    [due_again] = seen(roster, agent, CAME)
    assert (due_again.certified, state_of(roster, agent)) == (True, State.CERTIFIED)


def test_two_contradictory_lines_about_one_module_are_a_fault_and_certify_nobody() -> None:
    roster, (agent,) = after_the_session()
    lines = [
        AttendanceMark(agent.key, 0, CAME),
        AttendanceMark(agent.key, 0, CAME),
        AttendanceMark(agent.key, 0, MISSED),
    ]
    assert record_attendance(roster, lines, AUTHOR) == {2: OrganisingFault.CONTRADICTION}
    assert state_of(roster, agent) is State.ENROLLED


def test_a_module_that_is_taken_out_of_the_session_counts_no_more() -> None:
    roster, (agent,) = after_the_session(3)
    seen(roster, agent, CAME, first=2)
    changed(roster, modules=modules(2))
    seen(roster, agent, MISSED)
    assert state_of(roster, agent) is State.ENROLLED, "the second module is not known yet"
    seen(roster, agent, MISSED, first=1)
    assert state_of(roster, agent) is State.ABSENT


def test_a_module_that_is_added_is_waited_for() -> None:
    roster, (agent,) = after_the_session(1)
    seen(roster, agent, CAME)
    assert state_of(roster, agent) is State.CERTIFIED
    changed(roster, modules=modules(3))
    seen(roster, agent, MISSED, first=1)
    assert state_of(roster, agent) is State.ATTENDED


# ------------------------------------------------------------ faults


def test_one_fault_and_nothing_is_recorded() -> None:
    roster, (first, second) = after_the_session(2, 2)
    before = len(roster.decisions)
    lines = [
        AttendanceMark(first.key, 0, CAME),
        AttendanceMark(AgentKey("", "IEL-INCONNU"), 0, CAME),
        AttendanceMark(second.key, 2, CAME),
        AttendanceMark(second.key, -1, CAME),
    ]
    faults = record_attendance(roster, lines, AUTHOR)
    assert faults == {
        1: OrganisingFault.NOT_ENROLLED,
        2: OrganisingFault.NO_SUCH_MODULE,
        3: OrganisingFault.NO_SUCH_MODULE,
    }
    assert (len(roster.decisions), roster.recorded, roster.changes) == (before, {}, [])
    assert states_of(roster, (first, second)) == [State.ENROLLED, State.ENROLLED]


def test_a_session_without_modules_has_one_and_no_second() -> None:
    roster, (agent,) = after_the_session()
    assert record_attendance(roster, [AttendanceMark(agent.key, 1, CAME)], AUTHOR) == {
        0: OrganisingFault.NO_SUCH_MODULE
    }


def test_nobody_is_seen_before_the_module_began() -> None:
    roster, (agent,) = after_the_session(2)
    second = STARTS + timedelta(hours=1)
    lines = [AttendanceMark(agent.key, 0, CAME), AttendanceMark(agent.key, 1, CAME)]
    roster.now = second - timedelta(microseconds=1)
    assert record_attendance(roster, lines, AUTHOR) == {1: OrganisingFault.NOT_STARTED}
    roster.now = second
    assert record_attendance(roster, lines, AUTHOR) == {}


@pytest.mark.parametrize("session", [{"capacity": 0}, {"approval": "employer"}, {"approval": "selection"}])
def test_attendance_is_of_those_who_have_a_seat(session: Any) -> None:
    roster, agent = a_roster(now=ENDS, **session), an_agent()
    decided(roster, a_seat_request(roster, agent, received_at=DURING))
    if roster.latest[agent.key].state.is_live:
        assert not roster.latest[agent.key].state.has_seat
    assert record_attendance(roster, [AttendanceMark(agent.key, 0, CAME)], AUTHOR) == {
        0: OrganisingFault.NOT_ENROLLED
    }


def test_of_a_cancelled_session_no_attendance_is_recorded() -> None:
    roster, agent = a_roster(), an_agent()
    enrol(roster, agent)
    changed(roster, status="cancelled")
    roster.now = ENDS
    assert record_attendance(roster, [AttendanceMark(agent.key, 0, CAME)], AUTHOR) == {
        0: OrganisingFault.NOT_ENROLLED
    }


def test_nothing_recorded_is_no_fault() -> None:
    roster, _ = after_the_session()
    assert record_attendance(roster, [], AUTHOR) == {}
