import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_type_hints
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from services.catalogue.rules.offers import Terms
from services.catalogue.rules.sessions import Plan, ShownSession
from shared.events.vocabulary import Format, Status

_OF_SESSIONS: dict[str, Any] = {
    "status": Status,
    "reference": str,
    **get_type_hints(Plan),
    # The log keeps only their ids.
    "trainers": tuple[UUID, ...],
    "summary": str,
    "experts": tuple[str, ...],
    "template": str,
}
_OF_OFFERS: dict[str, Any] = {
    "offer_id": str,
    "format": Format,
    "themes": tuple[str, ...],
    "source": str,
    "choices": tuple[str, ...],
    "closes_days_before": Terms.model_fields["closes_days_before"].annotation,
}
_VALUES: dict[str, TypeAdapter[Any]] = {
    field: TypeAdapter(kind) for field, kind in (_OF_OFFERS | _OF_SESSIONS).items()
}
_NOTHING: tuple[Any, ...] = (None, [], "")
_ORDER = {field: number for number, field in enumerate(_VALUES)}


@dataclass(frozen=True, slots=True)
class FieldChange:
    """None means no value.

    Of a list, ``before`` has the removed and ``after`` the added items. An unreadable value is the text of
    the log.
    """

    field: str
    before: Any
    after: Any


def field_changes(changes: Mapping[str, Sequence[Any]]) -> list[FieldChange]:
    pairs = {field: (pair[0], pair[1]) for field, pair in changes.items() if field != "terms"}
    before, after = changes.get("terms", (None, None))
    for field in {**(before or {}), **(after or {})}:
        pairs[field] = ((before or {}).get(field), (after or {}).get(field))
    found = [
        _change(field, _read(field, old), _read(field, new))
        for field, (old, new) in pairs.items()
        if old != new and not (old in _NOTHING and new in _NOTHING)
    ]
    return sorted(found, key=lambda change: (_ORDER.get(change.field, len(_ORDER)), change.field))


def session_changes(before: ShownSession, after: ShownSession, fields: Iterable[str]) -> list[FieldChange]:
    return [_change(field, before.value_of(field), after.value_of(field)) for field in fields]


def _change(field: str, before: Any, after: Any) -> FieldChange:
    if isinstance(before, tuple) and isinstance(after, tuple):
        taken = tuple(item for item in before if item not in after)
        put = tuple(item for item in after if item not in before)
        # Nothing added or removed: the order has changed, so both lists are shown whole.
        before, after = (taken, put) if taken or put else (before, after)
    return FieldChange(field, before, after)


def _read(field: str, value: Any) -> Any:
    if value is None:
        return None
    try:
        return _VALUES[field].validate_python(value)
    except (KeyError, ValidationError):
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
