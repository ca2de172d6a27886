"""The waiting list of which only a part is loaded, and the seats behind it."""

import itertools
import sys

import pytest

from services.enrolment.rules.eligibility import is_in_audience
from services.enrolment.rules.enrolments import Enrolment
from services.enrolment.rules.seats import Seats, next_release
from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.waiting_list import END_OF_LIST, SessionWaitingList
from shared.events.catalogue import Audience
from tests.support.builders import CLOSES, DURING, STARTS, a_session, an_agent
from tests.support.rosters import (
    NANTES,
    RENNES,
    a_roster,
    a_withdrawal,
    agents,
    changed,
    decided,
    enrol,
    state_of,
)
from tests.support.scenarios import play


def waiting(number: int) -> list[Enrolment]:
    """Return so many enrolments that wait, in order."""
    letters = "abcdef"[:number]
    played = play(f"seats=0 | ask {letters}")
    return [played.enrolment(letter) for letter in letters]


def test_a_roster_with_only_the_first_of_a_waiting_list_counts_the_whole_list() -> None:
    full = play("seats=1 | ask abcd")
    waiting_list = SessionWaitingList(3, [full.enrolment("b")], known_from=END_OF_LIST)
    roster = SessionRoster(full.roster.session, DURING, seats=Seats(1), waiting_list=waiting_list)
    roster.latest = {full.agents["a"].key: full.enrolment("a")}
    decided(roster, a_withdrawal(roster, full.agents["a"]))
    assert state_of(roster, full.agents["b"]) == "enrolled"
    assert len(roster.waiting_list) == 2


@pytest.mark.parametrize("loaded", [[], [0], [1], [0, 1], [0, 2], [0, 1, 2]])
@pytest.mark.parametrize("leaving", [0, 1, 2])
def test_an_agent_who_leaves_need_not_be_loaded_and_takes_nobody_along(
    leaving: int, loaded: list[int]
) -> None:
    everybody = waiting(3)
    waiting_list = SessionWaitingList(3, [everybody[number] for number in loaded], known_from=END_OF_LIST)
    waiting_list.remove(everybody[leaving])
    assert len(waiting_list) == 2
    assert list(waiting_list) == [everybody[number] for number in loaded if number != leaving]


def test_a_place_in_the_middle_needs_the_places_behind_it_alone() -> None:
    first, _, third, fourth = waiting(4)
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
    with pytest.raises(ValueError, match="needs the places behind it"):
        waiting_list.add(waiting(1)[0])


def test_a_waiting_list_is_seated_with_as_much_work_for_each_however_long_it_is() -> None:
    """Ten thousand took 13 s while each leaving agent was looked for from the front; a batch may take 10."""

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


def test_the_next_release_is_the_earliest_that_is_still_to_come() -> None:
    reserved = [
        {"delegation": delegation, "seats": 1, "release_at": release_at}
        for delegation, release_at in (("bretagne", STARTS), ("corse", CLOSES))
    ]
    session = a_session(reserved_seats=reserved)
    assert [next_release(session, moment) for moment in (DURING, CLOSES, STARTS)] == [CLOSES, STARTS, None]
    assert next_release(a_session(), DURING) is None


@pytest.mark.parametrize(
    ("audience", "expected"),
    [
        ({}, True),
        ({"functions": ["agent", "encadrant"]}, True),
        ({"functions": ["encadrant"]}, False),
        ({"sirets": [RENNES]}, True),
        ({"sirets": [NANTES]}, False),
        ({"delegations": ["bretagne"]}, True),
        ({"delegations": ["corse"]}, False),
        ({"functions": ["agent"], "sirets": [RENNES], "delegations": ["bretagne"]}, True),
        ({"functions": ["agent"], "delegations": ["corse"]}, False),
    ],
)
def test_an_empty_list_restricts_nothing_and_all_lists_must_be_met(
    audience: dict[str, list[str]], expected: bool
) -> None:
    assert is_in_audience(Audience.model_validate(audience), an_agent()) is expected
