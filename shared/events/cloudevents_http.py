"""CloudEvents 1.0 in HTTP requests: binary, structured and batched, read as Kafka records.

Source: CloudEvents 1.0.2, its HTTP protocol binding and its JSON format. Nothing here does I/O.
"""

import json
import re
from collections.abc import Iterable
from datetime import datetime

from shared.events.cloudevents import NOWHERE, STRUCTURED, Record, Unreadable, media_type_of, strict_json
from shared.events.topics import Topic

BATCH = "application/cloudevents-batch+json"
MAX_IN_BATCH = 100

HttpHeaders = Iterable[tuple[bytes, bytes]]

_KEPT = (b"content-type", b"traceparent")
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")
_CLOUDEVENTS = "application/cloudevents"
_MAX_QUOTED = 80


class OtherFormat(ValueError):
    """A format that is not read here, such as Avro or XML. The message names it."""


class TooMany(ValueError):
    """A batch of more than :data:`MAX_IN_BATCH` events."""


def is_batch(content_type: str) -> bool:
    """Raises :class:`OtherFormat`."""
    media_type = media_type_of(content_type)
    if media_type.startswith(_CLOUDEVENTS) and media_type not in (STRUCTURED, BATCH):
        raise OtherFormat(media_type[:_MAX_QUOTED])
    return media_type == BATCH


def record_of(headers: HttpHeaders, body: bytes, received_at: datetime) -> Record:
    """Read binary or structured mode. Raises :class:`Unreadable`."""
    return _record([_header(name, value) for name, value in headers if _is_kept(name)], body, received_at)


def records_of_batch(body: bytes, received_at: datetime) -> list[Record]:
    """Raises :class:`Unreadable`, :class:`TooMany`."""
    try:
        documents = strict_json(body)
    except ValueError as error:
        raise Unreadable(f"the batch {error}") from None
    if not isinstance(documents, list):
        raise Unreadable("the batch is not a JSON array")
    if len(documents) > MAX_IN_BATCH:
        raise TooMany(len(documents))
    structured = [("content-type", STRUCTURED.encode())]
    # JSON may have a lone surrogate, which is refused where the text is read.
    values = [
        json.dumps(document, ensure_ascii=False).encode(errors="surrogatepass") for document in documents
    ]
    return [_record(structured, value, received_at) for value in values]


def _record(headers: list[tuple[str, bytes]], value: bytes, received_at: datetime) -> Record:
    return Record(
        topic=Topic.PORTAL_ENROLMENTS,
        partition=NOWHERE,
        offset=NOWHERE,
        key=None,
        value=value,
        headers=tuple(headers),
        received_at=received_at,
    )


def _is_kept(name: bytes) -> bool:
    return name.startswith(b"ce-") or name in _KEPT


def _header(name: bytes, value: bytes) -> tuple[str, bytes]:
    """Return a header as in Kafka. An attribute's value is unquoted, then percent-decoded once."""
    text = name.decode("latin-1")
    if not text.startswith("ce-"):
        return text, value
    quoted = _QUOTED.fullmatch(value.strip())
    if quoted is not None:
        value = re.sub(rb"\\(.)", rb"\1", quoted[1], flags=re.DOTALL)
    value = _PERCENT.sub(lambda byte: bytes([int(byte[1], 16)]), value)
    try:
        value.decode()
    except UnicodeDecodeError:
        raise Unreadable(f"the header {text} is not UTF-8, percent-encoded") from None
    return f"ce_{text[3:]}", value
