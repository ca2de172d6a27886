"""Seats are never exceeded, and what happens when there come to be more or fewer (rule 1)."""

import itertools
import sys

import pytest

from services.enrolment.rules.requests import Request
from services.enrolment.rules.seats import Seats
from services.enrolment.rules.session_changes import apply_state
from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.states import State
from services.enrolment.rules.waiting_list import END_OF_LIST, SessionWaitingList
from shared.events.reasons import Reason
from tests.support.builders import DURING, STARTS, a_session, an_agent
from tests.support.rosters import (
    a_roster,
    a_seat_request,
    a_withdrawal,
    agents,
    an_agent_of,
    answer_to,
    changed,
    decide_in,
    decided,
    enrol,
    names_of,
    next_version,
    state_of,
    states_of,
)

E, W, O = State.ENROLLED, State.WAITLISTED, State.OFFERED  # noqa: E741  # as in a table


def a_seat_is_free(roster: SessionRoster) -> bool:
    return roster.availability(an_agent()).seat_is_free


# ------------------------------------------------------------ how many there are


def test_capacity_zero_means_no_seat() -> None:
    roster = a_roster(capacity=0, waiting_list="none")
    assert answer_to(roster, a_seat_request(roster)).reason is Reason.SESSION_FULL


def test_capacity_zero_with_a_waiting_list_lets_everybody_wait() -> None:
    roster, agent = a_roster(capacity=0), an_agent()
    enrol(roster, agent)
    assert state_of(roster, agent) is W


def test_a_capacity_of_null_means_no_limit() -> None:
    roster = a_roster(capacity=None)
    enrol(roster, *agents(1_000))
    assert (roster.seats.enrolled, len(roster.waiting_list)) == (1_000, 0)


@pytest.mark.parametrize(("enrolled", "offered", "free"), [(0, 0, True), (1, 0, True), (2, 0, False)])
def test_seats_are_free_until_all_are_taken(enrolled: int, offered: int, free: bool) -> None:
    assert (
        a_seat_is_free(SessionRoster(a_session(capacity=2), DURING, seats=Seats(enrolled, offered))) is free
    )


def test_an_offered_seat_counts_as_taken() -> None:
    assert not a_seat_is_free(SessionRoster(a_session(capacity=1), DURING, seats=Seats(offered=1)))


def test_a_session_that_is_overfull_after_a_lowered_capacity_is_full() -> None:
    assert not a_seat_is_free(SessionRoster(a_session(capacity=1), DURING, seats=Seats(enrolled=3)))


def test_whatever_the_order_of_a_batch_no_more_than_the_seats_are_taken() -> None:
    some = agents(3)
    for order in itertools.permutations(range(5)):
        roster = a_roster(capacity=1)
        requests: list[Request] = [
            *(a_seat_request(roster, agent) for agent in some),
            a_withdrawal(roster, some[0]),
            a_withdrawal(roster, some[1]),
        ]
        for number in order:
            decide_in(roster, [requests[number]])
            assert roster.seats.taken <= 1
            assert not (len(roster.waiting_list) and a_seat_is_free(roster))


# ------------------------------------------------------------ raised


def test_a_raised_capacity_seats_the_waiting_list_at_once_in_order() -> None:
    roster, asking = a_roster(capacity=1), agents(4)
    enrol(roster, *asking)
    events = changed(roster, capacity=3)
    assert names_of(events) == [("AgentEnrolled", agent.agent_id) for agent in asking[1:3]]
    assert (roster.seats.enrolled, len(roster.waiting_list)) == (3, 1)


def test_a_new_state_is_to_be_kept_and_serves_the_waiting_list_before_any_request() -> None:
    roster, asking = a_roster(capacity=1), agents(2)
    enrol(roster, *asking)
    was_new = roster.session_has_changed
    apply_state(roster, next_version(roster.session, capacity=2))
    assert (was_new, roster.session_has_changed) == (False, True)
    assert states_of(roster, asking) == [E, E]


