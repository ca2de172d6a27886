"""Rows of a form: séances, reserved seats, questions, and towns of a series; without a script.

Fields of a row have names such as ``modules-0-title``. A séance ends at a time of day, on the day of its
start or on its ``last_day``.
"""

import re
from collections.abc import Mapping

from shared.events.vocabulary import Function

ROWS: Mapping[str, tuple[str, ...]] = {
    "modules": ("title", "starts_at", "ends_at", "last_day"),
    "reserved_seats": ("delegation", "seats", "release_at"),
    "questions": (
        *("question_id", "kind", "label", "choices", "required"),
        *(function.value for function in Function),
        "kept_days",
    ),
}
TOWNS: Mapping[str, tuple[str, ...]] = {"towns": ("town", "venue", "delegation", "starts_at", "capacity")}
_GROUPS = {**ROWS, **TOWNS}
_CARRIED = "question_id"
BUTTON = "ligne"

FormRow = Mapping[str, str]

_FIELD = re.compile(rf"({'|'.join(_GROUPS)})-([0-9]{{1,3}})-([a-z_]+)")
_PRESSED = re.compile(rf"(?:ajouter-({'|'.join(_GROUPS)})|retirer-({'|'.join(_GROUPS)})-([0-9]{{1,3}}))")


def group_of(name: str) -> str | None:
    match = _FIELD.fullmatch(name)
    return match[1] if match and match[3] in _GROUPS[match[1]] else None


def used(form: Mapping[str, str], group: str) -> list[FormRow] | None:
    """Return None if the form has no rows of the group."""
    every = _every(form, group)
    return [row for row in every if _is_used(row)] if every else None


def shown(
    form: Mapping[str, str],
    button: str = "",
    *,
    blank: int = 1,
    groups: Mapping[str, tuple[str, ...]] = ROWS,
) -> dict[str, list[FormRow]]:
    """Return the used rows, then blank ones: at least ``blank`` rows in all.

    The pressed ``button`` adds or removes a row.
    """
    pressed = _PRESSED.fullmatch(button)
    rows = {group: _every(form, group) for group in groups}
    if pressed and pressed[1] in rows:
        rows[pressed[1]].append(_blank(pressed[1]))
    elif pressed and pressed[2] in rows:
        del rows[pressed[2]][int(pressed[3]) : int(pressed[3]) + 1]
    for group, shown_rows in rows.items():
        shown_rows.sort(key=lambda row: not _is_used(row))
        shown_rows += [_blank(group) for _ in range(blank - len(shown_rows))]
    return rows


def named(rows: list[FormRow], group: str) -> dict[str, str]:
    return {f"{group}-{number}-{name}": text for number, row in enumerate(rows) for name, text in row.items()}


def _every(form: Mapping[str, str], group: str) -> list[FormRow]:
    matches = [match for name in form if (match := _FIELD.fullmatch(name)) and match[1] == group]
    return [
        {name: form.get(f"{group}-{number}-{name}", "").strip() for name in _GROUPS[group]}
        for number in sorted({int(match[2]) for match in matches})
    ]


def _is_used(row: FormRow) -> bool:
    return any(text for name, text in row.items() if name != _CARRIED)


def _blank(group: str) -> FormRow:
    return dict.fromkeys(_GROUPS[group], "")
