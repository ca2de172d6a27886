"""A group is one request (rule 6)."""

import uuid
from typing import Any

import pytest
from pydantic import ValidationError

from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.states import State
from shared.events.enrolment import AgentWaitlisted, EnrolmentRefused
from shared.events.portal import GroupEnrolmentRequested, TraineesNominated
from shared.events.reasons import Reason
from shared.events.vocabulary import Agent
from tests.support.builders import CLOSES, DURING, OPENS, STARTS, an_agent
from tests.support.rosters import (
    NANTES,
    RENNES,
    a_group_request,
    a_roster,
    a_seat_request,
    a_withdrawal,
    agents,
    an_agent_of,
    an_offer_answer,
    answer_to,
    changed,
    decided,
    enrol,
    names_of,
    state_of,
    states_of,
)

E, W, R = State.ENROLLED, State.WAITLISTED, State.REFUSED
OFFICER = {"name": "Paul Lefèvre", "email": "formation@ville-exemple.fr"}
NO_FIT = Reason.GROUP_DOES_NOT_FIT


def all_or_nothing(roster: SessionRoster, *group: Agent) -> dict[str, Reason | None]:
    """The answer to each of the group: the reason of a refusal, or None for a seat."""
    events = decided(roster, a_group_request(roster, group, all_or_nothing=True))
    assert [event.agent.agent_id for event in events] == [agent.agent_id for agent in group]
    return {
        event.agent.agent_id: event.reason if isinstance(event, EnrolmentRefused) else None
        for event in events
    }


def reasons(roster: SessionRoster, *group: Agent) -> list[Reason | None]:
    return list(all_or_nothing(roster, *group).values())


# ------------------------------------------------------------ each for itself


def test_each_for_itself_they_are_answered_in_the_order_given() -> None:
    roster, group = a_roster(capacity=2), agents(4)
    request = a_group_request(roster, group)
    events = decided(roster, request)
    assert names_of(events) == [
        ("AgentEnrolled", group[0].agent_id),
        ("AgentEnrolled", group[1].agent_id),
        ("AgentWaitlisted", group[2].agent_id),
        ("AgentWaitlisted", group[3].agent_id),
    ]
    assert {event.request_id for event in events} == {request.request_id}
    assert [event.position for event in events if isinstance(event, AgentWaitlisted)] == [1, 2]


def test_each_for_itself_nobody_suffers_from_another() -> None:
    roster = a_roster(audience={"functions": ["agent"]})
    group = [an_agent(), an_agent(function="dirigeant"), an_agent()]
    enrol(roster, group[0])
    events = decided(roster, a_group_request(roster, group))
    assert [getattr(event, "reason", None) for event in events] == [
        Reason.ALREADY_ENROLLED,
        Reason.NOT_ELIGIBLE,
        None,
    ]
    assert states_of(roster, group) == [E, R, E]


def test_each_for_itself_the_quota_and_the_reserved_seats_are_counted_as_they_go() -> None:
    release = {"delegation": "corse", "seats": 1, "release_at": STARTS}
    roster = a_roster(capacity=3, quota_per_authority=1, reserved_seats=[release])
    group = [an_agent_of(), an_agent_of(), an_agent_of(siret=NANTES), an_agent_of(siret="21290019300010")]
    decided(roster, a_group_request(roster, group))
    assert states_of(roster, group) == [E, R, E, W]


def test_the_answer_to_a_group_says_how_many_came_to_what() -> None:
    roster = a_roster(capacity=2)
    answer = answer_to(roster, a_group_request(roster, agents(3)))
    assert (answer.state, answer.reason) == ("mixed", None)
    assert answer.numbers["agents_enrolled"] == 2
    assert answer.numbers["agents_waitlisted"] == 1


def test_the_answer_to_a_group_that_all_came_to_the_same_says_so() -> None:
    roster = a_roster(capacity=2)
    assert answer_to(roster, a_group_request(roster, agents(2))).state == E
    late = answer_to(roster, a_group_request(roster, agents(2), received_at=CLOSES))
    assert (late.state, late.reason) == (R, Reason.DEADLINE_PASSED)


def test_a_group_of_one_is_answered_as_one_agent() -> None:
    roster = a_roster(capacity=0)
    assert answer_to(roster, a_group_request(roster, agents(1))).state == W


def test_each_of_a_group_has_an_enrolment_of_their_own_that_can_be_withdrawn() -> None:
    roster, (first, second) = a_roster(), agents(2)
    events = decided(roster, a_group_request(roster, (first, second)))
    assert len({event.enrolment_id for event in events}) == 2
    decided(roster, a_withdrawal(roster, first))
    assert states_of(roster, (first, second)) == [State.WITHDRAWN, E]


