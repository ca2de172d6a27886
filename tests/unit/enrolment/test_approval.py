"""The employer's approval (rule 5)."""

from datetime import timedelta

import pytest

from services.enrolment.rules.eligibility import Availability, Granted, judge
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.states import Cause, State
from shared.events.enrolment import (
    AgentEnrolled,
    AgentWaitlisted,
    Awaiting,
    EnrolmentPending,
    EnrolmentRefused,
)
from shared.events.reasons import Reason
from tests.support.builders import CLOSES, DURING, a_session, an_agent
from tests.support.rosters import (
    a_group_request,
    a_roster,
    a_seat_request,
    a_withdrawal,
    agents,
    an_approval,
    answer_to,
    changed,
    decided,
    enrol,
    names_of,
    state_of,
    states_of,
)

TICK = timedelta(microseconds=1)
GRACE = Policy().grace
E, W, P, R = State.ENROLLED, State.WAITLISTED, State.PENDING_APPROVAL, State.REFUSED


def test_without_the_employers_approval_the_enrolment_waits_for_it() -> None:
    roster, agent = a_roster(approval="employer"), an_agent()
    request = a_seat_request(roster, agent)
    [event] = decided(roster, request)
    assert isinstance(event, EnrolmentPending)
    assert (event.awaiting, event.request_id) == (Awaiting.EMPLOYER_APPROVAL, request.request_id)
    assert state_of(roster, agent) is P


def test_with_the_employers_approval_in_the_request_the_seat_is_given() -> None:
    availability = Availability(seat_is_free=True)
    session = a_session(approval="employer")
    assert judge(session, an_agent(), DURING, approved=True, availability=availability) is Granted.SEAT


@pytest.mark.parametrize("together", [True, False])
def test_a_group_is_requested_by_the_employer_who_approves_thereby(together: bool) -> None:
    roster, group = a_roster(approval="employer"), agents(2)
    decided(roster, a_group_request(roster, group, all_or_nothing=together))
    assert states_of(roster, group) == [E, E]


def test_where_nobody_need_approve_nobody_is_asked() -> None:
    roster, agent = a_roster(approval="none"), an_agent()
    decided(roster, a_seat_request(roster, agent))
    assert state_of(roster, agent) is E


def test_a_pending_enrolment_holds_no_seat() -> None:
    roster = a_roster(approval="employer", capacity=1)
    events = decided(roster, a_seat_request(roster), a_seat_request(roster, approved=True))
    assert [name for name, _ in names_of(events)] == ["EnrolmentPending", "AgentEnrolled"]
    assert (roster.seats.enrolled, roster.seats.taken, len(roster.waiting_list)) == (1, 1, 0)


def test_a_pending_enrolment_may_wait_for_a_session_that_is_full_without_a_waiting_list() -> None:
    roster, pending = a_roster(approval="employer", capacity=0, waiting_list="none"), an_agent()
    decided(roster, a_seat_request(roster, pending))
    assert state_of(roster, pending) is P
    approval = an_approval(roster, pending)
    [event] = decided(roster, approval)
    assert isinstance(event, EnrolmentRefused)
    assert (event.reason, event.request_id) == (Reason.SESSION_FULL, approval.request_id)
    assert event.asked == "enrolment", "it is the enrolment that is refused"
    assert state_of(roster, pending) is R


def test_granted_the_agent_has_the_seat() -> None:
    roster, agent = a_roster(approval="employer"), an_agent()
    decided(roster, a_seat_request(roster, agent))
    approval = an_approval(roster, agent)
    [event] = decided(roster, approval)
    assert isinstance(event, AgentEnrolled)
    assert (event.request_id, event.version, event.from_waiting_list) == (approval.request_id, 2, False)


def test_granted_into_a_waiting_list_the_agent_takes_their_place_by_their_original_time_of_receipt() -> None:
    roster = a_roster(approval="employer", capacity=1)
    before, pending, after = agents(3)
    enrol(roster, an_agent(), before)
    decided(roster, a_seat_request(roster, pending))
    enrol(roster, after)
    [event] = decided(roster, an_approval(roster, pending))
    assert isinstance(event, AgentWaitlisted)
    assert event.position == 2
    changed(roster, capacity=3)
    assert states_of(roster, (before, pending, after)) == [E, E, W]


def test_approvals_granted_in_another_order_keep_the_order_of_receipt() -> None:
    roster, pending = a_roster(approval="employer", capacity=1), agents(3)
    enrol(roster, an_agent())
    decided(roster, *(a_seat_request(roster, agent) for agent in pending))
    decided(roster, *(an_approval(roster, agent) for agent in reversed(pending)))
    assert [enrolment.agent.agent_id for enrolment in roster.waiting_list] == [
        agent.agent_id for agent in pending
    ]


def test_denied_the_agent_is_refused() -> None:
    roster, agent = a_roster(approval="employer"), an_agent()
    decided(roster, a_seat_request(roster, agent))
    denial = an_approval(roster, agent, granted=False)
    [event] = decided(roster, denial)
    assert isinstance(event, EnrolmentRefused)
    assert (event.reason, event.request_id) == (Reason.APPROVAL_DENIED, denial.request_id)
    assert event.asked == "enrolment", "it is the enrolment that is refused"
    assert roster.changes[-1].cause is Cause.APPROVAL_DENIED


def test_who_was_denied_may_ask_again() -> None:
    roster, agent = a_roster(approval="employer"), an_agent()
    decided(
        roster,
        a_seat_request(roster, agent),
        an_approval(roster, agent, granted=False),
        a_seat_request(roster, agent),
    )
    assert state_of(roster, agent) is P