def test_a_raised_capacity_makes_as_many_offers_as_there_are_seats() -> None:
    roster, asking = a_roster(capacity=1, waiting_list="offer"), agents(4)
    enrol(roster, *asking)
    changed(roster, capacity=3)
    assert states_of(roster, asking) == [E, O, O, W]
    assert (roster.seats.enrolled, roster.seats.offered) == (1, 2)


def test_lifting_the_limit_seats_everybody() -> None:
    roster = a_roster(capacity=0)
    enrol(roster, *agents(5))
    changed(roster, capacity=None)
    assert (roster.seats.enrolled, len(roster.waiting_list)) == (5, 0)


def test_a_waiting_list_is_seated_with_as_much_work_for_each_however_long_it_is() -> None:
    """Ten thousand took 13 s while each who left was looked for from the front; a batch may take 10."""

    def calls(length: int) -> int:
        roster = a_roster(capacity=0)
        enrol(roster, *agents(length))
        counted = itertools.count()
        sys.setprofile(lambda *_event: next(counted))
        try:
            changed(roster, capacity=None)
        finally:
            sys.setprofile(None)
        assert len(roster.waiting_list) == 0
        return next(counted)

    assert calls(400) < 5 * calls(100)


def test_opening_a_session_of_no_seats_seats_the_first_of_the_waiting_list() -> None:
    roster, asking = a_roster(capacity=0), agents(2)
    enrol(roster, *asking)
    changed(roster, capacity=1)
    assert states_of(roster, asking) == [E, W]


def test_a_capacity_raised_after_the_start_seats_nobody_any_more() -> None:
    roster, asking = a_roster(capacity=1), agents(2)
    enrol(roster, *asking)
    assert changed(roster, capacity=5, at=STARTS) == []


def test_a_waiting_list_that_is_abolished_is_still_served() -> None:
    roster, asking = a_roster(capacity=1), agents(2)
    enrol(roster, *asking)
    changed(roster, waiting_list="none")
    assert states_of(roster, asking) == [E, W]
    decided(roster, a_withdrawal(roster, asking[0]))
    assert state_of(roster, asking[1]) is E


# ------------------------------------------------------------ lowered


def test_a_lowered_capacity_evicts_nobody_and_the_session_is_full_until_enough_leave() -> None:
    roster, asking = a_roster(capacity=3), agents(4)
    enrol(roster, *asking)
    assert changed(roster, capacity=1) == []
    assert roster.seats.enrolled == 3
    decided(roster, a_withdrawal(roster, asking[0]), a_withdrawal(roster, asking[1]))
    assert (roster.seats.enrolled, state_of(roster, asking[3])) == (1, W)
    decided(roster, a_withdrawal(roster, asking[2]))
    assert (roster.seats.enrolled, state_of(roster, asking[3])) == (1, E)


def test_a_lowered_capacity_takes_no_offer_back_and_makes_no_other_instead() -> None:
    roster, asking = a_roster(capacity=2, waiting_list="offer"), agents(4)
    enrol(roster, *asking)
    decided(roster, a_withdrawal(roster, asking[0]))
    assert states_of(roster, asking[1:]) == [E, O, W]
    changed(roster, capacity=1)
    assert states_of(roster, asking[1:]) == [E, O, W]
    decided(roster, a_withdrawal(roster, asking[2]))
    assert state_of(roster, asking[3]) is W


def test_a_session_lowered_to_no_seat_keeps_those_who_sit() -> None:
    roster, asking = a_roster(capacity=2), agents(2)
    enrol(roster, *asking)
    changed(roster, capacity=0)
    assert states_of(roster, asking) == [E, E]
    late = an_agent()
    enrol(roster, late)
    assert state_of(roster, late) is W


def test_a_limit_below_those_who_sit_in_an_unlimited_session_evicts_nobody() -> None:
    roster, asking = a_roster(capacity=None), agents(5)
    enrol(roster, *asking)
    changed(roster, capacity=2)
    assert states_of(roster, asking) == [E] * 5


# ------------------------------------------------------------ occupancy


