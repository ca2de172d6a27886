"""Private sessions: an authority names, whole, who takes part, and may replace one trainee by another."""

from typing import Any

import pytest

from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.states import Cause, State
from shared.events.enrolment import AgentEnrolled, EnrolmentWithdrawn, WithdrawnBy
from shared.events.reasons import Reason
from tests.support.builders import CLOSES, OPENS, STARTS, an_agent
from tests.support.rosters import (
    NANTES,
    RENNES,
    a_group_request,
    a_nomination,
    a_roster,
    a_seat_request,
    a_withdrawal,
    agents,
    an_agent_of,
    answer_to,
    changed,
    decided,
    enrol,
    names_of,
    state_of,
    states_of,
)

E, W, R, X = State.ENROLLED, State.WAITLISTED, State.REFUSED, State.WITHDRAWN


def a_private_session(*, capacity: int | None = 4, **session: Any) -> SessionRoster:
    """A bespoke session for Rennes."""
    private: dict[str, Any] = {"format": "bespoke", "audience": {"sirets": [RENNES]}, "waiting_list": "none"}
    return a_roster(capacity=capacity, **(private | session))


def test_the_agents_named_take_the_seats_in_the_order_of_the_list() -> None:
    roster, named = a_private_session(), agents(3)
    request = a_nomination(roster, named)
    events = decided(roster, request)
    assert names_of(events) == [("AgentEnrolled", agent.agent_id) for agent in named]
    assert {event.request_id for event in events} == {request.request_id}


def test_a_list_longer_than_the_session_has_seats_is_refused_from_there_on() -> None:
    roster, named = a_private_session(capacity=2), agents(3)
    answer = answer_to(roster, a_nomination(roster, named))
    assert answer.state == "mixed"
    assert states_of(roster, named) == [E, E, R]
    assert roster.latest[named[2].key].reason is Reason.SESSION_FULL


def test_nobody_need_approve_whom_the_authority_names() -> None:
    roster, named = a_private_session(approval="employer"), agents(1)
    decided(roster, a_nomination(roster, named))
    assert states_of(roster, named) == [E]


# ------------------------------------------------------------ sent again


def test_the_same_list_sent_again_changes_nothing() -> None:
    roster, named = a_private_session(), agents(3)
    decided(roster, a_nomination(roster, named))
    before = dict(roster.latest)
    request = a_nomination(roster, named)
    assert decided(roster, request) == []
    assert roster.latest == before
    assert roster.results[-1].state == "unchanged"


def test_the_same_list_in_another_order_changes_nothing() -> None:
    roster, named = a_private_session(), agents(3)
    decided(roster, a_nomination(roster, named))
    assert decided(roster, a_nomination(roster, reversed(named))) == []


def test_a_longer_list_seats_who_is_new() -> None:
    roster, (first, second, third) = a_private_session(), agents(3)
    decided(roster, a_nomination(roster, (first, second)))
    events = decided(roster, a_nomination(roster, (first, second, third)))
    assert names_of(events) == [("AgentEnrolled", third.agent_id)]


def test_who_is_not_in_the_list_any_more_leaves_by_the_employers_will() -> None:
    roster, (first, second) = a_private_session(), agents(2)
    decided(roster, a_nomination(roster, (first, second)))
    [event] = decided(roster, a_nomination(roster, (first,)))
    assert isinstance(event, EnrolmentWithdrawn)
    assert (event.by, event.request_id) == (WithdrawnBy.EMPLOYER, None)
    assert states_of(roster, (first, second)) == [E, X]
    assert roster.changes[-1].cause is Cause.REPLACED


def test_the_list_of_one_issuers_agents_leaves_those_of_another_where_they_are() -> None:
    roster = a_private_session()
    theirs, others = an_agent("1001", issuer="iel"), an_agent("1001", issuer="sirh")
    decided(roster, a_nomination(roster, (theirs,)))
    [event] = decided(roster, a_nomination(roster, (others,)))
    assert isinstance(event, AgentEnrolled)
    assert event.agent == others
    assert states_of(roster, (theirs, others)) == [E, E]


def test_one_trainee_can_be_replaced_by_another_in_a_full_session() -> None:
    roster, (first, second, third) = a_private_session(capacity=2), agents(3)
    decided(roster, a_nomination(roster, (first, second)))
    events = decided(roster, a_nomination(roster, (first, third)))
    assert names_of(events) == [("EnrolmentWithdrawn", second.agent_id), ("AgentEnrolled", third.agent_id)]
    assert roster.seats.taken == 2


