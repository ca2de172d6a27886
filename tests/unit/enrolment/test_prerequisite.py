"""A session may require the certificate of an offer: who has none is refused, whoever asks for them."""

from dataclasses import replace
from typing import Any

import pytest

from services.enrolment.rules.requests import ByHand
from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.states import State
from shared.events.reasons import Reason
from shared.events.vocabulary import Agent
from tests.support.builders import an_agent
from tests.support.rosters import (
    a_group_request,
    a_roster,
    a_seat_request,
    a_swap,
    answer_to,
    changed,
    decided_together,
    enrol,
    state_of,
)

REQUIRED = {"offer_id": "mooc-ia", "title": "Les fondamentaux de l’IA"}


def requiring(*certified: Agent, **session: Any) -> SessionRoster:
    roster = a_roster(prerequisite=REQUIRED, **session)
    roster.certified = {(agent.key, "mooc-ia") for agent in certified}
    return roster


def test_who_has_the_certificate_of_the_offer_gets_a_seat_and_another_does_not() -> None:
    agent, other = an_agent(), an_agent()
    roster = requiring(agent)
    assert answer_to(roster, a_seat_request(roster, agent)).state == State.ENROLLED
    assert answer_to(roster, a_seat_request(roster, other)).reason is Reason.PREREQUISITE_MISSING


def test_the_certificate_of_another_offer_is_not_enough() -> None:
    agent = an_agent()
    roster = requiring()
    roster.certified = {(agent.key, "webinaires-ia")}
    assert answer_to(roster, a_seat_request(roster, agent)).reason is Reason.PREREQUISITE_MISSING


@pytest.mark.parametrize("approval", ["employer", "selection", "employer_then_selection"])
def test_nobody_agrees_to_or_ranks_who_lacks_the_certificate(approval: str) -> None:
    roster = requiring(approval=approval)
    assert answer_to(roster, a_seat_request(roster)).reason is Reason.PREREQUISITE_MISSING


def test_of_a_group_those_with_the_certificate_get_seats() -> None:
    agent, other = an_agent(), an_agent()
    roster = requiring(agent)
    answer_to(roster, a_group_request(roster, (agent, other)))
    assert state_of(roster, agent) is State.ENROLLED
    assert (state_of(roster, other), roster.latest[other.key].reason) == (
        State.REFUSED,
        Reason.PREREQUISITE_MISSING,
    )


def test_who_moves_needs_it_too() -> None:
    agent, here, there = an_agent(), a_roster(), requiring()
    enrol(here, agent)
    decided_together([here, there], a_swap(here, there, agent))
    assert here.results[-1].reason is Reason.PREREQUISITE_MISSING
    assert state_of(here, agent) is State.ENROLLED


def test_no_organiser_enrols_by_hand_who_lacks_it() -> None:
    roster = requiring()
    by_hand = ByHand("Anne Conseil", above_capacity="Une chaise de plus")
    request = replace(a_seat_request(roster), by_hand=by_hand)
    assert answer_to(roster, request).reason is Reason.PREREQUISITE_MISSING


def test_who_has_a_place_keeps_it_when_a_certificate_comes_to_be_required() -> None:
    roster, seated, waiting = a_roster(capacity=1), an_agent(), an_agent()
    enrol(roster, seated, waiting)
    changed(roster, prerequisite=REQUIRED, capacity=2)
    assert state_of(roster, seated) is State.ENROLLED
    assert state_of(roster, waiting) is State.ENROLLED