def test_deciding_the_same_group_twice_makes_the_same_enrolments() -> None:
    roster, group = a_roster(), agents(3)
    request = a_group_request(roster, group)
    ids = [[event.enrolment_id for event in decided(a_roster(), request)] for _ in range(2)]
    assert ids[0] == ids[1]


# ------------------------------------------------------------ all or nothing


def test_all_get_a_seat_when_there_is_one_for_each() -> None:
    roster, group = a_roster(capacity=3), agents(3)
    assert reasons(roster, *group) == [None] * 3
    assert states_of(roster, group) == [E, E, E]


def test_nobody_gets_a_seat_nor_a_place_in_line_when_there_are_too_few() -> None:
    roster, group = a_roster(capacity=2), agents(3)
    assert reasons(roster, *group) == [NO_FIT] * 3
    assert (roster.seats.taken, len(roster.waiting_list)) == (0, 0)
    after = an_agent()
    enrol(roster, after)
    assert state_of(roster, after) is E, "what was tried takes no seat"


def test_a_group_does_not_fit_beside_a_waiting_list() -> None:
    roster = a_roster(capacity=1)
    enrol(roster, *agents(2))
    assert reasons(roster, *agents(2)) == [NO_FIT] * 2


def test_a_group_overtakes_nobody_who_waits_for_seats_that_only_offers_can_give() -> None:
    roster, (seated, waiting) = a_roster(capacity=2, waiting_list="offer"), agents(2)
    enrol(roster, seated, an_agent(), waiting)
    decided(roster, a_withdrawal(roster, seated))
    assert reasons(roster, *agents(1)) == [NO_FIT]
    decided(roster, an_offer_answer(roster, waiting))
    assert state_of(roster, waiting) is E


def test_a_group_is_held_to_the_quota_of_its_authority() -> None:
    roster = a_roster(quota_per_authority=2)
    group = [an_agent_of(), an_agent_of(), an_agent_of(siret=NANTES), an_agent_of()]
    assert reasons(roster, *group) == [NO_FIT] * 4
    assert reasons(roster, *group[:3]) == [None] * 3


def test_a_group_may_not_take_the_seats_reserved_for_another_delegation() -> None:
    reserved = [{"delegation": "corse", "seats": 2, "release_at": STARTS}]
    roster = a_roster(capacity=4, reserved_seats=reserved)
    bretons, corsicans = [an_agent_of() for _ in range(3)], [an_agent_of("corse") for _ in range(3)]
    assert reasons(roster, *bretons) == [NO_FIT] * 3
    assert reasons(roster, *bretons[:2], *corsicans[:2]) == [None] * 4
    assert reasons(roster, corsicans[2]) == [NO_FIT]


def test_a_group_fills_its_delegations_reserved_seats() -> None:
    reserved = [{"delegation": "bretagne", "seats": 2, "release_at": STARTS}]
    roster = a_roster(capacity=2, reserved_seats=reserved)
    assert reasons(roster, an_agent_of("corse")) == [NO_FIT]
    assert reasons(roster, an_agent_of(), an_agent_of()) == [None] * 2


def test_who_could_not_be_enrolled_alone_gets_that_reason_and_the_others_that_the_group_does_not_fit() -> (
    None
):
    roster = a_roster(audience={"functions": ["agent"]})
    fit, unfit, enrolled = an_agent(), an_agent(function="dirigeant"), an_agent()
    enrol(roster, enrolled)
    assert reasons(roster, fit, unfit, enrolled) == [NO_FIT, Reason.NOT_ELIGIBLE, Reason.ALREADY_ENROLLED]
    assert states_of(roster, (fit, enrolled)) == [R, E]
    assert roster.seats.taken == 1


@pytest.mark.parametrize(
    ("session", "received_at", "reason"),
    [
        ({"status": "cancelled"}, DURING, Reason.SESSION_CANCELLED),
        ({"status": "draft"}, DURING, Reason.NOT_OPEN_YET),
        ({"enrolment_opens_at": CLOSES, "enrolment_closes_at": STARTS}, DURING, Reason.NOT_OPEN_YET),
        ({}, CLOSES, Reason.DEADLINE_PASSED),
    ],
)
def test_a_group_at_the_wrong_time_is_refused_for_the_time_not_because_it_does_not_fit(
    session: Any, received_at: Any, reason: Reason
) -> None:
    roster = a_roster(**session)
    request = a_group_request(roster, agents(2), all_or_nothing=True, received_at=received_at)
    answer = answer_to(roster, request)
    assert (answer.state, answer.reason) == (R, reason)


