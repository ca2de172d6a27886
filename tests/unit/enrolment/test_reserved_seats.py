"""Seats that only one delegation's agents may take until they are released (rule 3)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.enrolment.rules.seats import next_release
from services.enrolment.rules.states import State
from shared.events.enrolment import SeatNotObtained
from tests.support.builders import DURING, STARTS, a_session
from tests.support.rosters import (
    a_roster,
    a_withdrawal,
    agents,
    an_agent_of,
    changed,
    decided,
    enrol,
    names_of,
    state_of,
    states_of,
)

TICK = timedelta(microseconds=1)
RELEASE = datetime(2025, 4, 15, 22, 0, tzinfo=UTC)
LATER = RELEASE + timedelta(days=10)
E, W, O = State.ENROLLED, State.WAITLISTED, State.OFFERED  # noqa: E741  # as in a table


def reserved(delegation: str, seats: int, release_at: datetime = RELEASE) -> dict[str, Any]:
    return {"delegation": delegation, "seats": seats, "release_at": release_at}


def test_reserved_seats_are_only_for_the_delegations_agents() -> None:
    roster = a_roster(capacity=2, reserved_seats=[reserved("bretagne", 2)])
    from_elsewhere, breton = an_agent_of("corse"), an_agent_of("bretagne")
    enrol(roster, from_elsewhere, breton)
    assert states_of(roster, (from_elsewhere, breton)) == [W, E]


def test_unreserved_seats_are_for_all() -> None:
    roster = a_roster(capacity=3, reserved_seats=[reserved("bretagne", 1)])
    corsican, breton, second_corsican, third = (
        an_agent_of("corse"),
        an_agent_of("bretagne"),
        an_agent_of("corse"),
        an_agent_of("corse"),
    )
    enrol(roster, corsican, breton, second_corsican, third)
    assert states_of(roster, (corsican, breton, second_corsican, third)) == [E, E, E, W]


def test_the_delegations_agents_fill_its_reserved_seats_first_and_then_compete_for_the_others() -> None:
    roster = a_roster(capacity=3, reserved_seats=[reserved("bretagne", 1)])
    bretons = [an_agent_of("bretagne") for _ in range(4)]
    enrol(roster, *bretons)
    assert states_of(roster, bretons) == [E, E, E, W]


def test_at_the_release_the_rest_goes_to_the_waiting_list_in_order() -> None:
    roster = a_roster(capacity=3, reserved_seats=[reserved("bretagne", 3)])
    breton, *corsicans = an_agent_of("bretagne"), *(an_agent_of("corse") for _ in range(3))
    enrol(roster, *corsicans, breton)
    assert decided(roster, at=RELEASE - TICK) == []
    events = decided(roster, at=RELEASE)
    assert names_of(events) == [("AgentEnrolled", agent.agent_id) for agent in corsicans[:2]]
    assert state_of(roster, corsicans[2]) is W


def test_at_the_release_seats_are_offered_where_the_waiting_list_is_served_by_offers() -> None:
    roster = a_roster(capacity=1, waiting_list="offer", reserved_seats=[reserved("bretagne", 1)])
    corsican = an_agent_of("corse")
    enrol(roster, corsican)
    decided(roster, at=RELEASE)
    assert state_of(roster, corsican) is O


def test_a_request_decided_after_the_release_comes_behind_the_waiting_list() -> None:
    roster = a_roster(capacity=1, reserved_seats=[reserved("bretagne", 1)])
    waiting, newcomer = an_agent_of("corse"), an_agent_of("bretagne")
    enrol(roster, waiting)
    roster.now = RELEASE
    enrol(roster, newcomer)
    assert states_of(roster, (waiting, newcomer)) == [E, W]


def test_a_reserved_seat_that_becomes_free_goes_to_the_delegations_first_in_line() -> None:
    roster = a_roster(capacity=2, reserved_seats=[reserved("bretagne", 1)])
    breton, corsican = an_agent_of("bretagne"), an_agent_of("corse")
    waiting_corsican, waiting_breton = an_agent_of("corse"), an_agent_of("bretagne")
    enrol(roster, breton, corsican, waiting_corsican, waiting_breton)
    decided(roster, a_withdrawal(roster, breton))
    assert states_of(roster, (waiting_corsican, waiting_breton)) == [W, E]


def test_an_unreserved_seat_that_becomes_free_goes_to_the_first_in_line_from_wherever() -> None:
    roster = a_roster(capacity=2, reserved_seats=[reserved("bretagne", 1)])
    breton, corsican = an_agent_of("bretagne"), an_agent_of("corse")
    waiting_corsican, waiting_breton = an_agent_of("corse"), an_agent_of("bretagne")
    enrol(roster, breton, corsican, waiting_corsican, waiting_breton)
    decided(roster, a_withdrawal(roster, corsican))
    assert states_of(roster, (waiting_corsican, waiting_breton)) == [E, W]


def test_an_offered_seat_counts_as_one_that_the_delegation_has() -> None:
    roster = a_roster(capacity=2, waiting_list="offer", reserved_seats=[reserved("bretagne", 1)])
    breton, corsican, waiting_breton, waiting_corsican = (
        an_agent_of("bretagne"),
        an_agent_of("corse"),
        an_agent_of("bretagne"),
        an_agent_of("corse"),
    )
    enrol(roster, breton, corsican, waiting_breton, waiting_corsican)
    decided(roster, a_withdrawal(roster, breton))
    assert states_of(roster, (waiting_breton, waiting_corsican)) == [O, W]
    decided(roster, a_withdrawal(roster, corsican))
    assert states_of(roster, (waiting_breton, waiting_corsican)) == [O, O]


def test_each_delegation_has_its_own_reserved_seats() -> None:
    roster = a_roster(capacity=4, reserved_seats=[reserved("bretagne", 2), reserved("corse", 1)])
    occitans = [an_agent_of("occitanie") for _ in range(2)]
    corsicans = [an_agent_of("corse") for _ in range(2)]
    bretons = [an_agent_of("bretagne") for _ in range(3)]
    enrol(roster, *occitans, *corsicans, *bretons)
    assert states_of(roster, occitans) == [E, W]
    assert states_of(roster, corsicans) == [E, W]
    assert states_of(roster, bretons) == [E, E, W]


def test_each_reservation_is_released_on_its_own_date() -> None:
    roster = a_roster(
        capacity=3, reserved_seats=[reserved("bretagne", 1, RELEASE), reserved("bretagne", 2, LATER)]
    )
    corsicans = [an_agent_of("corse") for _ in range(3)]
    enrol(roster, *corsicans)
    assert states_of(roster, corsicans) == [W, W, W]
    decided(roster, at=RELEASE)
    assert states_of(roster, corsicans) == [E, W, W]
    decided(roster, at=LATER)
    assert states_of(roster, corsicans) == [E, E, E]


def test_the_next_release_is_the_earliest_that_is_still_to_come() -> None:
    session = a_session(reserved_seats=[reserved("bretagne", 1, LATER), reserved("corse", 2, RELEASE)])
    assert next_release(session, DURING) == RELEASE
    assert next_release(session, RELEASE) == LATER
    assert next_release(session, LATER) is None
    assert next_release(a_session(), DURING) is None


@pytest.mark.parametrize(("bretons", "corsicans"), [(3, 0), (0, 3), (2, 1)])
def test_more_reserved_than_there_is_goes_to_whoever_of_the_delegations_requests_first(
    bretons: int, corsicans: int
) -> None:
    """No seat stays empty because it is reserved twice."""
    roster = a_roster(capacity=3, reserved_seats=[reserved("bretagne", 3), reserved("corse", 3)])
    asking = [an_agent_of("bretagne") for _ in range(bretons)]
    asking += [an_agent_of("corse") for _ in range(corsicans)]
    occitan, late = an_agent_of("occitanie"), an_agent_of("corse")
    enrol(roster, occitan, *asking, late)
    assert states_of(roster, asking) == [E, E, E]
    assert states_of(roster, (occitan, late)) == [W, W]


def test_in_a_lowered_capacity_a_delegation_may_still_take_a_seat_that_is_reserved_for_it() -> None:
    reservations = [reserved("bretagne", 2), reserved("corse", 2)]
    roster = a_roster(capacity=10, reserved_seats=reservations)
    occitans = [an_agent_of("occitanie") for _ in range(3)]
    enrol(roster, *occitans)
    changed(roster, capacity=5)
    breton, corsican, third = an_agent_of("bretagne"), an_agent_of("corse"), an_agent_of("corse")
    occitan = an_agent_of("occitanie")
    enrol(roster, occitan, breton, corsican, third)
    assert states_of(roster, (occitan, breton, corsican, third)) == [W, E, E, W]


def test_reserved_seats_beyond_the_capacity_are_no_seats() -> None:
    roster = a_roster(capacity=1, reserved_seats=[reserved("bretagne", 5)])
    bretons = [an_agent_of("bretagne") for _ in range(2)]
    enrol(roster, *bretons)
    assert states_of(roster, bretons) == [E, W]


def test_without_a_limit_reservations_keep_nobody_out() -> None:
    roster = a_roster(capacity=None, reserved_seats=[reserved("bretagne", 5)])
    corsican = an_agent_of("corse")
    enrol(roster, corsican)
    assert state_of(roster, corsican) is E


def test_seats_reserved_by_a_later_change_evict_nobody() -> None:
    roster, corsicans = a_roster(capacity=2), [an_agent_of("corse") for _ in range(2)]
    enrol(roster, *corsicans)
    changed(roster, reserved_seats=[reserved("bretagne", 2)])
    assert states_of(roster, corsicans) == [E, E]
    breton, another = an_agent_of("bretagne"), an_agent_of("corse")
    enrol(roster, another, breton)
    decided(roster, a_withdrawal(roster, corsicans[0]))
    assert states_of(roster, (another, breton)) == [W, E]


def test_a_reservation_that_is_dropped_frees_its_seats_at_once() -> None:
    roster, corsican = a_roster(capacity=1, reserved_seats=[reserved("bretagne", 1)]), an_agent_of("corse")
    enrol(roster, corsican)
    changed(roster, reserved_seats=[])
    assert state_of(roster, corsican) is E


def test_a_release_after_the_start_gives_nothing_away() -> None:
    roster = a_roster(capacity=1, reserved_seats=[reserved("bretagne", 1, STARTS + timedelta(days=1))])
    corsican = an_agent_of("corse")
    enrol(roster, corsican)
    [event] = decided(roster, at=STARTS + timedelta(days=1))
    assert isinstance(event, SeatNotObtained)


def test_agents_of_one_delegation_are_equal_whoever_employs_them() -> None:
    roster = a_roster(capacity=2, reserved_seats=[reserved("bretagne", 2)])
    of_brest, of_rennes = an_agent_of("bretagne", "21290019300010"), an_agent_of("bretagne")
    enrol(roster, of_brest, of_rennes)
    assert states_of(roster, (of_brest, of_rennes)) == [E, E]
    assert roster.seats.by_delegation == {"bretagne": 2}


def test_seats_of_who_leaves_are_counted_down_for_their_delegation() -> None:
    roster, some = a_roster(capacity=5, reserved_seats=[reserved("bretagne", 2)]), agents(3)
    enrol(roster, *some)
    decided(roster, *(a_withdrawal(roster, agent) for agent in some))
    assert +roster.seats.by_delegation == {}
