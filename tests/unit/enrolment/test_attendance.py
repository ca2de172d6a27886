"""Who came, recorded per module, and to whom a certificate is due (rule 9)."""

from datetime import timedelta
from typing import Any

import pytest

from services.enrolment.rules import Book, Cause, Fault, Seen, State, record_attendance
from shared.events.enrolment import Attendance, AttendanceRecorded
from shared.events.vocabulary import Agent
from tests.support.books import (
    a_book,
    agents,
    asks,
    changed,
    decided,
    enrol,
    since,
    state_of,
    states_of,
)
from tests.support.builders import DURING, ENDS, STARTS, an_agent

CAME, MISSED, EXCUSED = Attendance.ATTENDED, Attendance.ABSENT, Attendance.ABSENT_JUSTIFIED
AUTHOR = "Anne Conseil"


def modules(number: int) -> list[dict[str, Any]]:
    """As many séances, an hour each, from the start on."""
    return [
        {
            "title": f"Séance {one + 1}",
            "starts_at": STARTS + timedelta(hours=one),
            "ends_at": STARTS + timedelta(hours=one + 1),
        }
        for one in range(number)
    ]


def after_the_session(number_of_modules: int = 0, number_of_agents: int = 1) -> tuple[Book, list[Agent]]:
    """A book at the end of a session, in which all are enrolled."""
    book, some = a_book(now=ENDS, modules=modules(number_of_modules)), agents(number_of_agents)
    decided(book, *(asks(book, agent, received_at=DURING) for agent in some))
    return book, some


def seen(book: Book, agent: Agent, *marks: Attendance, first: int = 0) -> list[AttendanceRecorded]:
    """Record these, module after module; returns what is told."""
    before = len(book.decisions)
    every = [Seen(agent.agent_id, module, mark) for module, mark in enumerate(marks, start=first)]
    assert record_attendance(book, every, AUTHOR) == {}
    events = since(book, before)
    assert all(isinstance(event, AttendanceRecorded) for event in events)
    return [event for event in events if isinstance(event, AttendanceRecorded)]


# ------------------------------------------------------------ where somebody stands


@pytest.mark.parametrize(
    ("mark", "state"),
    [(CAME, State.CERTIFIED), (MISSED, State.ABSENT), (EXCUSED, State.ABSENT_JUSTIFIED)],
)
def test_a_session_without_modules_is_recorded_as_one(mark: Attendance, state: State) -> None:
    book, (agent,) = after_the_session()
    [event] = seen(book, agent, mark)
    assert (event.module, event.attendance, event.certified) == (None, mark, state is State.CERTIFIED)
    assert state_of(book, agent) is state


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
    book, (agent,) = after_the_session(3)
    events = seen(book, agent, *marks)
    assert state_of(book, agent) is state
    assert [event.module for event in events] == ["Séance 1", "Séance 2", "Séance 3"][: len(marks)]
    assert [event.certified for event in events if event.certified] == [True] * (state is State.CERTIFIED)


def test_modules_may_be_recorded_in_any_order() -> None:
    book, (agent,) = after_the_session(2)
    seen(book, agent, CAME, first=1)
    assert state_of(book, agent) is State.ATTENDED
    [event] = seen(book, agent, MISSED, first=0)
    assert event.certified
    assert (event.module, event.attendance) == ("Séance 1", MISSED)


def test_a_certificate_becomes_due_once() -> None:
    book, (agent,) = after_the_session(2)
    seen(book, agent, CAME, CAME)
    [event] = seen(book, agent, MISSED)
    assert not event.certified
    assert state_of(book, agent) is State.CERTIFIED


def test_whoever_came_sat_on_a_seat() -> None:
    book, (came, missed) = after_the_session(0, 2)
    seen(book, came, CAME)
    seen(book, missed, MISSED)
    assert book.seats.enrolled == 2


def test_what_is_recorded_keeps_its_author_its_module_and_the_mark() -> None:
    book, (agent,) = after_the_session(2)
    seen(book, agent, CAME, first=1)
    change = book.changes[-1]
    assert change.cause is Cause.ATTENDANCE
    assert (change.facts["author"], change.facts["module"], change.facts["attendance"]) == (AUTHOR, 2, CAME)
    assert book.marked == {(book.latest[agent.agent_id].enrolment_id, 1): CAME}


# ------------------------------------------------------------ corrections


def test_the_same_recorded_again_changes_nothing_and_tells_nothing() -> None:
    book, (agent,) = after_the_session(2)
    seen(book, agent, CAME, MISSED)
    before = book.latest[agent.agent_id]
    assert seen(book, agent, CAME, MISSED) == []
    assert book.latest[agent.agent_id] == before


