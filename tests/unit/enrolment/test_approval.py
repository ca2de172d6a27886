"""The employer's approval (rule 5)."""

from datetime import timedelta

import pytest

from services.enrolment.rules import Cause, Granted, Policy, Prospects, State, judge
from shared.events.enrolment import (
    AgentEnrolled,
    AgentWaitlisted,
    Awaiting,
    EnrolmentPending,
    EnrolmentRefused,
)
from shared.events.vocabulary import Reason
from tests.support.books import (
    a_book,
    agents,
    answer_to,
    asks,
    asks_for_a_group,
    changed,
    decided,
    enrol,
    state_of,
    states_of,
    the_employer_decides,
    told,
    withdraws,
)
from tests.support.builders import CLOSES, DURING, a_session, an_agent

TICK = timedelta(microseconds=1)
GRACE = Policy().grace
E, W, P, R = State.ENROLLED, State.WAITLISTED, State.PENDING_APPROVAL, State.REFUSED


def test_without_the_employers_approval_the_enrolment_waits_for_it() -> None:
    book, agent = a_book(approval="employer"), an_agent()
    request = asks(book, agent)
    [event] = decided(book, request)
    assert isinstance(event, EnrolmentPending)
    assert (event.awaiting, event.request_id) == (Awaiting.EMPLOYER_APPROVAL, request.request_id)
    assert state_of(book, agent) is P


def test_with_the_employers_approval_in_the_request_the_seat_is_given() -> None:
    prospects = Prospects(seat_is_free=True)
    session = a_session(approval="employer")
    assert judge(session, an_agent(), DURING, approved=True, prospects=prospects) is Granted.SEAT


@pytest.mark.parametrize("together", [True, False])
def test_who_asks_for_a_group_is_the_employer_and_approves(together: bool) -> None:
    book, group = a_book(approval="employer"), agents(2)
    decided(book, asks_for_a_group(book, group, all_or_nothing=together))
    assert states_of(book, group) == [E, E]


def test_where_nobody_need_approve_nobody_is_asked() -> None:
    book, agent = a_book(approval="none"), an_agent()
    decided(book, asks(book, agent))
    assert state_of(book, agent) is E


def test_a_pending_enrolment_holds_no_seat() -> None:
    book = a_book(approval="employer", capacity=1)
    events = decided(book, asks(book), asks(book, approved=True))
    assert [name for name, _ in told(events)] == ["EnrolmentPending", "AgentEnrolled"]
    assert (book.seats.enrolled, book.seats.taken, len(book.line)) == (1, 1, 0)


def test_a_pending_enrolment_may_wait_for_a_session_that_is_full_without_a_line() -> None:
    book, pending = a_book(approval="employer", capacity=0, waiting_list="none"), an_agent()
    decided(book, asks(book, pending))
    assert state_of(book, pending) is P
    approval = the_employer_decides(book, pending)
    [event] = decided(book, approval)
    assert isinstance(event, EnrolmentRefused)
    assert (event.reason, event.request_id) == (Reason.SESSION_FULL, approval.request_id)
    assert event.asked == "enrolment", "it is the enrolment that is refused"
    assert state_of(book, pending) is R


def test_granted_the_agent_has_the_seat() -> None:
    book, agent = a_book(approval="employer"), an_agent()
    decided(book, asks(book, agent))
    approval = the_employer_decides(book, agent)
    [event] = decided(book, approval)
    assert isinstance(event, AgentEnrolled)
    assert (event.request_id, event.version, event.from_waiting_list) == (approval.request_id, 2, False)


def test_granted_into_a_line_the_agent_takes_their_place_by_their_original_time_of_receipt() -> None:
    book = a_book(approval="employer", capacity=1)
    before, pending, after = agents(3)
    enrol(book, an_agent(), before)
    decided(book, asks(book, pending))
    enrol(book, after)
    [event] = decided(book, the_employer_decides(book, pending))
    assert isinstance(event, AgentWaitlisted)
    assert event.position == 2
    changed(book, capacity=3)
    assert states_of(book, (before, pending, after)) == [E, E, W]


def test_approvals_granted_in_another_order_keep_the_order_of_receipt() -> None:
    book, pending = a_book(approval="employer", capacity=1), agents(3)
    enrol(book, an_agent())
    decided(book, *(asks(book, agent) for agent in pending))
    decided(book, *(the_employer_decides(book, agent) for agent in reversed(pending)))
    assert [one.agent.agent_id for one in book.line] == [agent.agent_id for agent in pending]


def test_denied_the_agent_is_refused() -> None:
    book, agent = a_book(approval="employer"), an_agent()
    decided(book, asks(book, agent))
    denial = the_employer_decides(book, agent, granted=False)
    [event] = decided(book, denial)
    assert isinstance(event, EnrolmentRefused)
    assert (event.reason, event.request_id) == (Reason.APPROVAL_DENIED, denial.request_id)
    assert event.asked == "enrolment", "it is the enrolment that is refused"
    assert book.changes[-1].cause is Cause.APPROVAL_DENIED


