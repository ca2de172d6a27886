"""The contracts as JSON Schemas in ``docs/asyncapi/schemas``, and what may not change in them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shared.events.index import EVENTS
from shared.events.vocabulary import Event

FOLDER = Path(__file__).parents[2] / "docs" / "asyncapi"


def schema(event: type[Event]) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of an event's data."""
    document = event.model_json_schema(mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **document, "title": event.TYPE}


_MEANING = (
    *("type", "format", "const", "enum", "pattern", "minLength", "maxLength", "minItems", "maxItems"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "not"),
)


def breaks(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return why a new schema might break old events or consumers.

    Fields may be added if they have a default. No field may be removed, retyped or become required.
    """
    return list(_breaks(old, new, (old.get("$defs", {}), new.get("$defs", {})), "data"))


def _breaks(
    old: dict[str, Any], new: dict[str, Any], defs: tuple[dict[str, Any], dict[str, Any]], where: str
) -> Iterator[str]:
    old, new = _resolve(old, defs[0]), _resolve(new, defs[1])
    for keyword in _MEANING:
        if keyword == "enum" and set(old.get("enum", ())) <= set(new.get("enum", ())):
            continue
        if old.get(keyword) != new.get(keyword):
            yield f"{where}: {keyword} was {old.get(keyword)!r} and is {new.get(keyword)!r}"
    old_fields, new_fields = old.get("properties", {}), new.get("properties", {})
    for name, field in old_fields.items():
        if name not in new_fields:
            yield f"{where}.{name}: was removed"
        else:
            yield from _breaks(field, new_fields[name], defs, f"{where}.{name}")
    for name in sorted(set(new.get("required", ())) - set(old.get("required", ()))):
        yield f"{where}.{name}: has no default" + ("" if name in old_fields else ", but is new")
    for keyword in ("anyOf", "oneOf", "prefixItems"):
        olds, news = old.get(keyword, []), new.get(keyword, [])
        if len(olds) != len(news):
            yield f"{where}: has {len(news)} alternatives, not {len(olds)}"
        for index, (before, after) in enumerate(zip(olds, news, strict=False)):
            yield from _breaks(before, after, defs, f"{where}[{index}]")
    if "items" in old or "items" in new:
        yield from _breaks(old.get("items", {}), new.get("items", {}), defs, f"{where}[]")


def _resolve(part: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    reference = part.get("$ref")
    return defs[reference.rpartition("/")[2]] if isinstance(reference, str) else part


def broken_promises(folder: Path = FOLDER) -> list[str]:
    """Return every way in which the code breaks a stored contract."""
    broken = []
    by_name = {f"{event.TYPE}.json": event for event in EVENTS}
    for path in sorted((folder / "schemas").glob("*.json")):
        event = by_name.get(path.name)
        if event is None:
            broken.append(f"{path.stem}: the event was removed")
        else:
            faults = breaks(json.loads(path.read_text()), schema(event))
            broken += [f"{path.stem}: {fault}" for fault in faults]
    return broken