@pytest.mark.parametrize("first", Attendance)
@pytest.mark.parametrize("then", Attendance)
def test_a_mark_can_be_corrected_to_any_other(first: Attendance, then: Attendance) -> None:
    book, (agent,) = after_the_session()
    seen(book, agent, first)
    events = seen(book, agent, then)
    assert len(events) == (first is not then)
    standing = {CAME: State.CERTIFIED, MISSED: State.ABSENT, EXCUSED: State.ABSENT_JUSTIFIED}
    assert state_of(book, agent) is standing[then]


def test_a_correction_takes_a_certificate_back_and_another_makes_it_due_again() -> None:
    book, (agent,) = after_the_session(2)
    seen(book, agent, CAME, MISSED)
    [taken_back] = seen(book, agent, EXCUSED)
    assert (taken_back.certified, state_of(book, agent)) == (False, State.ABSENT)
    [due_again] = seen(book, agent, CAME)
    assert (due_again.certified, state_of(book, agent)) == (True, State.CERTIFIED)


def test_two_contradictory_lines_about_one_module_are_a_fault_and_certify_nobody() -> None:
    book, (agent,) = after_the_session()
    lines = [Seen(agent.agent_id, 0, CAME), Seen(agent.agent_id, 0, CAME), Seen(agent.agent_id, 0, MISSED)]
    assert record_attendance(book, lines, AUTHOR) == {2: Fault.CONTRADICTION}
    assert state_of(book, agent) is State.ENROLLED


def test_a_module_that_is_taken_out_of_the_session_counts_no_more() -> None:
    book, (agent,) = after_the_session(3)
    seen(book, agent, CAME, first=2)
    changed(book, modules=modules(2))
    seen(book, agent, MISSED)
    assert state_of(book, agent) is State.ENROLLED, "the second module is not known yet"
    seen(book, agent, MISSED, first=1)
    assert state_of(book, agent) is State.ABSENT


def test_a_module_that_is_added_is_waited_for() -> None:
    book, (agent,) = after_the_session(1)
    seen(book, agent, CAME)
    assert state_of(book, agent) is State.CERTIFIED
    changed(book, modules=modules(3))
    seen(book, agent, MISSED, first=1)
    assert state_of(book, agent) is State.ATTENDED


# ------------------------------------------------------------ faults


def test_one_fault_and_nothing_is_recorded() -> None:
    book, (first, second) = after_the_session(2, 2)
    before = len(book.decisions)
    lines = [
        Seen(first.agent_id, 0, CAME),
        Seen("IEL-INCONNU", 0, CAME),
        Seen(second.agent_id, 2, CAME),
        Seen(second.agent_id, -1, CAME),
    ]
    faults = record_attendance(book, lines, AUTHOR)
    assert faults == {1: Fault.NOT_ENROLLED, 2: Fault.NO_SUCH_MODULE, 3: Fault.NO_SUCH_MODULE}
    assert (len(book.decisions), book.marked, book.changes) == (before, {}, [])
    assert states_of(book, (first, second)) == [State.ENROLLED, State.ENROLLED]


def test_a_session_without_modules_has_one_and_no_second() -> None:
    book, (agent,) = after_the_session()
    assert record_attendance(book, [Seen(agent.agent_id, 1, CAME)], AUTHOR) == {0: Fault.NO_SUCH_MODULE}


def test_nobody_is_seen_before_the_module_began() -> None:
    book, (agent,) = after_the_session(2)
    second = STARTS + timedelta(hours=1)
    lines = [Seen(agent.agent_id, 0, CAME), Seen(agent.agent_id, 1, CAME)]
    book.now = second - timedelta(microseconds=1)
    assert record_attendance(book, lines, AUTHOR) == {1: Fault.NOT_STARTED}
    book.now = second
    assert record_attendance(book, lines, AUTHOR) == {}


@pytest.mark.parametrize("session", [{"capacity": 0}, {"approval": "employer"}, {"approval": "selection"}])
def test_attendance_is_of_those_who_have_a_seat(session: Any) -> None:
    book, agent = a_book(now=ENDS, **session), an_agent()
    decided(book, asks(book, agent, received_at=DURING))
    if book.latest[agent.agent_id].state.is_live:
        assert not book.latest[agent.agent_id].state.has_seat
    assert record_attendance(book, [Seen(agent.agent_id, 0, CAME)], AUTHOR) == {0: Fault.NOT_ENROLLED}


def test_of_a_cancelled_session_no_attendance_is_recorded() -> None:
    book, agent = a_book(), an_agent()
    enrol(book, agent)
    changed(book, status="cancelled")
    book.now = ENDS
    assert record_attendance(book, [Seen(agent.agent_id, 0, CAME)], AUTHOR) == {0: Fault.NOT_ENROLLED}


def test_nothing_recorded_is_no_fault() -> None:
    book, _ = after_the_session()
    assert record_attendance(book, [], AUTHOR) == {}
