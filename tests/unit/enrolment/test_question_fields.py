"""The answers to a session's questions, as a form sends them."""

from typing import Any

import pytest

from services.enrolment.pages.questions import answers_of
from shared.events.catalogue import Question
from shared.web.forms import Form
from tests.support.builders import a_question


@pytest.mark.parametrize(
    ("kind", "typed", "value"),
    [
        ("choice", ["végétarien"], "végétarien"),
        ("yes_no", ["non"], False),
        ("number", [" 2 "], 2),
        ("text", ["Une ligne.\r\nUne autre."], "Une ligne.\nUne autre."),
        ("adjustment", ["large_print", "live_captions"], ["large_print", "live_captions"]),
    ],
)
def test_an_answer_has_the_type_of_its_question(kind: str, typed: list[str], value: object) -> None:
    answers, errors = _read(kind, typed)
    assert ([answer.model_dump(mode="json")["value"] for answer in answers], errors) == ([value], {})


@pytest.mark.parametrize(
    ("kind", "typed", "error"),
    [
        ("choice", [" "], "missing"),
        ("choice", ["du foin"], "choice"),
        ("yes_no", ["peut-être"], "yes_no"),
        ("number", ["deux"], "number"),
        ("number", ["9999999999"], "number"),
        ("text", ["x" * 1001], "text"),
        ("adjustment", ["un trône"], "adjustment"),
    ],
)
def test_what_is_no_answer_is_an_error_of_its_field(kind: str, typed: list[str], error: str) -> None:
    assert _read(kind, typed) == ((), {"question-repas": error})


def _read(kind: str, typed: list[str]) -> Any:
    question = Question.model_validate(a_question("repas", kind, required=True))
    return answers_of([question], Form([("question-repas", value) for value in typed]))
