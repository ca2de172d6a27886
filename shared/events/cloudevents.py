"""CloudEvents 1.0 in Kafka records: binary mode both ways, structured mode inwards.

Source: CloudEvents 1.0.2 and its Kafka protocol binding. Nothing here does I/O; what cannot be read
raises :class:`Unreadable`, which says why in words an operator can act on.
"""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

from pydantic import ValidationError

from shared.events import BY_TYPE, Event

JSON = "application/json"
STRUCTURED = "application/cloudevents+json"

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_QUOTED = 80
"""Characters of an attribute that a reason quotes."""

E_co = TypeVar("E_co", bound=Event, covariant=True)


class Unreadable(ValueError):
    """A record that is not a CloudEvent, or whose data breaks its contract."""


@dataclass(frozen=True, slots=True)
class Envelope(Generic[E_co]):
    """An event and where it comes from.

    ``time`` is the sender's clock, for people to read; nothing is decided by it. ``traceparent`` is the
    W3C trace context, where there is a valid one.
    """

    id: UUID
    source: str
    time: datetime | None
    data: E_co
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class UnknownType:
    """A well-formed CloudEvent of a type this version does not know: to be ignored."""

    type: str


def headers(
    *,
    event_id: UUID,
    event_type: str,
    source: str,
    time: datetime,
    subject: str,
    traceparent: str | None = None,
) -> list[tuple[str, bytes]]:
    """The binary-mode headers of an event that we publish."""
    attributes = [
        ("ce_specversion", "1.0"),
        ("ce_id", str(event_id)),
        ("ce_type", event_type),
        ("ce_source", source),
        ("ce_time", time.isoformat().replace("+00:00", "Z")),
        ("ce_subject", subject),
        ("content-type", JSON),
    ]
    if traceparent is not None:
        attributes.append(("traceparent", traceparent))
    return [(name, value.encode()) for name, value in attributes]


def decode(
    header: Mapping[str, str], value: bytes | None, *, structured: bool
) -> Envelope[Event] | UnknownType:
    """Read one record.

    ``header`` holds the record's headers, names in lower case. ``structured`` says whether structured mode is
    accepted here (on ``portal.*``). Raises :class:`Unreadable`.
    """
    if value is None:
        raise Unreadable("the value is null (a tombstone), but an event always has data")
    media_type = header.get("content-type", JSON).partition(";")[0].strip().lower()
    if media_type == STRUCTURED:
        if not structured:
            raise Unreadable(f"structured mode ({STRUCTURED}) is only accepted on portal topics")
        attributes, value = _unwrap(value)
        media_type = attributes.get("datacontenttype", JSON).partition(";")[0].strip().lower()
        traceparent = attributes.get("traceparent") or header.get("traceparent")
    else:
        attributes = {name[3:]: text for name, text in header.items() if name.startswith("ce_")}
        traceparent = header.get("traceparent")
    return _envelope(attributes, media_type, value, traceparent)


def _envelope(
    attributes: Mapping[str, str], media_type: str, value: bytes, traceparent: str | None
) -> Envelope[Event] | UnknownType:
    for required in ("specversion", "id", "type", "source"):
        if not attributes.get(required):
            raise Unreadable(f"the CloudEvents attribute {required!r} is missing (header ce_{required})")
    if attributes["specversion"] != "1.0":
        raise Unreadable(f"CloudEvents {_quote(attributes['specversion'])} is not 1.0")
    contract = BY_TYPE.get(attributes["type"])
    if contract is None:
        return UnknownType(attributes["type"])
    if media_type != JSON:
        raise Unreadable(f"the content type is {_quote(media_type)}, not {JSON}")
    try:
        event_id = UUID(attributes["id"])
    except ValueError:
        raise Unreadable(f"ce_id {_quote(attributes['id'])} is not a UUID") from None
    try:
        data = contract.model_validate_json(value)
    except ValidationError as error:
        raise Unreadable(_explain(contract, error)) from None
    trace = traceparent if traceparent is not None and _TRACEPARENT.fullmatch(traceparent) else None
    return Envelope(event_id, attributes["source"], _time(attributes.get("time")), data, trace)


def _time(text: str | None) -> datetime | None:
    """The sender's time, or None where it is absent or unreadable: it decides nothing."""
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _unwrap(value: bytes) -> tuple[dict[str, str], bytes]:
    """The attributes and the data of a structured-mode value."""
    try:
        document = json.loads(value)
    except (ValueError, RecursionError) as error:  # the latter: brackets in brackets without end
        raise Unreadable(f"the structured CloudEvent is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise Unreadable("the structured CloudEvent is not a JSON object")
    attributes = {name: text for name, text in document.items() if isinstance(text, str)}
    if "data_base64" in document:
        try:
            return attributes, base64.b64decode(document["data_base64"], validate=True)
        except (ValueError, TypeError) as error:
            raise Unreadable(f"data_base64 is not base64: {error}") from None
    if "data" not in document:
        raise Unreadable("the structured CloudEvent has no data")
    return attributes, json.dumps(document["data"]).encode()


def _quote(text: str) -> str:
    return repr(text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…")


_BAD_TEXT = "has control characters, line breaks, or not the form that the contract asks for"


def _explain(contract: type[Event], error: ValidationError) -> str:
    """What is wrong with the data: which field and why, never the value, which may be personal."""
    faults = [
        f"{'.'.join(str(part) for part in fault['loc']) or 'value'}: "
        + (_BAD_TEXT if fault["type"] == "string_pattern_mismatch" else fault["msg"])
        for fault in error.errors(include_url=False, include_input=False, include_context=False)[:5]
    ]
    more = error.error_count() - len(faults)
    return f"{contract.TYPE}: " + "; ".join(faults) + (f"; and {more} more" if more > 0 else "")
