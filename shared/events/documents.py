"""The contracts as documents: JSON Schemas and AsyncAPI 3.0, written to ``docs/asyncapi``.

``python -m shared.events.documents write`` writes them and refuses to when a v1 contract would break;
``check`` says whether they are as the code is.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shared.events import EVENTS, Event
from shared.events.topics import TOPICS, Topic

FOLDER = Path(__file__).parents[2] / "docs" / "asyncapi"
SERVICES = ("catalogue", "enrolment", "notifier")

ENVELOPE = {
    "type": "object",
    "required": ["ce_specversion", "ce_id", "ce_type", "ce_source"],
    "properties": {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {"type": "string", "format": "uuid", "description": "The same at every delivery."},
        "ce_type": {"type": "string"},
        "ce_source": {"type": "string", "examples": ["/portals/rennes", "/services/enrolment"]},
        "ce_time": {"type": "string", "format": "date-time"},
        "ce_subject": {"type": "string", "description": "The record's key."},
        "content-type": {"const": "application/json"},
        "traceparent": {"type": "string"},
    },
}


def schema(event: type[Event]) -> dict[str, Any]:
    """The JSON Schema (2020-12) of an event's data, as a consumer reads it."""
    document = event.model_json_schema(mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **document, "title": event.TYPE}


def asyncapi(service: str) -> dict[str, Any]:
    """What ``service`` publishes and listens to, as an AsyncAPI 3.0 document."""
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    schemas: dict[str, Any] = {"Envelope": ENVELOPE}
    for topic, settings in TOPICS.items():
        publishes, listens = topic.publisher == service, service in settings.listeners
        if not (publishes or listens):
            continue
        events = [event for event in EVENTS if topic == event.TOPIC]
        channels[topic.value] = {
            "address": topic.value,
            "description": f"Key: {settings.key}.",
            "messages": {e.__name__: {"$ref": f"#/components/messages/{e.__name__}"} for e in events},
            "bindings": {"kafka": {"partitions": settings.partitions, "topicConfiguration": _cleanup(topic)}},
        }
        operations[f"{'publish' if publishes else 'receive'}.{topic.value}"] = {
            "action": "send" if publishes else "receive",
            "channel": {"$ref": f"#/channels/{topic.value}"},
        }
        messages |= {event.__name__: _message(event, schemas) for event in events}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": f"Parcours – {service}", "version": "1"},
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": schemas},
    }


def documents() -> dict[Path, str]:
    """Every document, by its path under ``docs/asyncapi``."""
    files = {Path("schemas") / f"{event.TYPE}.json": _text(schema(event)) for event in EVENTS}
    return files | {Path(f"{service}.json"): _text(asyncapi(service)) for service in SERVICES}


_MEANING = (
    *("type", "format", "const", "enum", "pattern", "minLength", "maxLength", "minItems", "maxItems"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
)
"""What a schema says of one value; none of it may change."""


def breaks(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Why an event written under ``old`` might not be read under ``new``, or a consumer of ``old`` fail.

    Fields may be added if they have a default; nothing may be removed, retyped or become required.
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


def _cleanup(topic: Topic) -> dict[str, Any]:
    config = TOPICS[topic].broker_config
    cleanup: dict[str, Any] = {"cleanup.policy": [config["cleanup.policy"]]}
    if "retention.ms" in config:
        cleanup["retention.ms"] = int(config["retention.ms"])
    return cleanup


def _message(event: type[Event], schemas: dict[str, Any]) -> dict[str, Any]:
    """The message of an event; what its schema refers to is added to ``schemas``.

    A reference is looked up from the root of the document, so the schema cannot keep its own ``$defs``.
    """
    payload = event.model_json_schema(mode="validation", ref_template="#/components/schemas/{model}")
    schemas |= payload.pop("$defs", {})
    return {
        "name": event.TYPE,
        "summary": (event.__doc__ or "").partition("\n")[0],
        "headers": {"$ref": "#/components/schemas/Envelope"},
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": payload | {"title": event.TYPE},
        },
    }


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, indent=2, sort_keys=True) + "\n"


def broken_promises() -> list[str]:
    """Every way in which the code breaks a contract that is stored."""
    broken = []
    by_name = {f"{event.TYPE}.json": event for event in EVENTS}
    for path in sorted((FOLDER / "schemas").glob("*.json")):
        event = by_name.get(path.name)
        if event is None:
            broken.append(f"{path.stem}: the event was removed")
        else:
            faults = breaks(json.loads(path.read_text()), schema(event))
            broken += [f"{path.stem}: {fault}" for fault in faults]
    return broken


def differing() -> list[Path]:
    """The stored documents that are not as the code is."""
    return [
        path
        for path, text in documents().items()
        if not (FOLDER / path).exists() or (FOLDER / path).read_text() != text
    ]


def main(arguments: list[str]) -> int:
    """Write or check; returns the exit code."""
    if arguments not in (["write"], ["check"]):
        sys.stderr.write("usage: python -m shared.events.documents write|check\n")
        return 2
    broken = broken_promises()
    for line in broken:
        sys.stderr.write(f"{line}\n")
    if broken:
        sys.stderr.write("A v1 contract may only gain fields with a default: publish a .v2 beside it.\n")
        return 1
    if arguments == ["check"]:
        different = differing()
        for path in different:
            sys.stderr.write(f"docs/asyncapi/{path} is not as the code is: run 'make contracts'\n")
        return 1 if different else 0
    for path, text in documents().items():
        (FOLDER / path).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / path).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