def test_still_pending_when_enrolment_closes_the_enrolment_is_refused_approval_denied() -> None:
    roster, agent = a_roster(approval="employer"), an_agent()
    decided(roster, a_seat_request(roster, agent))
    assert decided(roster, at=CLOSES + GRACE - TICK) == []
    [event] = decided(roster, at=CLOSES + GRACE)
    assert isinstance(event, EnrolmentRefused)
    assert (event.reason, event.request_id) == (Reason.APPROVAL_DENIED, None)
    assert roster.changes[-1].cause is Cause.APPROVAL_MISSING


def test_an_approval_received_before_enrolment_closes_counts_though_it_is_read_after() -> None:
    roster, agent = a_roster(approval="employer"), an_agent()
    decided(roster, a_seat_request(roster, agent))
    decided(roster, an_approval(roster, agent, received_at=CLOSES - TICK), at=CLOSES + GRACE - TICK)
    assert state_of(roster, agent) is E


def test_an_approval_received_when_enrolment_closes_is_late_and_changes_nothing() -> None:
    roster, agent = a_roster(approval="employer"), an_agent()
    decided(roster, a_seat_request(roster, agent))
    late = an_approval(roster, agent, received_at=CLOSES)
    [event] = decided(roster, late, at=CLOSES)
    assert isinstance(event, EnrolmentRefused)
    assert (event.reason, event.asked) == (Reason.DEADLINE_PASSED, "approval")
    assert state_of(roster, agent) is P


def test_an_approval_that_comes_late_has_one_reason_also_once_the_wait_has_ended() -> None:
    roster, agent = a_roster(approval="employer"), an_agent()
    decided(roster, a_seat_request(roster, agent))
    decided(roster, at=CLOSES + GRACE)
    assert state_of(roster, agent) is R
    late = an_approval(roster, agent, received_at=CLOSES)
    assert answer_to(roster, late, at=CLOSES + GRACE).reason is Reason.DEADLINE_PASSED


def test_a_denial_is_never_too_late_for_an_enrolment_that_is_still_pending() -> None:
    roster, agent = a_roster(approval="employer"), an_agent()
    decided(roster, a_seat_request(roster, agent))
    decided(roster, an_approval(roster, agent, granted=False, received_at=CLOSES), at=CLOSES)
    assert state_of(roster, agent) is R


@pytest.mark.parametrize("granted", [True, False])
def test_an_approval_for_nobody_is_answered_not_enrolled_without_an_event(granted: bool) -> None:
    roster = a_roster(approval="employer")
    answer = answer_to(roster, an_approval(roster, an_agent(), granted=granted))
    assert (answer.state, answer.reason) == (State.REFUSED, Reason.NOT_ENROLLED)
    assert roster.decisions == []


@pytest.mark.parametrize("granted", [True, False])
def test_an_approval_for_somebody_who_has_withdrawn_changes_nothing(granted: bool) -> None:
    roster, agent = a_roster(approval="employer"), an_agent()
    decided(roster, a_seat_request(roster, agent), a_withdrawal(roster, agent))
    answer = answer_to(roster, an_approval(roster, agent, granted=granted))
    assert answer.reason is Reason.NOT_ENROLLED
    assert state_of(roster, agent) is State.WITHDRAWN


@pytest.mark.parametrize("granted", [True, False])
def test_a_second_decision_changes_nothing(granted: bool) -> None:
    roster, agent = a_roster(approval="employer"), an_agent()
    decided(roster, a_seat_request(roster, agent), an_approval(roster, agent))
    [event] = decided(roster, an_approval(roster, agent, granted=granted))
    assert isinstance(event, EnrolmentRefused)
    assert (event.reason, event.asked) == (Reason.ALREADY_ENROLLED, "approval")
    assert state_of(roster, agent) is E


def test_an_approval_in_a_session_that_was_cancelled_says_so() -> None:
    roster, agent = a_roster(approval="employer"), an_agent()
    decided(roster, a_seat_request(roster, agent))
    changed(roster, status="cancelled")
    assert answer_to(roster, an_approval(roster, agent)).reason is Reason.SESSION_CANCELLED


def test_a_pending_enrolment_may_be_withdrawn_also_after_enrolment_closed() -> None:
    roster, agent = a_roster(approval="employer"), an_agent()
    decided(roster, a_seat_request(roster, agent))
    decided(roster, a_withdrawal(roster, agent, received_at=CLOSES), at=CLOSES)
    assert state_of(roster, agent) is State.WITHDRAWN


def test_a_deadline_that_is_put_off_keeps_who_is_pending() -> None:
    roster, agent = a_roster(approval="employer"), an_agent()
    decided(roster, a_seat_request(roster, agent))
    changed(roster, enrolment_closes_at=CLOSES + timedelta(days=2))
    assert decided(roster, at=CLOSES + GRACE) == []
    decided(roster, an_approval(roster, agent))
    assert state_of(roster, agent) is E


def test_an_approval_that_is_needed_no_more_gives_the_pending_what_there_is_in_order_of_receipt() -> None:
    roster, (first, second, third) = a_roster(approval="employer", capacity=2), agents(3)
    decided(
        roster,
        a_seat_request(roster, first),
        a_seat_request(roster, second),
        a_seat_request(roster, third, approved=True),
    )
    changed(roster, approval="none")
    assert states_of(roster, (first, second, third)) == [State.ENROLLED, State.WAITLISTED, State.ENROLLED]
