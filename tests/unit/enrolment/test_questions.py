"""Questions at enrolment: what is answered is kept for the organiser, and no decision says it."""

from typing import Any

import pytest

from services.enrolment.rules.questions import KeptAnswer
from services.enrolment.rules.session_roster import SessionRoster
from shared.events.portal import QuestionAnswer
from shared.events.reasons import Reason
from tests.support.builders import a_question
from tests.support.rosters import a_group_request, a_roster, a_seat_request, agents, answer_to

KINDS = {
    "text": "Une question sur les marchés publics",
    "choice": "végétarien",
    "yes_no": False,
    "number": 0,
    "adjustment": ["sign_language", "large_print"],
}
"""An answer that each kind of question takes."""
OTHER_KINDS = [
    (kind, value)
    for kind in KINDS
    for other, value in KINDS.items()
    if other != kind and (kind, other) != ("text", "choice")
]


def asking(*questions: dict[str, Any], **session: Any) -> SessionRoster:
    return a_roster(questions=questions, **session)


def reason_for(roster: SessionRoster, answers: dict[str, object]) -> Reason | None:
    return answer_to(roster, a_seat_request(roster, answers=answers)).reason


def kept(roster: SessionRoster) -> list[KeptAnswer]:
    return [answer for answers in roster.question_answers.values() for answer in answers]


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_is_kept_in_the_words_of_its_question_for_as_long_as_that_says(kind: str) -> None:
    question = a_question(kind=kind, kept_days=7)
    roster = asking(question)
    assert reason_for(roster, {"repas": KINDS[kind]}) is None
    assert kept(roster) == [KeptAnswer("repas", question["label"], KINDS[kind], 7)]


@pytest.mark.parametrize(("kind", "value"), [*OTHER_KINDS, ("choice", "carné")])
def test_a_question_takes_no_answer_of_another_kind(kind: str, value: object) -> None:
    roster = asking(a_question(kind=kind))
    assert reason_for(roster, {"repas": value}) is Reason.ANSWER_NOT_EXPECTED
    assert kept(roster) == []


@pytest.mark.parametrize(
    ("question", "answers", "reason"),
    [
        ({}, {}, None),
        ({}, {"autre": True}, Reason.ANSWER_NOT_EXPECTED),
        ({"required": True}, {"repas": True}, None),
        ({"required": True}, {}, Reason.ANSWER_MISSING),
        ({"required": True, "functions": ["agent"]}, {}, Reason.ANSWER_MISSING),
        ({"required": True, "functions": ["dirigeant"]}, {}, None),
        ({"functions": ["dirigeant"]}, {"repas": True}, Reason.ANSWER_NOT_EXPECTED),
    ],
)
def test_the_required_questions_of_the_function_are_answered_and_no_others(
    question: dict[str, Any], answers: dict[str, object], reason: Reason | None
) -> None:
    assert reason_for(asking(a_question(**question)), answers) is reason


def test_a_refusal_says_which_question_or_which_answer_and_never_what_was_answered() -> None:
    roster = asking(a_question(required=True), a_question("salle", "text"))
    assert answer_to(roster, a_seat_request(roster)).numbers["question"] == "repas"
    unasked = a_seat_request(roster, answers={"repas": True, "rqth": "oui"})
    assert answer_to(roster, unasked).numbers["answer"] == 1
    published = "".join(decision.model_dump_json() for decision, _ in roster.decisions)
    assert "rqth" not in published
    assert "repas" not in published


def test_no_decision_says_what_was_answered() -> None:
    roster = asking(a_question(kind="adjustment"), approval="selection")
    assert reason_for(roster, {"repas": ["wheelchair_access"]}) is None
    [(decision, _)] = roster.decisions
    assert "wheelchair" not in decision.model_dump_json()


@pytest.mark.parametrize("answers", [{}, {"repas": True}])
def test_what_else_refuses_comes_first_and_keeps_no_answer(answers: dict[str, object]) -> None:
    full = asking(a_question(required=True), capacity=0, waiting_list="none")
    assert reason_for(full, answers) is Reason.SESSION_FULL
    assert kept(full) == []


def test_a_group_answers_no_questions() -> None:
    roster = asking(a_question(required=True))
    assert answer_to(roster, a_group_request(roster, agents(2))).state == "enrolled"


def test_the_adjustment_is_one_of_a_list_so_that_nobody_writes_why() -> None:
    with pytest.raises(ValueError, match="value"):
        QuestionAnswer.model_validate({"question_id": "amenagement", "value": ["RQTH"]})
