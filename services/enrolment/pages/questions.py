from collections.abc import Sequence

from pydantic import ValidationError

from services.enrolment.rules.questions import takes
from shared.events.catalogue import Question
from shared.events.portal import QuestionAnswer
from shared.events.vocabulary import QuestionKind
from shared.web.forms import Form

MISSING = "missing"


def field_of(question: Question) -> str:
    return f"question-{question.question_id}"


def answers_of(
    questions: Sequence[Question], form: Form
) -> tuple[tuple[QuestionAnswer, ...], dict[str, str]]:
    answers, errors = [], {}
    for question in questions:
        value = _value(question, form)
        if value is None:
            if question.required:
                errors[field_of(question)] = MISSING
            continue
        try:
            answer = QuestionAnswer.model_validate({"question_id": question.question_id, "value": value})
        except ValidationError:
            answer = None
        if answer is None or not takes(question, answer.value):
            errors[field_of(question)] = question.kind.value
        else:
            answers.append(answer)
    return tuple(answers), errors


def _value(question: Question, form: Form) -> object:
    """Return a typed value in the question's type, as text if it is invalid, or None if empty."""
    if question.kind is QuestionKind.ADJUSTMENT:
        return form.every(field_of(question)) or None
    typed = "\n".join(form.typed(field_of(question)).splitlines())
    if question.kind is QuestionKind.YES_NO:
        return {"oui": True, "non": False}.get(typed, typed) if typed else None
    if question.kind is QuestionKind.NUMBER and typed.isascii() and typed.isdigit() and len(typed) < 10:
        return int(typed)
    return typed or None