def test_who_withdrew_and_is_named_again_sits_again() -> None:
    roster, (agent,) = a_private_session(), agents(1)
    decided(
        roster, a_nomination(roster, (agent,)), a_withdrawal(roster, agent), a_nomination(roster, (agent,))
    )
    assert state_of(roster, agent) is E


def test_a_seat_that_a_shorter_list_leaves_goes_to_who_waits() -> None:
    roster, (first, second, third) = a_private_session(capacity=2, waiting_list="automatic"), agents(3)
    decided(roster, a_nomination(roster, (first, second, third)))
    assert states_of(roster, (first, second, third)) == [E, E, W]
    decided(roster, a_nomination(roster, (first, third)))
    assert states_of(roster, (first, second, third)) == [E, X, E]


# ------------------------------------------------------------ after the list has closed


def test_after_the_list_closed_one_trainee_can_still_be_replaced_by_another() -> None:
    roster, (first, second, third) = a_private_session(), agents(3)
    decided(roster, a_nomination(roster, (first, second)))
    decided(roster, a_nomination(roster, (first, third), received_at=CLOSES), at=CLOSES)
    assert states_of(roster, (first, second, third)) == [E, X, E]


def test_after_the_list_closed_it_may_not_grow() -> None:
    roster, (first, second, third) = a_private_session(), agents(3)
    decided(roster, a_nomination(roster, (first,)))
    roster.now = CLOSES
    answer = answer_to(roster, a_nomination(roster, (first, second)))
    assert (answer.state, answer.reason) == (R, Reason.DEADLINE_PASSED)
    answer = answer_to(roster, a_nomination(roster, (second, third)))
    assert answer.state == "mixed", "one place for two"
    assert states_of(roster, (first, second, third)) == [X, E, R]


def test_after_the_list_closed_it_may_shrink() -> None:
    roster, (first, second) = a_private_session(), agents(2)
    decided(roster, a_nomination(roster, (first, second)))
    decided(roster, a_nomination(roster, (first,), received_at=CLOSES), at=CLOSES)
    assert states_of(roster, (first, second)) == [E, X]


def test_a_replacement_who_is_not_eligible_uses_up_nobodys_place() -> None:
    roster = a_private_session()
    first, second, stranger = an_agent(), an_agent(), an_agent_of(siret=NANTES)
    decided(roster, a_nomination(roster, (first,)))
    decided(roster, a_nomination(roster, (stranger, second), received_at=CLOSES), at=CLOSES)
    assert states_of(roster, (first, stranger, second)) == [X, R, E]


def test_after_the_list_closed_who_withdrew_is_replaced_by_a_later_list_and_once() -> None:
    roster, (first, second, third, fourth) = a_private_session(), agents(4)
    decided(roster, a_nomination(roster, (first, second)))
    decided(roster, a_withdrawal(roster, second, received_at=CLOSES), at=CLOSES)
    decided(roster, a_nomination(roster, (first, third), received_at=CLOSES))
    assert states_of(roster, (first, second, third)) == [E, X, E]
    decided(roster, a_nomination(roster, (first, third, fourth), received_at=CLOSES))
    assert states_of(roster, (third, fourth)) == [E, R], "the list may not grow"


def test_who_withdrew_before_the_list_closed_is_replaced_by_nobody_after() -> None:
    roster, (first, second, third) = a_private_session(), agents(3)
    decided(roster, a_nomination(roster, (first, second)))
    decided(roster, a_withdrawal(roster, second))
    decided(roster, a_nomination(roster, (first, third), received_at=CLOSES), at=CLOSES)
    assert states_of(roster, (first, third)) == [E, R]


def test_from_the_start_on_nobody_is_replaced() -> None:
    roster, (first, second) = a_private_session(), agents(2)
    decided(roster, a_nomination(roster, (first,)))
    answer = answer_to(roster, a_nomination(roster, (second,), received_at=STARTS), at=STARTS)
    assert answer.reason is Reason.DEADLINE_PASSED
    assert states_of(roster, (first, second)) == [E, R]


def test_from_the_start_on_not_even_who_only_waited_is_replaced() -> None:
    roster, (seated, waiting, new) = a_private_session(capacity=1, waiting_list="automatic"), agents(3)
    decided(roster, a_nomination(roster, (seated, waiting)))
    decided(roster, a_nomination(roster, (seated, new), received_at=STARTS), at=STARTS)
    assert states_of(roster, (seated, waiting, new)) == [E, X, R]


def test_a_list_before_the_opening_is_refused_for_that() -> None:
    roster, (agent,) = a_private_session(), agents(1)
    early = a_nomination(roster, (agent,), received_at=OPENS.replace(year=2024))
    assert answer_to(roster, early).reason is Reason.NOT_OPEN_YET


