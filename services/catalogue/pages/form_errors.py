"""A request names a field by path (``modules.0.ends_at``), a form as ``modules-0-ends_at``."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from services.catalogue.rules.refusals import Violation
from services.catalogue.service.failures import Impossible, PublishedDifferently
from shared.web.form_errors import FormError
from shared.web.spreadsheets import Fault

REQUIRED = FormError("required")
_INVALID = FormError("invalid")


_Command = TypeVar("_Command", bound=BaseModel)


class WrongForm(Exception):
    def __init__(self, errors: Mapping[str, FormError]) -> None:
        super().__init__(*errors)
        self.errors = errors


def command(kind: type[_Command], fields: Mapping[str, Any], errors: Mapping[str, FormError]) -> _Command:
    """Raises :class:`WrongForm`, also for the given ``errors``."""
    try:
        made = kind.model_validate(fields)
    except ValidationError as error:
        raise WrongForm({**of_request(error), **errors}) from error
    if errors:
        raise WrongForm(errors)
    return made


def of(error: Exception) -> Mapping[str, FormError]:
    """Raises ``error`` again if no form can cause it."""
    match error:
        case WrongForm():
            return error.errors
        case ValidationError():
            return of_request(error)
        case Impossible():
            return of_rules(error.violations)
        case PublishedDifferently():
            return {"url": FormError("address_taken")}
    raise error


def unreadable(field: str) -> FormError:
    return FormError(field) if field and not field.isdecimal() else _INVALID


def of_request(error: ValidationError) -> dict[str, FormError]:
    errors: dict[str, FormError] = {}
    for problem in error.errors(include_url=False):
        path = [str(step) for step in problem["loc"]]
        if problem["type"] == "missing":
            found = REQUIRED
        elif path[:2] == ["audience", "sirets"] and len(path) > 2:
            found = FormError("siret", str(problem["input"])[:40])
        elif path[:1] == ["trainers"]:
            found = FormError("trainers")
        else:
            found = unreadable(path[-1] if path else "")
        errors.setdefault(_form_field(path), found)
    return errors


def of_rules(violations: Sequence[Violation]) -> dict[str, FormError]:
    errors: dict[str, FormError] = {}
    for violation in violations:
        path = (violation.field or "").split(".")
        found = unreadable(path[-1]) if violation.code is None else FormError(violation.code)
        errors.setdefault(_form_field(path), found)
    return errors


def of_sheet(fault: Fault) -> FormError:
    return unreadable(fault.column or "") if fault.code == "invalid" else FormError(fault.code)


def _form_field(path: Sequence[str]) -> str:
    if path[2:] == ["question_id"]:
        return "-".join((*path[:2], "label"))
    if path[:1] in (["prerequisite"], ["trainers"]):
        return path[0]
    return "-".join(path[:2] if path[:1] == ["audience"] else path[:3])
