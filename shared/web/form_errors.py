"""What is wrong with a form, by its fields: codes here, their sentences in ``erreurs.html`` of a service."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.web.forms import in_order
from shared.web.rendering import Rendering


@dataclass(frozen=True, slots=True)
class FormError:
    """An entry of ``erreurs.html``, and what its sentence quotes, if anything."""

    code: str
    quoted: object = ""


FormErrors = Mapping[str, FormError]
"""By field; under "" what is no field's."""


def sentences(rendering: Rendering, errors: FormErrors) -> dict[str, str]:
    """The errors in French, as pages show them."""
    return {field: sentence(rendering, error) for field, error in errors.items()}


def shown_errors(rendering: Rendering, errors: FormErrors, order: Sequence[str]) -> dict[str, Any]:
    """The errors of a form as its template has them: beside their fields, and above it in ``order``."""
    beside = sentences(rendering, errors)
    return {"errors": beside, "listed_errors": in_order(beside, order)}


def sentence(rendering: Rendering, error: FormError) -> str:
    """An error in French. Raises KeyError for a code without a sentence."""
    table: dict[str, str] = rendering.module("erreurs.html").errors
    return table[error.code].format(error.quoted)
