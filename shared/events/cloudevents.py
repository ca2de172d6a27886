"""CloudEvents 1.0 in Kafka records: binary mode both ways, structured mode inwards.

Source: CloudEvents 1.0.2 and its Kafka protocol binding. Nothing here does I/O; what cannot be read
raises :class:`Unreadable`, which tells an operator why.
"""

import base64
import json
import re
from collections.abc import Iterable, Mapping
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
    """A record that is not a CloudEvent of its topic, or whose data breaks its contract.

    ``event_type`` is what it says of itself, where it says so.
    """

    event_type: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A Kafka record as it came, and when it was received.

    ``received_at`` is the broker's word where it stamps (LogAppendTime); else the time of reading, since
    the sender's clock is not to be trusted.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Received(Generic[E_co]):
    """An event that was read from a record.

    ``id`` is the same each time the event is delivered. ``time`` is the sender's clock, for people to read;
    nothing is decided by it. ``traceparent`` is the W3C trace context, where there is a valid one.
    """

    event: E_co
    id: UUID
    source: str
    record: Record
    time: datetime | None = None
    traceparent: str | None = None

    @property
    def topic(self) -> str:
        return self.record.topic

    @property
    def received_at(self) -> datetime:
        return self.record.received_at


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


def decode(record: Record) -> Received[Event] | None:
    """Read one record: None where its type is not known to this version. Raises :class:`Unreadable`."""
    header = _readable(record.headers)
    try:
        return _decode(record, header)
    except Unreadable as error:
        error.event_type = error.event_type or header.get("ce_type")
        raise


def _readable(headers: Iterable[tuple[str, bytes | None]]) -> dict[str, str]:
    """The headers that are text; a null or one that is not UTF-8 counts as absent."""
    readable = {}
    for name, value in headers:
        if value is not None:
            try:
                readable[name.lower()] = value.decode()
            except UnicodeDecodeError:
                continue
    return readable


def _decode(record: Record, header: Mapping[str, str]) -> Received[Event] | None:
    value = record.value
    if value is None:
        raise Unreadable("the value is null (a tombstone), but an event always has data")
    media_type = header.get("content-type", JSON).partition(";")[0].strip().lower()
    traceparent = header.get("traceparent")
    if media_type == STRUCTURED:
        if not record.topic.startswith("portal."):
            raise Unreadable(f"structured mode ({STRUCTURED}) is only accepted on portal topics")
        attributes, value = _unwrap(value)
        media_type = attributes.get("datacontenttype", JSON).partition(";")[0].strip().lower()
        traceparent = attributes.get("traceparent") or traceparent
    else:
        attributes = {name[3:]: text for name, text in header.items() if name.startswith("ce_")}
    for required in ("specversion", "id", "type", "source"):
        if not attributes.get(required):
            raise Unreadable(f"the CloudEvents attribute {required!r} is missing (header ce_{required})")
    if attributes["specversion"] != "1.0":
        raise Unreadable(f"CloudEvents {_quote(attributes['specversion'])} is not 1.0")
    contract = BY_TYPE.get(attributes["type"])
    if contract is None:
        return None
    if media_type != JSON:
        raise Unreadable(f"the content type is {_quote(media_type)}, not {JSON}")
    event_id = _id(attributes["id"])
    event = _event(contract, value)
    if record.topic != contract.TOPIC:
        misplaced = Unreadable(f"{contract.TYPE} belongs on {contract.TOPIC}, not on {record.topic}")
        misplaced.event_type = contract.TYPE
        raise misplaced
    if traceparent is not None and not _TRACEPARENT.fullmatch(traceparent):
        traceparent = None
    return Received(event, event_id, attributes["source"], record, _time(attributes.get("time")), traceparent)


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Unreadable(f"ce_id {_quote(text)} is not a UUID") from None


def _event(contract: type[Event], value: bytes) -> Event:
    try:
        return contract.model_validate_json(value)
    except ValidationError as error:
        raise Unreadable(_explain(contract, error)) from None


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
