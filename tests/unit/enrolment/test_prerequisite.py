"""A session may require the certificate of an offer, whoever requests the seat."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from services.enrolment.rules.requests import ByHand, Request
from services.enrolment.rules.session_roster import SessionRoster
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
    states_of,
)

REQUIRED = {"offer_id": "mooc-ia", "title": "Les fondamentaux de l’IA"}


def by_hand(roster: SessionRoster, agent: Agent) -> Request:
    hand = ByHand("Anne Conseil", above_capacity="Une chaise de plus")
    return replace(a_seat_request(roster, agent), by_hand=hand)


@pytest.mark.parametrize(
    ("offer_id", "session", "request_of", "reason"),
    [
        ("mooc-ia", {}, a_seat_request, None),
        ("webinaires-ia", {}, a_seat_request, Reason.PREREQUISITE_MISSING),
        (None, {}, a_seat_request, Reason.PREREQUISITE_MISSING),
        (None, {"approval": "employer"}, a_seat_request, Reason.PREREQUISITE_MISSING),
        (None, {"approval": "selection"}, a_seat_request, Reason.PREREQUISITE_MISSING),
        (None, {}, by_hand, Reason.PREREQUISITE_MISSING),
    ],
)
def test_only_the_certificate_of_the_required_offer_counts(
    offer_id: str | None,
    session: dict[str, Any],
    request_of: Callable[[SessionRoster, Agent], Request],
    reason: Reason | None,
) -> None:
    roster, agent = a_roster(prerequisite=REQUIRED, **session), an_agent()
    roster.certified = {(agent.key, offer_id)} if offer_id else set()
    assert answer_to(roster, request_of(roster, agent)).reason is reason


def test_of_a_group_the_agents_with_the_certificate_get_seats() -> None:
    roster, agent, other = a_roster(prerequisite=REQUIRED), an_agent(), an_agent()
    roster.certified = {(agent.key, "mooc-ia")}
    answer_to(roster, a_group_request(roster, (agent, other)))
    assert states_of(roster, (agent, other)) == ["enrolled", "refused"]


def test_an_agent_who_moves_needs_it_too() -> None:
    agent, here, there = an_agent(), a_roster(), a_roster(prerequisite=REQUIRED)
    enrol(here, agent)
    [result] = decided_together([here, there], a_swap(here, there, agent))
    assert result.reason is Reason.PREREQUISITE_MISSING


def test_enrolments_stay_when_a_certificate_comes_to_be_required() -> None:
    roster, seated, waiting = a_roster(capacity=1), an_agent(), an_agent()
    enrol(roster, seated, waiting)
    changed(roster, prerequisite=REQUIRED, capacity=2)
    assert states_of(roster, (seated, waiting)) == ["enrolled", "enrolled"]
