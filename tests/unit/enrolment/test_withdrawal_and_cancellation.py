"""Giving up an enrolment, and the end of all of them (rules 2, 7 and 8)."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.enrolment.rules import (
    Book,
    Refused,
    Seen,
    State,
    judge_withdrawal,
    rank,
    record_attendance,
)
from shared.events.enrolment import Attendance, EnrolmentRefused, EnrolmentWithdrawn, WithdrawnBy
from shared.events.vocabulary import Agent, Reason
from tests.support.books import (
    a_book,
    agents,
    answer_to,
    answers,
    asks,
    changed,
    decided,
    enrol,
    nominates,
    state_of,
    states_of,
    withdraws,
)
from tests.support.builders import DURING, STARTS, an_agent

TICK = timedelta(microseconds=1)
ENDED = [State.REFUSED, State.LAPSED, State.WITHDRAWN, State.SESSION_CANCELLED]
WAITING = [State.WAITLISTED, State.OFFERED, State.PENDING_APPROVAL, State.PENDING_SELECTION]


def one_who_is(state: State) -> tuple[Book, Agent]:
    book, agent = a_book(), an_agent()
    enrol(book, agent)
    book.latest[agent.agent_id] = replace(book.latest[agent.agent_id], state=state)
    return book, agent


# ------------------------------------------------------------ withdrawal


def test_a_withdrawal_frees_the_seat_and_says_who_gave_it_up_and_why() -> None:
    book, agent = a_book(), an_agent()
    enrol(book, agent)
    request = replace(withdraws(book, agent), reason="Congé", by_employer=True)
    [event] = decided(book, request)
    assert isinstance(event, EnrolmentWithdrawn)
    assert (event.by, event.reason, event.request_id) == (WithdrawnBy.EMPLOYER, "Congé", request.request_id)
    assert book.seats.taken == 0


def test_an_agent_who_withdraws_is_told_that_it_was_them() -> None:
    book, agent = a_book(), an_agent()
    enrol(book, agent)
    [event] = decided(book, withdraws(book, agent))
    assert isinstance(event, EnrolmentWithdrawn)
    assert event.by is WithdrawnBy.AGENT


@pytest.mark.parametrize("state", WAITING)
def test_whoever_waits_may_leave_also_after_the_start(state: State) -> None:
    book, agent = one_who_is(state)
    latest = book.latest[agent.agent_id]
    for received_at in (DURING, STARTS, STARTS + timedelta(days=1)):
        assert judge_withdrawal(book.session, latest, received_at) is None


def test_a_withdrawal_from_a_seat_is_refused_from_the_start_on() -> None:
    book, agent = one_who_is(State.ENROLLED)
    latest = book.latest[agent.agent_id]
    assert judge_withdrawal(book.session, latest, STARTS - TICK) is None
    assert judge_withdrawal(book.session, latest, STARTS) == Refused(Reason.DEADLINE_PASSED)


def test_a_withdrawal_received_before_the_start_counts_however_late_it_is_decided() -> None:
    book, agent = a_book(), an_agent()
    enrol(book, agent)
    decided(book, withdraws(book, agent, received_at=STARTS - TICK), at=STARTS + timedelta(hours=1))
    assert state_of(book, agent) is State.WITHDRAWN


@pytest.mark.parametrize("mark", Attendance)
def test_attendance_that_was_recorded_says_more_than_a_withdrawal_whenever_it_was_sent(
    mark: Attendance,
) -> None:
    """It was sent before the start and read late, or the session was put off after that."""
    book, agent = a_book(now=STARTS), an_agent()
    decided(book, asks(book, agent, received_at=DURING))
    assert record_attendance(book, [Seen(agent.agent_id, 0, mark)], "Anne Conseil") == {}
    before = book.latest[agent.agent_id]
    answer = answer_to(book, withdraws(book, agent, received_at=STARTS - TICK))
    assert answer.reason is Reason.DEADLINE_PASSED
    assert book.latest[agent.agent_id] == before


def test_a_list_without_somebody_who_was_seen_there_ends_nothing() -> None:
    private: dict[str, Any] = {"format": "bespoke", "audience": {"sirets": ["21350238800019"]}}
    book, (seen, other) = a_book(now=STARTS, **private), agents(2)
    decided(book, nominates(book, (seen, other), received_at=DURING))
    record_attendance(book, [Seen(seen.agent_id, 0, Attendance.ATTENDED)], "Anne Conseil")
    decided(book, nominates(book, (other,), received_at=DURING))
    assert states_of(book, (seen, other)) == [State.CERTIFIED, State.ENROLLED]


def test_a_withdrawal_of_nothing_is_answered_not_enrolled_and_tells_nobody_unknown() -> None:
    book = a_book()
    assert answer_to(book, withdraws(book, an_agent())).reason is Reason.NOT_ENROLLED
    assert not book.decisions


def test_a_second_withdrawal_is_refused_to_the_agent_who_is_known() -> None:
    book, agent = a_book(), an_agent()
    enrol(book, agent)
    decided(book, withdraws(book, agent))
    [event] = decided(book, withdraws(book, agent))
    assert isinstance(event, EnrolmentRefused)
    assert (event.reason, event.asked) == (Reason.NOT_ENROLLED, "withdrawal")


@pytest.mark.parametrize("state", ENDED)
def test_what_has_ended_cannot_be_withdrawn(state: State) -> None:
    book, agent = one_who_is(state)
    latest = book.latest[agent.agent_id]
    assert judge_withdrawal(book.session, latest, DURING) == Refused(Reason.NOT_ENROLLED)


def test_a_withdrawal_ends_the_enrolment_not_the_right_to_ask_again() -> None:
    book, agent = a_book(), an_agent()
    enrol(book, agent)
    decided(book, withdraws(book, agent), asks(book, agent))
    assert state_of(book, agent) is State.ENROLLED


# ------------------------------------------------------------ cancellation


def a_session_with_everybody() -> tuple[Book, list[Agent]]:
    """Somebody enrolled, offered, waiting, pending approval and pending selection."""
    book, (seated, leaves, offered, waiting, pending, applied) = (
        a_book(capacity=2, waiting_list="offer"),
        agents(6),
    )
    enrol(book, seated, leaves, offered, waiting)
    decided(book, withdraws(book, leaves))
    changed(book, approval="employer")
    decided(book, asks(book, pending))
    changed(book, approval="selection")
    decided(book, asks(book, applied))
    live = [seated, offered, waiting, pending, applied]
    assert states_of(book, live) == [State.ENROLLED, State.OFFERED, State.WAITLISTED, *WAITING[2:]]
    return book, live


def test_a_cancellation_ends_every_live_enrolment_and_tells_everyone_once() -> None:
    book, live = a_session_with_everybody()
    events = changed(book, status="cancelled")
    assert Counter(event.agent.agent_id for event in events) == Counter(agent.agent_id for agent in live)
    for event in events:
        assert isinstance(event, EnrolmentWithdrawn)
        assert (event.by, event.request_id) == (WithdrawnBy.SESSION_CANCELLED, None)
    assert set(states_of(book, live)) == {State.SESSION_CANCELLED}
    assert (book.seats.enrolled, len(book.line), book.seats.offered) == (0, 0, 0)


def test_a_cancellation_promotes_nobody() -> None:
    book = a_book(capacity=1)
    enrol(book, *agents(3))
    events = changed(book, status="cancelled")
    assert Counter(type(event) for event in events) == {EnrolmentWithdrawn: 3}


def test_a_cancellation_tells_nothing_to_those_whose_enrolment_had_ended() -> None:
    book, agent = a_book(), an_agent()
    enrol(book, agent)
    decided(book, withdraws(book, agent))
    assert changed(book, status="cancelled") == []
    assert state_of(book, agent) is State.WITHDRAWN


def test_a_cancellation_leaves_what_was_seen_of_those_who_came() -> None:
    book, (came, enrolled) = a_book(now=STARTS), agents(2)
    decided(book, *(asks(book, agent, received_at=DURING) for agent in (came, enrolled)))
    record_attendance(book, [Seen(came.agent_id, 0, Attendance.ATTENDED)], "Anne Conseil")
    changed(book, status="cancelled")
    assert states_of(book, (came, enrolled)) == [State.CERTIFIED, State.SESSION_CANCELLED]


def test_a_cancellation_is_final_whatever_is_told_after_it() -> None:
    book = a_book(status="cancelled")
    assert changed(book, status="published") == []
    assert answer_to(book, asks(book)).reason is Reason.SESSION_CANCELLED


def test_after_a_cancellation_every_request_is_answered() -> None:
    book, live = a_session_with_everybody()
    changed(book, status="cancelled")
    for agent in live:
        assert answer_to(book, asks(book, agent)).reason is Reason.SESSION_CANCELLED
        assert answer_to(book, answers(book, agent)).reason is Reason.SESSION_CANCELLED
        assert answer_to(book, withdraws(book, agent)).reason is Reason.NOT_ENROLLED
    assert rank(book, [], []) is not None
    assert decided(book, at=STARTS) == []