def test_who_was_denied_may_ask_again() -> None:
    book, agent = a_book(approval="employer"), an_agent()
    decided(book, asks(book, agent), the_employer_decides(book, agent, granted=False), asks(book, agent))
    assert state_of(book, agent) is P


def test_still_pending_when_enrolment_closes_the_enrolment_is_refused_approval_denied() -> None:
    book, agent = a_book(approval="employer"), an_agent()
    decided(book, asks(book, agent))
    assert decided(book, at=CLOSES + GRACE - TICK) == []
    [event] = decided(book, at=CLOSES + GRACE)
    assert isinstance(event, EnrolmentRefused)
    assert (event.reason, event.request_id) == (Reason.APPROVAL_DENIED, None)
    assert book.changes[-1].cause is Cause.APPROVAL_MISSING


def test_an_approval_received_before_enrolment_closes_counts_though_it_is_read_after() -> None:
    book, agent = a_book(approval="employer"), an_agent()
    decided(book, asks(book, agent))
    decided(book, the_employer_decides(book, agent, received_at=CLOSES - TICK), at=CLOSES + GRACE - TICK)
    assert state_of(book, agent) is E


def test_an_approval_received_when_enrolment_closes_is_late_and_changes_nothing() -> None:
    book, agent = a_book(approval="employer"), an_agent()
    decided(book, asks(book, agent))
    late = the_employer_decides(book, agent, received_at=CLOSES)
    [event] = decided(book, late, at=CLOSES)
    assert isinstance(event, EnrolmentRefused)
    assert (event.reason, event.asked) == (Reason.DEADLINE_PASSED, "approval")
    assert state_of(book, agent) is P


def test_a_denial_is_never_too_late_for_an_enrolment_that_is_still_pending() -> None:
    book, agent = a_book(approval="employer"), an_agent()
    decided(book, asks(book, agent))
    decided(book, the_employer_decides(book, agent, granted=False, received_at=CLOSES), at=CLOSES)
    assert state_of(book, agent) is R


@pytest.mark.parametrize("granted", [True, False])
def test_an_approval_for_nobody_is_answered_not_enrolled_and_told_to_nobody(granted: bool) -> None:
    book = a_book(approval="employer")
    answer = answer_to(book, the_employer_decides(book, an_agent(), granted=granted))
    assert (answer.outcome, answer.reason) == (State.REFUSED, Reason.NOT_ENROLLED)
    assert book.decisions == []


@pytest.mark.parametrize("granted", [True, False])
def test_an_approval_for_somebody_who_has_withdrawn_changes_nothing(granted: bool) -> None:
    book, agent = a_book(approval="employer"), an_agent()
    decided(book, asks(book, agent), withdraws(book, agent))
    answer = answer_to(book, the_employer_decides(book, agent, granted=granted))
    assert answer.reason is Reason.NOT_ENROLLED
    assert state_of(book, agent) is State.WITHDRAWN


@pytest.mark.parametrize("granted", [True, False])
def test_a_second_decision_changes_nothing(granted: bool) -> None:
    book, agent = a_book(approval="employer"), an_agent()
    decided(book, asks(book, agent), the_employer_decides(book, agent))
    [event] = decided(book, the_employer_decides(book, agent, granted=granted))
    assert isinstance(event, EnrolmentRefused)
    assert (event.reason, event.asked) == (Reason.ALREADY_ENROLLED, "approval")
    assert state_of(book, agent) is E


def test_an_approval_in_a_session_that_was_cancelled_says_so() -> None:
    book, agent = a_book(approval="employer"), an_agent()
    decided(book, asks(book, agent))
    changed(book, status="cancelled")
    assert answer_to(book, the_employer_decides(book, agent)).reason is Reason.SESSION_CANCELLED


def test_a_pending_enrolment_may_be_withdrawn_also_after_enrolment_closed() -> None:
    book, agent = a_book(approval="employer"), an_agent()
    decided(book, asks(book, agent))
    decided(book, withdraws(book, agent, received_at=CLOSES), at=CLOSES)
    assert state_of(book, agent) is State.WITHDRAWN


def test_a_deadline_that_is_put_off_keeps_who_is_pending() -> None:
    book, agent = a_book(approval="employer"), an_agent()
    decided(book, asks(book, agent))
    changed(book, enrolment_closes_at=CLOSES + timedelta(days=2))
    assert decided(book, at=CLOSES + GRACE) == []
    decided(book, the_employer_decides(book, agent))
    assert state_of(book, agent) is E


def test_an_approval_that_is_needed_no_more_gives_the_pending_what_there_is_in_order_of_receipt() -> None:
    book, (first, second, third) = a_book(approval="employer", capacity=2), agents(3)
    decided(book, asks(book, first), asks(book, second), asks(book, third, approved=True))
    changed(book, approval="none")
    assert states_of(book, (first, second, third)) == [State.ENROLLED, State.WAITLISTED, State.ENROLLED]