def test_a_group_sent_again_finds_everybody_enrolled_and_changes_nothing() -> None:
    roster, group = a_roster(capacity=2), agents(2)
    assert reasons(roster, *group) == [None] * 2
    assert reasons(roster, *group) == [Reason.ALREADY_ENROLLED] * 2
    assert states_of(roster, group) == [E, E]
    assert roster.seats.taken == 2


def test_all_or_nothing_promises_nothing_where_the_organiser_selects() -> None:
    roster = a_roster(approval="selection")
    assert reasons(roster, *agents(2)) == [NO_FIT] * 2


def test_a_group_that_did_not_fit_may_ask_again() -> None:
    roster, group = a_roster(capacity=1), agents(2)
    assert reasons(roster, *group) == [NO_FIT] * 2
    changed(roster, capacity=2)
    assert reasons(roster, *group) == [None] * 2


def test_a_group_without_a_limit_always_fits() -> None:
    roster, group = a_roster(capacity=None), agents(500)
    assert set(reasons(roster, *group)) == {None}


# ------------------------------------------------------------ groups that the contract does not let in


@pytest.mark.parametrize(("number", "valid"), [(0, False), (1, True), (500, True), (501, False)])
def test_a_group_and_a_list_are_of_1_to_500(number: int, valid: bool) -> None:
    some = tuple(agents(number))
    group: dict[str, Any] = {"session_id": uuid.uuid4(), "agents": some, "requested_by": OFFICER}
    named = {"session_id": uuid.uuid4(), "agents": some, "nominated_by": OFFICER, "siret": RENNES}
    for contract, document in ((GroupEnrolmentRequested, group), (TraineesNominated, named)):
        if valid:
            assert len(contract.model_validate(document).agents) == number
        else:
            with pytest.raises(ValidationError, match="agents"):
                contract.model_validate(document)


def test_a_group_in_which_an_agent_stands_twice_is_no_group() -> None:
    agent = an_agent()
    group = {"session_id": uuid.uuid4(), "agents": (agent, agent), "requested_by": OFFICER}
    with pytest.raises(ValidationError, match="stands twice"):
        GroupEnrolmentRequested.model_validate(group)


@pytest.mark.parametrize("together", [True, False])
def test_a_group_of_nobody_is_answered_and_changes_nothing(together: bool) -> None:
    roster = a_roster()
    answer = answer_to(roster, a_group_request(roster, (), all_or_nothing=together))
    assert (answer.state, answer.reason) == ("unchanged", None)
    assert roster.decisions == []


@pytest.mark.parametrize("together", [True, False])
def test_an_agent_who_stands_twice_in_a_group_counts_once(together: bool) -> None:
    roster, agent = a_roster(capacity=1), an_agent()
    events = decided(roster, a_group_request(roster, (agent, agent), all_or_nothing=together))
    assert names_of(events) == [("AgentEnrolled", agent.agent_id)]
    assert roster.seats.taken == 1
    [kept] = roster.changed.values()
    assert kept.state is E


def test_a_group_before_the_opening_is_refused_for_that() -> None:
    roster = a_roster()
    request = a_group_request(roster, agents(1), received_at=OPENS.replace(year=2024))
    assert answer_to(roster, request).reason is Reason.NOT_OPEN_YET


def test_a_group_after_one_request_in_the_same_batch_sees_what_it_took() -> None:
    roster, group = a_roster(capacity=2), agents(2)
    decided(roster, a_seat_request(roster), a_group_request(roster, group, all_or_nothing=True))
    assert states_of(roster, group) == [R, R]


def test_all_or_nothing_fits_when_the_one_who_sits_already_and_all_others_have_a_seat() -> None:
    roster, (seated, *others) = a_roster(capacity=3), agents(3)
    enrol(roster, seated)
    assert all_or_nothing(roster, seated, *others) == {
        seated.agent_id: Reason.ALREADY_ENROLLED,
        **{other.agent_id: None for other in others},
    }


def test_all_or_nothing_does_not_fit_while_one_of_the_group_only_waits() -> None:
    roster, (seated, waiting, other) = a_roster(capacity=1), agents(3)
    enrol(roster, seated, waiting)
    changed(roster, capacity=1)
    assert all_or_nothing(roster, waiting, other)[other.agent_id] is Reason.GROUP_DOES_NOT_FIT
