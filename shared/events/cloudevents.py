"""CloudEvents 1.0 in Kafka records: binary mode both ways, structured mode for incoming records.

Source: CloudEvents 1.0.2 and its Kafka protocol binding. Nothing here does I/O. An unreadable record raises
:class:`Unreadable`, which tells an operator why.
"""

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Generic, TypeVar
from uuid import UUID

from pydantic import ValidationError

from shared.events.faults import sentence_of
from shared.events.index import BY_TYPE
from shared.events.topics import is_of_portals
from shared.events.vocabulary import Event, FieldProblem, SendingPortal

JSON = "application/json"
STRUCTURED = "application/cloudevents+json"
NOWHERE = -1
"""The partition and offset of an event that came by HTTP."""

MAX_VALUES = 250_000
"""Counted by commas. Reading more takes a second; a group of 500 has 5,000."""

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_QUOTED = 40
"""Characters. Escaped they are ten times as many, and a problem's message has 500."""
_PROBLEMS = 5

E_co = TypeVar("E_co", bound=Event, covariant=True)


class Unreadable(ValueError):
    """The record is no CloudEvent of its topic, or its data breaks its contract.

    ``attributes`` are the readable attributes, ``problems`` the faults of the data.
    """

    attributes: Mapping[str, str] = MappingProxyType({})

    def __init__(self, why: str, problems: Sequence[FieldProblem] = ()) -> None:
        super().__init__(why)
        self.problems = problems

    @property
    def event_type(self) -> str | None:
        return self.attributes.get("type")


@dataclass(frozen=True, slots=True)
class Record:
    """A Kafka record, or an event by HTTP in the same form, and when it was received.

    ``received_at`` is the stamp of the broker (LogAppendTime). Without a stamp it is the time of reading,
    because the sender's clock is not trusted. For records that a service signed, and so for all that came by
    HTTP, it is the signed ``ce_time``: the moment of acceptance. ``unread`` says why the client could read
    nothing.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    received_at: datetime
    unread: str | None = None


@dataclass(frozen=True, slots=True)
class Envelope:
    """A CloudEvent whose data is not read yet.

    ``headers`` are the record's text headers, by name in lower case.
    """

    attributes: Mapping[str, str]
    headers: Mapping[str, str]
    event_id: UUID
    data: bytes
    media_type: str
    traceparent: str | None

    @property
    def event_type(self) -> str:
        return self.attributes["type"]

    @property
    def source(self) -> str:
        return self.attributes["source"]


@dataclass(frozen=True, slots=True)
class Received(Generic[E_co]):
    """An event that was read from a record.

    ``source`` and ``id`` are the same at every delivery. ``time`` is the sender's clock, for people to read;
    ``received_at`` decides deadlines. ``traceparent`` is the W3C trace context, if valid. ``sender`` is the
    portal that sent the event, or None for our own services.
    """

    event: E_co
    id: UUID
    source: str
    record: Record
    time: datetime | None = None
    traceparent: str | None = None
    sender: SendingPortal | None = None

    @property
    def identity(self) -> tuple[str, UUID]:
        """CloudEvents promises no more: two sources may use the same ``id``."""
        return self.source, self.id

    def within(self, traceparent: str | None) -> "Received[E_co]":
        """This takes a third of the time of ``dataclasses.replace``."""
        return Received(self.event, self.id, self.source, self.record, self.time, traceparent, self.sender)

    @property
    def portal(self) -> str | None:
        return None if self.sender is None else self.sender.portal

    @property
    def issuer(self) -> str:
        """Return "" if no portal sent the event."""
        return "" if self.sender is None else self.sender.issuer

    @property
    def topic(self) -> str:
        return self.record.topic

    @property
    def received_at(self) -> datetime:
        return self.record.received_at


def attributes(
    *,
    event_id: UUID,
    event_type: str,
    source: str,
    time: datetime,
    subject: str,
    traceparent: str | None = None,
) -> dict[str, str]:
    """Return the attributes of an event that we publish, as in structured mode."""
    values = {
        "specversion": "1.0",
        "id": str(event_id),
        "type": event_type,
        "source": source,
        "time": time.isoformat().replace("+00:00", "Z"),
        "subject": subject,
        "datacontenttype": JSON,
    }
    return values if traceparent is None else values | {"traceparent": traceparent}


def headers(values: Mapping[str, str]) -> list[tuple[str, bytes]]:
    """Return the binary-mode headers from :func:`attributes`."""
    return [(_HEADERS.get(name, f"ce_{name}"), value.encode()) for name, value in values.items()]


_HEADERS = {"datacontenttype": "content-type", "traceparent": "traceparent"}


def decode(record: Record) -> Received[Event] | None:
    """Return None if this version does not know the type. Raises :class:`Unreadable`."""
    return read_event(record, read_envelope(record))


def read_envelope(record: Record) -> Envelope:
    """Raises :class:`Unreadable`."""
    if record.unread is not None:
        raise Unreadable(record.unread)
    header = _readable(record.headers)
    attributes = {name[3:]: text for name, text in header.items() if name.startswith("ce_")}
    media_type = media_type_of(header.get("content-type", JSON))
    try:
        value = record.value
        if value is None:
            raise Unreadable("the value is null (a tombstone), but an event always has data")
        if media_type == STRUCTURED:
            if not is_of_portals(record.topic):
                raise Unreadable(f"structured mode ({STRUCTURED}) is only accepted on portal topics")
            document = _document(value)
            attributes = {name: text for name, text in document.items() if isinstance(text, str)}
            value = _data(document)
            media_type = media_type_of(attributes.get("datacontenttype", JSON))
        for required in ("specversion", "id", "type", "source"):
            if not attributes.get(required):
                raise Unreadable(f"the CloudEvents attribute {required!r} is missing (header ce_{required})")
        if attributes["specversion"] != "1.0":
            raise Unreadable(f"CloudEvents {_quote(attributes['specversion'])} is not 1.0")
        event_id = _id(attributes["id"])
    except Unreadable as error:
        error.attributes = attributes
        raise
    trace = attributes.get("traceparent") or header.get("traceparent")
    return Envelope(attributes, header, event_id, value, media_type, traceparent_of(trace))


def read_event(
    record: Record, envelope: Envelope, sender: SendingPortal | None = None
) -> Received[Event] | None:
    """Return None if the type is unknown. Raises :class:`Unreadable`."""
    contract = BY_TYPE.get(envelope.event_type)
    if contract is None:
        return None
    try:
        if envelope.media_type != JSON:
            raise Unreadable(f"the content type is {_quote(envelope.media_type)}, not {JSON}")
        event = _event(contract, envelope.data, None if sender is None else sender.issuer)
        if record.topic != contract.TOPIC:
            raise Unreadable(f"{contract.TYPE} belongs on {contract.TOPIC}, not on {record.topic}")
    except Unreadable as error:
        error.attributes = envelope.attributes
        raise
    time = _time(envelope.attributes.get("time"))
    return Received(event, envelope.event_id, envelope.source, record, time, envelope.traceparent, sender)


def media_type_of(content_type: str) -> str:
    """Return the media type without parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def strict_json(value: bytes) -> object:
    """Return JSON that can be read in one way only: UTF-8, no name twice, only JSON numbers.

    Raises ``ValueError``, whose message quotes nothing. Source: RFC 7493 (I-JSON).
    """
    if value.count(b",") > MAX_VALUES:
        raise ValueError(f"has more than {MAX_VALUES} values")
    try:
        return _STRICT.decode(value.decode())
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON (line {error.lineno}, column {error.colno})") from None
    except RecursionError:
        raise ValueError("has brackets in brackets without end") from None


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("has an object with one name twice")
    return members


