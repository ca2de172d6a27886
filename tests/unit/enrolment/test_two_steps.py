"""Two steps of approval: the employer's word, then the selection (rule 16)."""

from datetime import timedelta
from typing import Any

import pytest

from services.enrolment.rules.eligibility import Availability, Granted, judge
from services.enrolment.rules.organising import RankingFault
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.states import Cause, State
from shared.events.enrolment import Awaiting, EnrolmentPending, EnrolmentRefused
from shared.events.reasons import Reason
from shared.events.vocabulary import Agent
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
    ranks,
    state_of,
    states_of,
)

TICK = timedelta(microseconds=1)
GRACE = Policy().grace
E, W = State.ENROLLED, State.WAITLISTED
EMPLOYER, SELECTION = State.PENDING_APPROVAL, State.PENDING_SELECTION


def a_two_step_roster(**session: Any) -> SessionRoster:
    return a_roster(approval="employer_then_selection", **session)


def applied(number: int, **session: Any) -> tuple[SessionRoster, list[Agent]]:
    """A roster with as many who wait for their employer."""
    roster, asking = a_two_step_roster(**session), agents(number)
    decided(roster, *(a_seat_request(roster, agent) for agent in asking))
    return roster, asking


@pytest.mark.parametrize(
    ("approved", "step"), [(False, Granted.AWAITS_APPROVAL), (True, Granted.AWAITS_SELECTION)]
)
def test_the_employers_word_comes_before_the_selection(approved: bool, step: Granted) -> None:
    session, free = a_session(approval="employer_then_selection"), Availability(seat_is_free=True)
    assert judge(session, an_agent(), DURING, approved=approved, availability=free) is step


def test_who_has_the_employers_word_waits_for_the_selection_and_hears_of_it() -> None:
    roster, (agent,) = applied(1)
    approval = an_approval(roster, agent)
    [event] = decided(roster, approval)
    assert isinstance(event, EnrolmentPending)
    assert (event.awaiting, event.request_id, event.version) == (Awaiting.SELECTION, approval.request_id, 2)
    assert roster.changes[-1].cause is Cause.APPROVAL_GRANTED
    assert (roster.seats.taken, len(roster.waiting_list)) == (0, 0), "the employer's word gives no seat"


def test_the_request_is_answered_with_the_first_step_and_the_approval_with_the_second() -> None:
    roster, agent = a_two_step_roster(), an_agent()
    assert answer_to(roster, a_seat_request(roster, agent)).state == EMPLOYER
    assert answer_to(roster, an_approval(roster, agent)).state == SELECTION


def test_who_is_denied_is_refused_and_is_no_candidate() -> None:
    roster, (agent,) = applied(1)
    [event] = decided(roster, an_approval(roster, agent, granted=False))
    assert isinstance(event, EnrolmentRefused)
    assert event.reason is Reason.APPROVAL_DENIED
    assert ranks(roster, [agent.key], []) == RankingFault(unknown=(agent.key,))


def test_the_next_ranking_is_of_those_alone_whose_employer_agreed() -> None:
    roster, (agreed, silent) = applied(2, capacity=1)
    decided(roster, an_approval(roster, agreed))
    assert ranks(roster, [agreed.key, silent.key], []) == RankingFault(unknown=(silent.key,))
    assert ranks(roster, [agreed.key], []) is None
    assert states_of(roster, (agreed, silent)) == [E, EMPLOYER]
    decided(roster, an_approval(roster, silent))
    assert state_of(roster, silent) is SELECTION, "for the next ranking"
    assert ranks(roster, [silent.key], []) is None
    assert state_of(roster, silent) is W


def test_without_the_employers_word_at_the_close_the_enrolment_is_refused_approval_denied() -> None:
    roster, (agreed, silent) = applied(2)
    decided(roster, an_approval(roster, agreed))
    assert decided(roster, at=CLOSES + GRACE - TICK) == []
    [event] = decided(roster, at=CLOSES + GRACE)
    assert isinstance(event, EnrolmentRefused)
    assert (event.agent, event.reason) == (silent, Reason.APPROVAL_DENIED)
    assert state_of(roster, agreed) is SELECTION, "the organiser ranks after the close"


def test_an_approval_received_before_the_close_counts_though_it_is_read_after() -> None:
    roster, (agent,) = applied(1)
    decided(roster, an_approval(roster, agent, received_at=CLOSES - TICK), at=CLOSES + GRACE - TICK)
    assert state_of(roster, agent) is SELECTION


def test_an_approval_received_at_the_close_is_late() -> None:
    roster, (agent,) = applied(1)
    late = an_approval(roster, agent, received_at=CLOSES)
    assert answer_to(roster, late, at=CLOSES).reason is Reason.DEADLINE_PASSED
    assert state_of(roster, agent) is EMPLOYER


def test_a_second_word_of_the_employer_changes_nothing() -> None:
    roster, (agent,) = applied(1)
    decided(roster, an_approval(roster, agent))
    for granted in (True, False):
        assert answer_to(roster, an_approval(roster, agent, granted=granted)).reason is (
            Reason.ALREADY_ENROLLED
        )
    assert state_of(roster, agent) is SELECTION


def test_a_group_is_requested_by_the_employer_and_waits_for_the_selection_alone() -> None:
    roster, group = a_two_step_roster(), agents(2)
    decided(roster, a_group_request(roster, group))
    assert states_of(roster, group) == [SELECTION, SELECTION]


@pytest.mark.parametrize("steps", [0, 1])
def test_who_waits_for_either_word_may_withdraw_and_apply_again(steps: int) -> None:
    roster, (agent,) = applied(1)
    decided(roster, *[an_approval(roster, agent)] * steps)
    decided(roster, a_withdrawal(roster, agent), a_seat_request(roster, agent))
    assert state_of(roster, agent) is EMPLOYER


def test_steps_that_are_dropped_give_all_who_wait_what_there_is() -> None:
    roster, (agreed, silent) = applied(2, capacity=1)
    decided(roster, an_approval(roster, agreed))
    changed(roster, approval="none")
    assert sorted(states_of(roster, (agreed, silent))) == [E, W]


def test_a_cancelled_session_ends_both_waits() -> None:
    roster, (agreed, silent) = applied(2)
    decided(roster, an_approval(roster, agreed))
    changed(roster, status="cancelled")
    assert states_of(roster, (agreed, silent)) == [State.SESSION_CANCELLED] * 2
