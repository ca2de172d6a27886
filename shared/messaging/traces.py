"""Traces of events: a span for each event that is taken in, stored to be published, and published.

A batch has its own trace, with links to those of its events.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from shared import tracing
from shared.database import Row
from shared.events.cloudevents import Received, trace_id_of
from shared.events.enrolment import EnrolmentRefused, SeatNotObtained
from shared.events.topics import is_of_portals
from shared.events.vocabulary import Event

if TYPE_CHECKING:
    from shared.tracing.spans import Span

D = TypeVar("D")

_IDS = ("request_id", "enrolment_id", "session_id", "mail_id")


def ids_of(received: Received[Event]) -> dict[str, object]:
    """Return the ids for log lines about an event. A portal's event is a request with the same id."""
    return {"event_id": received.id, **_named_by(received), "trace_id": trace_id_of(received.traceparent)}


@contextlib.contextmanager
def batch(topic: str, deliveries: Sequence[D | Received[Event]]) -> Iterator[Sequence[D | Received[Event]]]:
    """Trace the events of one topic while they are taken in. Handle the yielded ones instead."""
    if not tracing.is_on():
        yield deliveries
        return
    spans: list[Span] = []
    is_wanted = tracing.admits if is_of_portals(topic) else tracing.is_sampled
    traced: list[D | Received[Event]] = []
    for delivery in deliveries:
        if not isinstance(delivery, Received):
            traced.append(delivery)
        elif is_wanted(delivery.traceparent):
            traced.append(_begin(delivery, spans))
        else:
            after = tracing.untraced(delivery.traceparent)
            traced.append(delivery if after is delivery.traceparent else delivery.within(after))
    if not spans:
        yield traced
        return
    of_all = {**_messaging(topic, "process"), "messaging.batch.message_count": len(deliveries)}
    spans.append(tracing.begin_anyway(f"batch {topic}", None, "consumer", of_all, tuple(spans)))
    failure: str | None = None
    try:
        yield traced
    except BaseException as error:
        failure = type(error).__name__
        raise
    finally:
        for span in spans:
            span.end(failure)


def _begin(received: Received[Event], spans: "list[Span]") -> Received[Event]:
    record = received.record
    attributes = {
        **_messaging(record.topic, "process"),
        "messaging.destination.partition.id": str(record.partition),
        "messaging.kafka.offset": record.offset,
        **_cloudevent(received.event, received.id, received.source),
        **{f"parcours.{key}": value for key, value in _named_by(received).items()},
    }
    span = tracing.begin_anyway(f"process {record.topic}", received.traceparent, "consumer", attributes)
    spans.append(span)
    return received.within(span.traceparent)


def accepted(received: Received[Event]) -> str | None:
    """Trace that an event was accepted by HTTP. Returns the trace context to continue with."""
    if not tracing.admits(received.traceparent):
        return tracing.untraced(received.traceparent)
    attributes = _cloudevent(received.event, received.id, received.source)
    name = f"accept {type(received.event).__name__}"
    span = tracing.begin_anyway(name, received.traceparent, "server", attributes)
    span.end()
    return span.traceparent


def created(event: Event, event_id: object, source: str, traceparent: str | None) -> str | None:
    """Trace that an event was stored. Returns the trace context to publish it with."""
    if not tracing.is_on() or not tracing.is_sampled(traceparent):
        return traceparent
    attributes = {
        **_cloudevent(event, event_id, source),
        **{f"parcours.{name}": value for name, value in _ids_of(event).items()},
        # A code. The reason of a withdrawal, by contrast, is free text.
        "parcours.reason": event.reason if isinstance(event, EnrolmentRefused | SeatNotObtained) else None,
    }
    span = tracing.begin(f"create {type(event).__name__}", traceparent, "producer", attributes)
    if span is None:
        return traceparent
    span.end()
    return span.traceparent


@contextlib.contextmanager
def publishing(rows: Sequence[Row], sent: Sequence[Row]) -> Iterator[Mapping[int, str]]:
    """Trace rows while they are sent. Rows that are not in ``sent`` at the end were not sent in this pass.

    Yields the trace contexts of traced rows, by id.
    """
    if not tracing.is_on():
        yield {}
        return
    spans: dict[int, Span] = {}
    for row in rows:
        if row.topic is not None and tracing.is_sampled(row.traceparent):
            attributes = {
                **_messaging(row.topic, "send"),
                "cloudevents.event_id": row.event_id,
                "cloudevents.event_type": row.type,
                "cloudevents.event_source": row.source,
            }
            span = tracing.begin(f"send {row.topic}", row.traceparent, "producer", attributes)
            if span is not None:
                spans[row.id] = span
    try:
        yield {row_id: span.traceparent for row_id, span in spans.items()}
    finally:
        done = {row.id for row in sent} if spans else set()
        for row_id, span in spans.items():
            span.end(None if row_id in done else "not sent in this pass")


def _messaging(topic: str, operation: str) -> dict[str, object]:
    return {
        "messaging.system": "kafka",
        "messaging.destination.name": str(topic),
        "messaging.operation.type": operation,
    }


def _cloudevent(event: Event, event_id: object, source: str) -> dict[str, object]:
    return {
        "cloudevents.event_id": event_id,
        "cloudevents.event_type": event.TYPE,
        "cloudevents.event_source": source,
    }


def _named_by(received: Received[Event]) -> dict[str, object]:
    ids = _ids_of(received.event)
    return ids | {"request_id": received.id} if is_of_portals(received.topic) else ids


def _ids_of(event: Event) -> dict[str, object]:
    return {name: getattr(event, name, None) for name in _IDS}
