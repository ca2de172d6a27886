"""The comparison must notice: a demonstration that cannot fail shows nothing."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from local.demo.comparison import (
    Differences,
    answers_received,
    compare_answers,
    compare_corrections,
    compare_enrolments,
    compare_mails,
    compare_moments,
    compare_offers,
    compare_seats,
    compare_selection,
)
from local.demo.model import ReferenceModel
from local.demo.observed import DecisionLog, OrderedDecision, ReceivedMails
from local.demo.people import Agent, Population
from local.demo.portal import PortalRequest, RequestKind, SentRequest
from local.demo.session_model import Answer, CatalogueSession

NOW = datetime(2025, 3, 20, 12, tzinfo=UTC)
SESSION = CatalogueSession(
    "s",
    "local_event",
    "IA",
    "bretagne",
    1,
    "offer",
    NOW,
    NOW + timedelta(days=1),
    NOW + timedelta(days=2),
    (),
)


class OneSeat:
    """One seat: the first agent leaves it, the second has the offer and stays silent, the third takes it."""

    def __init__(self) -> None:
        self.model = ReferenceModel([SESSION])
        self.decisions = DecisionLog()
        people = Population("abc", Random(1))
        self.agents = [people.agent() for _ in range(3)]
        first, second, third = self.agents
        self.requests = [PortalRequest("s", agent) for agent in self.agents]
        withdrawal = PortalRequest("s", first, RequestKind.WITHDRAWAL)
        self.receive(*self.requests, withdrawal)
        self.model.let_offers_lapse("s")
        acceptance = PortalRequest("s", third, RequestKind.OFFER_ANSWER)
        self.receive(acceptance)
        self.decide("AgentEnrolled", first, self.requests[0].ce_id)
        self.decide("AgentWaitlisted", second, self.requests[1].ce_id)
        self.decide("AgentWaitlisted", third, self.requests[2].ce_id)
        self.decide("EnrolmentWithdrawn", first, withdrawal.ce_id, by="agent")
        self.decide("SeatOffered", second)
        self.decide("SeatOfferLapsed", second, cause="expired")
        self.decide("SeatOffered", third)
        self.decide("AgentEnrolled", third, acceptance.ce_id)

    def receive(self, *requests: PortalRequest) -> None:
        self.model.receive([SentRequest(request, 0, offset, NOW) for offset, request in enumerate(requests)])

    def decide(self, name: str, agent: Agent, request_id: str | None = None, **details: Any) -> None:
        decision = {
            "session_id": "s", "agent": {"agent_id": agent.agent_id}, "request_id": request_id,
            "enrolment_id": f"enrolment of {agent.agent_id}", **details,
        }  # fmt: skip
        self.decisions.add(name, decision)

    def compared(self) -> Differences:
        comparisons = (compare_answers, compare_offers, compare_enrolments)
        return sum((compare(self.model, self.decisions) for compare in comparisons), Differences())


@pytest.fixture
def day() -> OneSeat:
    return OneSeat()


def test_agreement_is_clean(day: OneSeat) -> None:
    differences = day.compared()
    assert differences.none, differences.details
    assert answers_received(day.model, day.decisions) == day.model.answers_due() == 5


def test_a_request_without_an_answer_is_lost(day: OneSeat) -> None:
    day.decisions.answers.pop(next(iter(day.model.answers)))
    assert day.compared().lost == 1
    assert answers_received(day.model, day.decisions) == 4


def test_a_second_answer_is_a_duplicate(day: OneSeat) -> None:
    key = next(iter(day.model.answers))
    day.decisions.answers[key].append(day.model.answers[key])
    assert day.compared().duplicated == 1


def test_a_wrong_answer_is_found_though_nothing_is_lost(day: OneSeat) -> None:
    day.decisions.answers[day.requests[2].ce_id, day.agents[2].agent_id] = [Answer("enrolled")]
    differences = day.compared()
    assert (differences.lost, differences.duplicated, differences.wrong) == (0, 0, 1)


def test_an_answer_to_nobody_s_request_is_found(day: OneSeat) -> None:
    day.decide("AgentWaitlisted", day.agents[0], "stranger")
    assert not compare_answers(day.model, day.decisions).none


def test_an_answer_by_a_link_is_owed_once(day: OneSeat) -> None:
    seat = (Answer("enrolled"), "s", day.agents[0].agent_id)
    day.model.link_answers[seat] += 1
    assert compare_answers(day.model, day.decisions).lost == 1
    day.decide("AgentEnrolled", day.agents[0], "the page's own id")
    assert compare_answers(day.model, day.decisions).none


def test_an_answer_to_an_organiser_is_owed_once(day: OneSeat) -> None:
    day.model.enrol_by_hand("s", day.agents[0], above_capacity=True)
    assert compare_answers(day.model, day.decisions).lost == 1
    day.decide("AgentEnrolled", day.agents[0], "the API's own id")
    assert compare_answers(day.model, day.decisions).none


def test_an_address_is_corrected_once_and_only_where_it_was_asked_for(day: OneSeat) -> None:
    correction = {"agent_id": day.agents[0].agent_id, "email": day.agents[0].email}
    day.receive(PortalRequest("", day.agents[0], RequestKind.CORRECTION))
    assert compare_corrections(day.model, day.decisions).lost == 1
    day.decisions.add("AgentDetailsCorrected", correction)
    assert compare_corrections(day.model, day.decisions).none
    day.decisions.add("AgentDetailsCorrected", correction)
    assert compare_corrections(day.model, day.decisions).duplicated == 1


def test_an_agent_of_a_group_without_an_answer_is_lost_though_others_have_theirs(day: OneSeat) -> None:
    people = Population("def", Random(1))
    group = tuple(people.agent() for _ in range(2))
    request = PortalRequest("s", group[0], RequestKind.GROUP, agents=group, says_yes=False)
    day.receive(request)
    day.decide("AgentWaitlisted", group[0], request.ce_id)
    differences = day.compared()
    assert (differences.lost, differences.wrong) == (1, 1)  # the answer, and the enrolment
    day.decide("AgentWaitlisted", group[1], request.ce_id)
    assert day.compared().none


def test_a_seat_that_was_not_passed_on_is_lost_and_one_passed_on_twice_doubled(day: OneSeat) -> None:
    offer = (Answer("offered"), "s", day.agents[1].agent_id)
    day.decisions.consequences[offer] -= 1
    assert compare_answers(day.model, day.decisions).lost == 1
    day.decisions.consequences[offer] += 2
    assert compare_answers(day.model, day.decisions).duplicated == 1


def test_an_offer_that_did_not_lapse_is_found(day: OneSeat) -> None:
    day.decisions.offers["lapsed"] -= 1
    assert day.compared().wrong > 0


def test_an_offer_that_lapsed_though_it_was_declined_is_found(day: OneSeat) -> None:
    day.decisions.offers = Counter({"made": 2, "accepted": 1, "declined": 1})
    assert day.compared().wrong == 2


def test_an_offer_that_still_stands_adds_up_only_if_the_model_knows_it(day: OneSeat) -> None:
    day.decide("SeatOffered", day.agents[0])
    assert day.decisions.open_offers() == 1
    differences = compare_offers(day.model, day.decisions)
    assert differences.wrong == 1  # one more made than in the model; made, ended and open add up


def test_a_demand_that_became_no_enrolment_is_found(day: OneSeat) -> None:
    day.decisions.enrolments.popitem()
    assert day.compared().wrong > 0


def test_a_selection_that_was_answered_otherwise_is_found(day: OneSeat) -> None:
    day.model.selection = Counter({"enrolled": 5, "waitlisted": 3, "refused": 4})
    assert compare_selection(day.model, {"enrolled": 5, "waitlisted": 3, "refused": 4}).none
    assert not compare_selection(day.model, {"enrolled": 6, "waitlisted": 2, "refused": 4}).none


def test_who_has_a_seat_or_an_offer_or_waits_elsewhere_than_in_the_model_is_found(
    day: OneSeat,
) -> None:
    seat = Counter([("s", day.agents[2].agent_id)])
    assert compare_seats(day.model, {"enrolled": seat}).none
    for wrong in ({}, {"offered": seat}, {"enrolled": seat, "waitlisted": Counter([("s", "somebody")])}):
        assert compare_seats(day.model, wrong).wrong > 0


@pytest.mark.parametrize(
    ("history", "exceeded"),
    [
        ("a enrolled, b waitlisted, a withdrawn, b offered, b enrolled", 0),
        ("a enrolled, b offered, a withdrawn", 1),
        ("a enrolled, b enrolled, a withdrawn", 1),
        ("a offered, b enrolled, a lapsed", 1),
        ("a offered, a lapsed, b offered, b cancelled, a enrolled", 0),
        ("a enrolled, b enrolled, c enrolled", 2),
    ],
)
def test_a_seat_too_many_for_a_moment_is_found_though_the_end_is_right(history: str, exceeded: int) -> None:
    assert compare_moments({"s": 1}, in_order(history)).overbooked == exceeded


@pytest.mark.parametrize(
    ("history", "exceeded"),
    [
        ("a enrolled, d enrolled, e enrolled, a withdrawn", 0),
        ("a offered, d enrolled, a enrolled", 0),
        ("a enrolled, d enrolled, a withdrawn, b enrolled", 1),
        ("d enrolled, b enrolled", 1),
        ("a enrolled, d enrolled, b enrolled", 2),
    ],
)
def test_a_seat_above_the_capacity_is_theirs_alone_to_whom_it_was_given(history: str, exceeded: int) -> None:
    added = [("s", "d"), ("s", "e")]
    assert compare_moments({"s": 1}, in_order(history), added).overbooked == exceeded


def in_order(history: str) -> list[OrderedDecision]:
    """Decisions about agents, each of whom has one enrolment."""
    steps = (step.split() for step in history.split(", "))
    return [OrderedDecision("s", f"enrolment of {agent}", agent, outcome) for agent, outcome in steps]


def test_a_session_without_a_limit_is_never_overbooked() -> None:
    differences = compare_moments({"s": None}, in_order("a enrolled, b enrolled"))
    assert differences.none


def test_a_missing_a_superfluous_and_a_repeated_mail_are_told_apart(day: OneSeat, tmp_path: Path) -> None:
    mails = ReceivedMails(tmp_path)
    mails.by_address = day.model.mails.copy()
    missing, doubled, _ = day.model.mails
    mails.by_address[missing] -= 1
    mails.by_address[doubled] += 1
    mails.message_ids = Counter({"<1@x>": 2})
    differences = compare_mails(day.model, mails, Counter())
    assert (differences.lost, differences.duplicated) == (1, 2)
    assert missing in differences.details[0]


def test_a_letter_that_was_not_so_any_more_counts_as_there(day: OneSeat, tmp_path: Path) -> None:
    mails = ReceivedMails(tmp_path)
    mails.by_address = day.model.mails.copy()
    address = next(iter(mails.by_address))
    mails.by_address[address] -= 1
    assert compare_mails(day.model, mails, Counter([address])).none
