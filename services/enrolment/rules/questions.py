from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.events.catalogue import Question
from shared.events.portal import QuestionAnswer
from shared.events.reasons import Reason
from shared.events.vocabulary import Function, QuestionKind


@dataclass(frozen=True, slots=True)
class AnswersFault:
    """Name an answer by its index from 0, because its content is confidential."""

    reason: Reason
    numbers: Mapping[str, int | str]


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """``value`` is the contract's JSON. ``kept_days`` count from the session's end."""

    question_id: str
    question: str
    value: Any
    kept_days: int


def asked_of(questions: Sequence[Question], function: Function) -> list[Question]:
    return [question for question in questions if not question.functions or function in question.functions]


def answers_fault(
    questions: Sequence[Question], function: Function, answers: Sequence[QuestionAnswer]
) -> AnswersFault | None:
    """Return why the answers of a request for a seat are refused, or None if they are accepted."""
    if not questions and not answers:
        return None
    question_of = {question.question_id: question for question in asked_of(questions, function)}
    for number, answer in enumerate(answers):
        question = question_of.get(answer.question_id)
        if question is None or not takes(question, answer.value):
            return AnswersFault(Reason.ANSWER_NOT_EXPECTED, {"answer": number})
    answered = {answer.question_id for answer in answers}
    for question in question_of.values():
        if question.required and question.question_id not in answered:
            return AnswersFault(Reason.ANSWER_MISSING, {"question": question.question_id})
    return None


def kept_answers(questions: Sequence[Question], answers: Sequence[QuestionAnswer]) -> list[KeptAnswer]:
    question_of = {question.question_id: question for question in questions}
    return [
        KeptAnswer(
            answer.question_id,
            question_of[answer.question_id].label,
            answer.model_dump(mode="json")["value"],
            question_of[answer.question_id].kept_days,
        )
        for answer in answers
    ]


def takes(question: Question, value: object) -> bool:
    match question.kind:
        case QuestionKind.TEXT:
            return isinstance(value, str)
        case QuestionKind.CHOICE:
            return value in question.choices
        case QuestionKind.YES_NO:
            return isinstance(value, bool)
        case QuestionKind.NUMBER:
            return isinstance(value, int) and not isinstance(value, bool)
        case QuestionKind.ADJUSTMENT:
            return isinstance(value, tuple)
