"""What is wrong with a form, by its fields: codes here, their sentences in ``erreurs.html`` of a service."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
    return {"errors": beside, "listed_errors": _listed(beside, order)}


def _listed(errors: Mapping[str, str], order: Sequence[str]) -> list[tuple[str | None, str]]:
    """Each error, for the list above the form in the ``order`` of its fields; first what is no field's.

    A row's field (``modules-0-title``) stands where its rows do.
    """
    ranks = {name: number for number, name in enumerate(order)}

    def rank(name: str) -> int:
        return ranks.get(name.partition("-")[0], -1)

    return [(name if rank(name) >= 0 else None, errors[name]) for name in sorted(errors, key=rank)]


def sentence(rendering: Rendering, error: FormError) -> str:
    """An error in French. Raises KeyError for a code without a sentence."""
    table: dict[str, str] = rendering.module("erreurs.html").errors
    return table[error.code].format(error.quoted)
