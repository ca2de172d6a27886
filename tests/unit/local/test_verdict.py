"""The audit must notice: a demonstration that cannot fail shows nothing."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from local.audit import Decided, Decisions, MailFiles, Seats
from local.books import Answer, Books, SessionFacts
from local.people import Agent, Population
from local.portal import Ask, Kind, Sent
from local.verdict import (
    Findings,
    answered,
    compare_answers,
    compare_enrolments,
    compare_mails,
    compare_moments,
    compare_offers,
    compare_seats,
    compare_selection,
)

NOW = datetime(2025, 3, 20, 12, tzinfo=UTC)
FACTS = SessionFacts(
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
TYPES = {"enrolled": "AgentEnrolled", "waitlisted": "AgentWaitlisted", "withdrawn": "EnrolmentWithdrawn"}


class Story:
    """One seat: the first agent leaves it, the second has the offer and stays silent, the third takes it."""

    def __init__(self) -> None:
        self.books = Books([FACTS])
        self.decisions = Decisions({})
        people = Population("abc", Random(1))
        self.agents = [people.agent() for _ in range(3)]
        first, second, third = self.agents
        self.requests = [Ask("s", agent) for agent in self.agents]
        withdrawal = Ask("s", first, Kind.WITHDRAWAL)
        self.record(*self.requests, withdrawal)
        self.books.lapse("s")
        acceptance = Ask("s", third, Kind.OFFER_ANSWER)
        self.record(acceptance)
        self.decide("AgentEnrolled", first, self.requests[0].ce_id)
        self.decide("AgentWaitlisted", second, self.requests[1].ce_id)
        self.decide("AgentWaitlisted", third, self.requests[2].ce_id)
        self.decide("EnrolmentWithdrawn", first, withdrawal.ce_id, by="agent")
        self.decide("SeatOffered", second)
        self.decide("SeatOfferLapsed", second, cause="expired")
        self.decide("SeatOffered", third)
        self.decide("AgentEnrolled", third, acceptance.ce_id)

    def record(self, *asks: Ask) -> None:
        self.books.record([Sent(ask, 0, offset, NOW) for offset, ask in enumerate(asks)])

    def decide(self, name: str, agent: Agent, request_id: str | None = None, **facts: Any) -> None:
        decision = {
            "session_id": "s", "agent": {"agent_id": agent.agent_id}, "request_id": request_id,
            "enrolment_id": f"enrolment of {agent.agent_id}", **facts,
        }  # fmt: skip
        self.decisions._count(name, decision)

    def judged(self) -> Findings:
        found = compare_answers(self.books, self.decisions)
        compare_offers(self.books, self.decisions, found)
        compare_enrolments(self.books, self.decisions, found)
        return found


@pytest.fixture
def story() -> Story:
    return Story()


def test_agreement_is_clean(story: Story) -> None:
    found = story.judged()
    assert found.clean, found.details
    assert answered(story.books, story.decisions) == story.books.due() == 5


def test_a_request_without_an_answer_is_lost(story: Story) -> None:
    story.decisions.answers.pop(next(iter(story.books.answers)))
    assert story.judged().lost == 1
    assert answered(story.books, story.decisions) == 4


def test_a_second_answer_is_a_duplicate(story: Story) -> None:
    key = next(iter(story.books.answers))
    story.decisions.answers[key].append(story.books.answers[key])
    assert story.judged().duplicated == 1


def test_a_wrong_answer_is_found_though_nothing_is_lost(story: Story) -> None:
    story.decisions.answers[story.requests[2].ce_id, story.agents[2].agent_id] = [Answer("enrolled")]
    found = story.judged()
    assert (found.lost, found.duplicated, found.wrong) == (0, 0, 1)


def test_an_answer_to_nobody_s_request_is_found(story: Story) -> None:
    story.decide("AgentWaitlisted", story.agents[0], "stranger")
    assert not compare_answers(story.books, story.decisions).clean


def test_an_answer_by_a_link_is_owed_once(story: Story) -> None:
    seat = (Answer("enrolled"), "s", story.agents[0].agent_id)
    story.books.by_link[seat] += 1
    assert compare_answers(story.books, story.decisions).lost == 1
    story.decide("AgentEnrolled", story.agents[0], "the page's own id")
    assert compare_answers(story.books, story.decisions).clean


def test_an_agent_of_a_group_without_an_answer_is_lost_though_others_have_theirs(story: Story) -> None:
    people = Population("def", Random(1))
    group = tuple(people.agent() for _ in range(2))
    ask = Ask("s", group[0], Kind.GROUP, agents=group, says_yes=False)
    story.record(ask)
    story.decide("AgentWaitlisted", group[0], ask.ce_id)
    found = story.judged()
    assert (found.lost, found.wrong) == (1, 1)  # the answer, and the enrolment
    story.decide("AgentWaitlisted", group[1], ask.ce_id)
    assert story.judged().clean


def test_a_seat_that_was_not_passed_on_is_lost_and_one_passed_on_twice_doubled(story: Story) -> None:
    offer = (Answer("offered"), "s", story.agents[1].agent_id)
    story.decisions.followed[offer] -= 1
    assert compare_answers(story.books, story.decisions).lost == 1
    story.decisions.followed[offer] += 2
    assert compare_answers(story.books, story.decisions).duplicated == 1


def test_an_offer_that_did_not_lapse_is_found(story: Story) -> None:
    story.decisions.offers["lapsed"] -= 1
    assert story.judged().wrong > 0


def test_an_offer_that_lapsed_though_it_was_declined_is_found(story: Story) -> None:
    story.decisions.offers = Counter({"made": 2, "accepted": 1, "declined": 1})
    assert story.judged().wrong == 2


def test_an_offer_that_still_stands_adds_up_only_if_the_books_know_it(story: Story) -> None:
    story.decide("SeatOffered", story.agents[0])
    assert story.decisions.open_offers() == 1
    found = Findings()
    compare_offers(story.books, story.decisions, found)
    assert found.wrong == 1  # one more made than in the books; made, ended and open add up


def test_a_demand_that_became_no_enrolment_is_found(story: Story) -> None:
    story.decisions.standing.popitem()
    assert story.judged().wrong > 0


def test_a_selection_that_was_told_otherwise_is_found(story: Story) -> None:
    story.books.selection = Counter({"enrolled": 5, "waitlisted": 3, "refused": 4})
    found = Findings()
    compare_selection(story.books, {"enrolled": 5, "waitlisted": 3, "refused": 4}, found)
    assert found.clean
    compare_selection(story.books, {"enrolled": 6, "waitlisted": 2, "refused": 4}, found)
    assert not found.clean


def test_who_sits_has_an_offer_or_waits_elsewhere_than_in_the_books_is_found(story: Story) -> None:
    sits = ("s", story.agents[2].agent_id)
    right = Seats(Counter([sits]), Counter(), Counter())
    found = Findings()
    compare_seats(story.books, right, found)
    assert found.clean
    for wrong in (
        replace(right, seated=Counter()),
        replace(right, seated=Counter(), offered=Counter([sits])),
        replace(right, waiting=Counter([("s", "somebody")])),
    ):
        found = Findings()
        compare_seats(story.books, wrong, found)
        assert found.wrong > 0


@pytest.mark.parametrize(
    ("story", "exceeded"),
    [
        ("a enrolled, b waitlisted, a withdrawn, b offered, b enrolled", 0),
        ("a enrolled, b offered, a withdrawn", 1),
        ("a enrolled, b enrolled, a withdrawn", 1),
        ("a offered, b enrolled, a lapsed", 1),
        ("a offered, a lapsed, b offered, b cancelled, a enrolled", 0),
        ("a enrolled, b enrolled, c enrolled", 2),
    ],
)
def test_a_seat_too_many_for_a_moment_is_found_though_the_end_is_right(story: str, exceeded: int) -> None:
    told = [Decided("s", *step.split()) for step in story.split(", ")]
    found = Findings()
    compare_moments({"s": 1}, told, found)
    assert found.overbooked == exceeded


def test_a_session_without_a_limit_is_never_overbooked() -> None:
    found = Findings()
    compare_moments({"s": None}, [Decided("s", str(n), "enrolled") for n in range(9)], found)
    assert found.clean


def test_a_missing_a_superfluous_and_a_repeated_mail_are_told_apart(story: Story, tmp_path: Path) -> None:
    mails = MailFiles(tmp_path)
    mails.received = story.books.mails.copy()
    missing, doubled, _ = story.books.mails
    mails.received[missing] -= 1
    mails.received[doubled] += 1
    mails.message_ids = Counter({"<1@x>": 2})
    found = Findings()
    compare_mails(story.books, mails, found)
    assert (found.lost, found.duplicated) == (1, 2)
    assert missing in found.details[0]


def test_a_letter_that_was_not_so_any_more_counts_as_there(story: Story, tmp_path: Path) -> None:
    mails = MailFiles(tmp_path)
    mails.received = story.books.mails.copy()
    address = next(iter(mails.received))
    mails.received[address] -= 1
    found = Findings()
    compare_mails(story.books, mails, found, superseded=Counter([address]))
    assert found.clean