def _no_number(_constant: str) -> None:
    raise ValueError("has NaN or Infinity, which are not JSON")


def _number(digits: str) -> int:
    try:
        return int(digits)
    except ValueError:
        raise ValueError("has a number of too many digits") from None


_STRICT = json.JSONDecoder(object_pairs_hook=_each_once, parse_constant=_no_number, parse_int=_number)


def _readable(headers: Iterable[tuple[str, bytes | None]]) -> dict[str, str]:
    """A header that is null or not UTF-8 counts as absent."""
    readable = {}
    for name, value in headers:
        if value is not None:
            try:
                readable[name.lower()] = value.decode()
            except UnicodeDecodeError:
                continue
    return readable


def traceparent_of(text: str | None) -> str | None:
    """Return None for an invalid W3C trace context."""
    return text if text is not None and _TRACEPARENT.fullmatch(text) else None


def trace_id_of(traceparent: str | None) -> str | None:
    """Return the trace id of a valid W3C trace context."""
    return None if traceparent is None else traceparent[3:35]


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Unreadable(f"ce_id {_quote(text)} is not a UUID") from None


def _event(contract: type[Event], value: bytes, issuer: str | None) -> Event:
    try:
        return contract.model_validate_json(value, context=None if issuer is None else {"issuer": issuer})
    except ValidationError as error:
        problems = _problems(error)
        raise Unreadable(_explain(contract, problems, error.error_count()), problems) from None


def _time(text: str | None) -> datetime | None:
    """Return None for an unreadable time, which decides nothing."""
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _document(value: bytes) -> dict[str, object]:
    try:
        document = strict_json(value)
    except ValueError as error:
        raise Unreadable(f"the structured CloudEvent {error}") from None
    if not isinstance(document, dict):
        raise Unreadable("the structured CloudEvent is not a JSON object")
    return document


def _data(document: Mapping[str, object]) -> bytes:
    match document:
        case {"data": _, "data_base64": _}:
            raise Unreadable("the structured CloudEvent has both data and data_base64")
        case {"data_base64": str(encoded)}:
            try:
                return base64.b64decode(encoded, validate=True)
            except ValueError as error:
                raise Unreadable(f"data_base64 is not base64: {error}") from None
        case {"data_base64": _}:
            raise Unreadable("data_base64 is not base64: it is no text")
        case {"data": data}:
            return json.dumps(data).encode()
    raise Unreadable("the structured CloudEvent has no data")


def _quote(text: str) -> str:
    return repr(text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…")


def _problems(error: ValidationError) -> list[FieldProblem]:
    """Return the wrong fields and why, never their values, which may be personal."""
    faults = error.errors(include_url=False, include_input=False, include_context=False)[:_PROBLEMS]
    return [
        FieldProblem(
            pointer="".join(f"/{part}" for part in fault["loc"]),
            message=sentence_of(fault),
        )
        for fault in faults
    ]


def _explain(contract: type[Event], problems: Sequence[FieldProblem], number: int) -> str:
    listed = "; ".join(
        f"{problem.pointer[1:].replace('/', '.') or 'value'}: {problem.message}" for problem in problems
    )
    more = number - len(problems)
    return f"{contract.TYPE}: {listed}" + (f"; and {more} more" if more > 0 else "")
