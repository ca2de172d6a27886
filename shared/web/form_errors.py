"""Errors of a form by field: codes here, French sentences in a service's ``erreurs.html``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.web.rendering import Rendering


@dataclass(frozen=True, slots=True)
class FormError:
    """``quoted`` is the value in the sentence."""

    code: str
    quoted: object = ""


FormErrors = Mapping[str, FormError]
"""The key "" is for an error of no field."""


def sentences(rendering: Rendering, errors: FormErrors) -> dict[str, str]:
    return {field: sentence(rendering, error) for field, error in errors.items()}


def shown_errors(rendering: Rendering, errors: FormErrors, order: Sequence[str]) -> dict[str, Any]:
    beside = sentences(rendering, errors)
    return {"errors": beside, "listed_errors": _listed(beside, order)}


def _listed(errors: Mapping[str, str], order: Sequence[str]) -> list[tuple[str | None, str]]:
    """Errors of no field come first. The field of a row (``modules-0-title``) has the place of its rows."""
    ranks = {name: number for number, name in enumerate(order)}

    def rank(name: str) -> int:
        return ranks.get(name.partition("-")[0], -1)

    return [(name if rank(name) >= 0 else None, errors[name]) for name in sorted(errors, key=rank)]


def sentence(rendering: Rendering, error: FormError) -> str:
    """Raises KeyError for a code without a sentence."""
    table: dict[str, str] = rendering.module("erreurs.html").errors
    return table[error.code].format(error.quoted)