def test_occupancy_is_published_once_per_batch_and_only_when_it_changed() -> None:
    roster, agent = a_roster(capacity=1), an_agent()
    decided(roster, a_seat_request(roster, agent), a_seat_request(roster))
    event = roster.occupancy()
    assert event is not None
    assert (event.enrolled, event.waiting, event.capacity, event.version) == (1, 1, 1, 1)
    decided(roster, a_seat_request(roster, agent))
    assert roster.occupancy() is None


def test_a_new_session_tells_that_it_is_empty() -> None:
    event = a_roster().occupancy()
    assert event is not None
    assert (event.enrolled, event.version) == (0, 1)


def test_an_offer_is_published_as_offered_not_as_enrolled() -> None:
    roster, asking = a_roster(capacity=1, waiting_list="offer"), agents(2)
    enrol(roster, *asking)
    decided(roster, a_withdrawal(roster, asking[0]))
    event = roster.occupancy()
    assert event is not None
    assert (event.enrolled, event.offered, event.waiting) == (0, 1, 0)


def test_a_change_of_capacity_alone_is_published() -> None:
    session = a_session(capacity=1)
    roster = SessionRoster(
        session, DURING, seats=Seats(1), waiting_list=SessionWaitingList(), occupancy_version=7
    )
    assert roster.occupancy() is None
    apply_state(roster, next_version(session, capacity=0))
    event = roster.occupancy()
    assert event is not None
    assert (event.capacity, event.enrolled, event.version) == (0, 1, 8)


# ------------------------------------------------------------ what a roster knows of the line


def test_a_roster_with_only_the_first_of_a_waiting_list_counts_all_who_wait() -> None:
    full = a_roster(capacity=1)
    seated, first, second, third = agents(4)
    enrol(full, seated, first, second, third)
    heads = [full.latest[first.key]]
    roster = SessionRoster(
        full.session,
        DURING,
        seats=Seats(1),
        waiting_list=SessionWaitingList(3, heads, known_from=END_OF_LIST),
        next_ticket=full.next_ticket,
        latest={seated.key: full.latest[seated.key]},
    )
    decided(roster, a_withdrawal(roster, seated))
    assert state_of(roster, first) is E
    assert len(roster.waiting_list) == 2


@pytest.mark.parametrize("leaving", [0, 1, 2])
def test_who_leaves_the_waiting_list_need_not_be_loaded_and_takes_nobody_along(leaving: int) -> None:
    full, asking = a_roster(capacity=0), agents(3)
    enrol(full, *asking)
    waiting = [full.latest[agent.key] for agent in asking]
    for loaded in ([], waiting[:1], waiting[1:2], waiting[:2], waiting[::2], waiting):
        waiting_list = SessionWaitingList(3, loaded, known_from=END_OF_LIST)
        waiting_list.remove(waiting[leaving])
        assert len(waiting_list) == 2
        assert list(waiting_list) == [enrolment for enrolment in loaded if enrolment is not waiting[leaving]]


def test_a_place_in_the_middle_needs_the_places_behind_it_alone() -> None:
    full, asking = a_roster(capacity=0), agents(4)
    enrol(full, *asking)
    first, _, third, fourth = (full.latest[agent.key] for agent in asking)
    waiting_list = SessionWaitingList(3, (), [fourth.place], known_from=third.place)
    waiting_list.add(third)
    assert waiting_list.position(third) == 3
    waiting_list.remove(first)
    waiting_list.remove(fourth)
    assert waiting_list.position(third) == 2
    waiting_list.add(fourth)
    assert waiting_list.position(fourth) == len(waiting_list) == 3


def test_a_place_in_the_middle_is_never_guessed_from_a_part_of_the_waiting_list() -> None:
    waiting_list = SessionWaitingList(3, (), known_from=END_OF_LIST)
    some = a_roster(capacity=0)
    agent = an_agent_of()
    enrol(some, agent)
    with pytest.raises(ValueError, match="needs the places behind it"):
        waiting_list.add(some.latest[agent.key])
