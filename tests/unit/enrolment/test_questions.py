"""Questions at enrolment: what is answered is kept for the organiser, and no decision says it."""

from typing import Any

import pytest

from services.enrolment.rules.questions import KeptAnswer
from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.states import State
from shared.events.enrolment import EnrolmentRefused
from shared.events.portal import QuestionAnswer
from shared.events.reasons import Reason
from tests.support.builders import a_question, an_agent
from tests.support.rosters import a_group_request, a_roster, a_seat_request, agents, answer_to

KINDS = {
    "text": "Une question sur les marchés publics",
    "choice": "végétarien",
    "yes_no": False,
    "number": 0,
    "adjustment": ["sign_language", "large_print"],
}
"""An answer that each kind of question takes."""


def asking(*questions: dict[str, Any], **session: Any) -> SessionRoster:
    return a_roster(questions=questions, **session)


def reason_for(roster: SessionRoster, answers: dict[str, object], **agent: Any) -> Reason | None:
    return answer_to(roster, a_seat_request(roster, an_agent(**agent), answers=answers)).reason


def kept(roster: SessionRoster) -> list[KeptAnswer]:
    return [answer for answers in roster.question_answers.values() for answer in answers]


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_is_kept_in_the_words_of_its_question_for_as_long_as_that_says(kind: str) -> None:
    question = a_question(kind=kind, kept_days=7)
    roster = asking(question)
    assert reason_for(roster, {"repas": KINDS[kind]}) is None
    assert kept(roster) == [KeptAnswer("repas", question["label"], KINDS[kind], 7)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_question_takes_no_answer_of_another_kind(kind: str) -> None:
    others = [value for other, value in KINDS.items() if other != kind]
    if kind == "text":
        others.remove(KINDS["choice"])
    for value in others:
        roster = asking(a_question(kind=kind))
        assert reason_for(roster, {"repas": value}) is Reason.ANSWER_NOT_EXPECTED, value
        assert kept(roster) == []


def test_a_choice_is_one_of_those_that_the_question_gives() -> None:
    assert reason_for(asking(a_question(kind="choice")), {"repas": "carné"}) is Reason.ANSWER_NOT_EXPECTED


def test_a_question_that_need_not_be_answered_may_be_left_out() -> None:
    assert reason_for(asking(a_question(), a_question("amenagement", "adjustment")), {}) is None


def test_a_question_is_only_for_the_functions_that_it_names() -> None:
    question = a_question(required=True, functions=["dirigeant"])
    assert reason_for(asking(question), {}) is None
    assert reason_for(asking(question), {"repas": True}) is Reason.ANSWER_NOT_EXPECTED
    assert reason_for(asking(question), {}, function="dirigeant") is Reason.ANSWER_MISSING


def test_a_refusal_says_which_question_or_which_answer_and_never_what_was_answered() -> None:
    roster = asking(a_question(required=True), a_question("salle", "text"))
    missing = answer_to(roster, a_seat_request(roster))
    assert missing.numbers["question"] == "repas"
    unasked = a_seat_request(roster, answers={"repas": True, "rqth": "oui"})
    assert answer_to(roster, unasked).numbers["answer"] == 1
    published = [decision.model_dump_json() for decision, _ in roster.decisions]
    assert not [event for event in published if "rqth" in event or "repas" in event]


def test_no_decision_says_what_was_answered() -> None:
    roster = asking(a_question(kind="adjustment"), approval="selection")
    answer_to(roster, a_seat_request(roster, answers={"repas": ["wheelchair_access"]}))
    [(decision, _)] = roster.decisions
    assert "wheelchair" not in decision.model_dump_json()


def test_what_else_refuses_comes_first_and_keeps_no_answer() -> None:
    full = asking(a_question(required=True), capacity=0, waiting_list="none")
    assert reason_for(full, {}) is Reason.SESSION_FULL
    assert reason_for(full, {"repas": True}) is Reason.SESSION_FULL
    assert kept(full) == []


def test_an_agent_who_is_refused_for_an_answer_may_ask_again() -> None:
    roster, agent = asking(a_question(required=True)), an_agent()
    assert answer_to(roster, a_seat_request(roster, agent)).reason is Reason.ANSWER_MISSING
    again = answer_to(roster, a_seat_request(roster, agent, answers={"repas": True}))
    assert (again.state, again.reason) == (State.ENROLLED, None)


def test_a_group_answers_no_questions() -> None:
    roster, members = asking(a_question(required=True)), agents(2)
    assert answer_to(roster, a_group_request(roster, members)).state == State.ENROLLED


def test_the_adjustment_is_one_of_a_list_so_that_nobody_writes_why() -> None:
    with pytest.raises(ValueError, match="value"):
        QuestionAnswer.model_validate({"question_id": "amenagement", "value": ["RQTH"]})


def test_refused_events_have_the_reason_alone() -> None:
    roster = asking(a_question(required=True))
    answer_to(roster, a_seat_request(roster))
    [(decision, _)] = roster.decisions
    assert isinstance(decision, EnrolmentRefused)
    assert decision.reason is Reason.ANSWER_MISSING
