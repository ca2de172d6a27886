from typing import Any

from local.portal.forms import Form
from local.portal.offer import Session


def field_of(question: dict[str, Any]) -> str:
    return f"question-{question['question_id']}"


def is_asked(question: dict[str, Any], function: str) -> bool:
    return not question["functions"] or function in question["functions"]


def answers(session: Session, form: Form, function: str) -> list[dict[str, Any]]:
    """Return the answers to send. An answer that is missing or wrong is an error of the form."""
    given: list[dict[str, Any]] = []
    for question in session.get("questions", ()):
        if not is_asked(question, function):
            continue
        name = field_of(question)
        try:
            value = _value(question, form[name].strip(), form.getlist(name))
        except ValueError as error:
            form.errors[name] = str(error)
            continue
        if value is not None:
            given.append({"question_id": question["question_id"], "value": value})
        elif question["required"]:
            form.errors[name] = f"Répondez à la question « {question['label']} »."
    return given


def _value(question: dict[str, Any], text: str, ticked: list[str]) -> Any:
    """Return None if the question was not answered. Raises ``ValueError``."""
    match question["kind"]:
        case "adjustment":
            return sorted(set(ticked)) or None
        case "yes_no":
            return {"oui": True, "non": False}.get(text)
        case "number" if text:
            if not (text.isascii() and text.isdigit() and len(text) < 7):
                raise ValueError("Indiquez un nombre entier.")
            return int(text)
        case "text" if len(text) > 1000:
            raise ValueError("1 000 caractères au plus.")
        case "choice" if text and text not in question["choices"]:
            raise ValueError("Choisissez une réponse.")
        case _:
            return text or None