# ------------------------------------------------------------ lists that are refused


@pytest.mark.parametrize("siret", [NANTES, "00000000000000"])
def test_a_list_of_another_authority_is_refused_and_changes_nothing(siret: str) -> None:
    roster, (seated, named) = a_private_session(), agents(2)
    decided(roster, a_nomination(roster, (seated,)))
    request = a_nomination(roster, (named,), siret=siret)
    answer = answer_to(roster, request)
    assert (answer.state, answer.reason) == (R, Reason.NOT_ELIGIBLE)
    assert states_of(roster, (seated, named)) == [E, R]


def test_a_list_for_a_session_that_is_not_private_is_refused_and_changes_nothing() -> None:
    roster, (seated, named) = a_roster(), agents(2)
    enrol(roster, seated)
    answer = answer_to(roster, a_nomination(roster, (named,)))
    assert (answer.state, answer.reason) == (R, Reason.NOT_ELIGIBLE)
    assert states_of(roster, (seated, named)) == [E, R]


def test_a_private_session_that_is_no_authoritys_takes_no_list() -> None:
    roster, (named,) = a_private_session(audience={}), agents(1)
    assert answer_to(roster, a_nomination(roster, (named,))).reason is Reason.NOT_ELIGIBLE


def test_a_session_for_one_authority_that_is_not_bespoke_takes_no_list() -> None:
    roster, (named,) = a_private_session(format="local_event"), agents(1)
    assert answer_to(roster, a_nomination(roster, (named,))).reason is Reason.NOT_ELIGIBLE


def test_a_list_of_another_authority_ends_nobodys_enrolment_of_theirs() -> None:
    """Each authority of a session that several share has a list of its own."""
    roster = a_private_session(audience={"sirets": [RENNES, NANTES]})
    of_rennes, of_nantes = an_agent_of(), an_agent_of(siret=NANTES)
    decided(roster, a_nomination(roster, (of_rennes,)))
    decided(roster, a_nomination(roster, (of_nantes,), siret=NANTES))
    assert states_of(roster, (of_rennes, of_nantes)) == [E, E]


def test_an_authority_names_only_its_own_agents() -> None:
    roster = a_private_session(audience={"sirets": [RENNES, NANTES]})
    of_rennes, of_nantes = an_agent_of(), an_agent_of(siret=NANTES)
    decided(roster, a_nomination(roster, (of_rennes, of_nantes)))
    assert states_of(roster, (of_rennes, of_nantes)) == [E, R]
    assert roster.latest[of_nantes.key].reason is Reason.NOT_ELIGIBLE


def test_an_agent_whom_the_list_names_but_the_authority_does_not_employ_is_not_eligible() -> None:
    roster, stranger = a_private_session(), an_agent_of(siret=NANTES)
    assert answer_to(roster, a_nomination(roster, (stranger,))).reason is Reason.NOT_ELIGIBLE


def test_a_list_for_a_cancelled_session_says_so() -> None:
    roster, (agent,) = a_private_session(), agents(1)
    decided(roster, a_nomination(roster, (agent,)))
    changed(roster, status="cancelled")
    assert answer_to(roster, a_nomination(roster, (agent,))).reason is Reason.SESSION_CANCELLED


@pytest.mark.parametrize("siret", [RENNES, NANTES])
def test_an_agent_who_stands_twice_in_a_list_is_answered_once(siret: str) -> None:
    for capacity in (4, 0):
        roster, agent = a_private_session(capacity=capacity), an_agent()
        events = decided(roster, a_nomination(roster, (agent, agent), siret=siret))
        assert len(events) == 1
        assert len(roster.changed) == 1


@pytest.mark.parametrize("approved", [False, True])
def test_an_agent_of_the_authority_who_asks_alone_is_not_nominated_until_the_officer_names_them(
    approved: bool,
) -> None:
    roster, (agent, other) = a_private_session(approval="employer"), agents(2)
    answer = answer_to(roster, a_seat_request(roster, agent, approved=approved))
    assert (answer.state, answer.reason) == (R, Reason.NOT_NOMINATED)
    decided(roster, a_nomination(roster, (agent,)))
    assert state_of(roster, agent) is E
    assert answer_to(roster, a_seat_request(roster, agent)).reason is Reason.ALREADY_ENROLLED
    decided(roster, a_group_request(roster, [other]))
    assert state_of(roster, other) is E, "a group is named by the officer too"


def test_who_is_of_another_authority_is_not_eligible_whoever_asks() -> None:
    roster, stranger = a_private_session(), an_agent_of(siret=NANTES)
    assert answer_to(roster, a_seat_request(roster, stranger)).reason is Reason.NOT_ELIGIBLE
