"""The steps of the form of a session. Each page shows one step; the fields of the others travel unseen."""

from collections.abc import Mapping
from enum import StrEnum

from services.catalogue.pages import form_rows
from shared.web.form_errors import FormErrors


class FormStep(StrEnum):
    WHAT = "quoi"
    WHEN = "quand"
    WHERE = "ou"
    SEATS = "places"
    AUDIENCE = "public"


NAMES: Mapping[FormStep, str] = {
    FormStep.WHAT: "Quoi",
    FormStep.WHEN: "Quand",
    FormStep.WHERE: "Où",
    FormStep.SEATS: "Places",
    FormStep.AUDIENCE: "Pour qui",
}
PLACE = "etape"
_FIELDS: Mapping[FormStep, tuple[str, ...]] = {
    FormStep.WHEN: (
        *("modules", "starts_at", "ends_at"),
        *("enrolment_opens_at", "enrolment_closes_at", "timezone"),
    ),
    FormStep.WHERE: (
        *("venue", "street", "postal_code", "commune"),
        *("directions", "join_url", "evaluation_url", "towns"),
    ),
    FormStep.SEATS: (
        *("capacity", "illimite", "minimum", "quota_per_authority", "reserved_seats"),
        *("waiting_list", "offer_hold_hours", "approval"),
    ),
    FormStep.AUDIENCE: ("audience", "prerequisite", "questions", "publier"),
}
_STEP_OF = {name: step for step, names in _FIELDS.items() for name in names}


def step_of(field: str) -> FormStep:
    return _STEP_OF.get(field.partition("-")[0], FormStep.WHAT)


def named(text: str) -> FormStep | None:
    return FormStep(text) if text in set(FormStep) else None


def target(form: Mapping[str, str]) -> FormStep | None:
    """Return the step that the pressed button leads to, or None for another button."""
    kind, _, step = form.get(form_rows.BUTTON, "").partition("-")
    return named(step) if kind == PLACE else None


def shown(form: Mapping[str, str], asked: FormStep | None, errors: FormErrors) -> tuple[FormStep, FormErrors]:
    """Return the step to show with its errors.

    From a step with errors the user can only go back. A form that was to be saved shows the first step
    with an error.
    """
    current, towards = named(form.get(PLACE, "")) or asked or FormStep.WHAT, target(form)
    wrong = [step for step in FormStep if any(name and step_of(name) is step for name in errors)]
    order = list(FormStep)
    if towards is not None and (current not in wrong or order.index(towards) < order.index(current)):
        return towards, {}
    step = current if towards is not None or not wrong else wrong[0]
    return step, {name: error for name, error in errors.items() if not name or step_of(name) is step}
