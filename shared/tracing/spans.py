"""Spans by the SDK of OpenTelemetry. Imported only by a process that exports them."""

import random
from collections.abc import Sequence

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace import SpanKind as OtelSpanKind

from shared import VERSION
from shared.tracing import Attributes, SpanKind

BURST = 100
"""Requests traced beyond the ratio after a quiet time, such as the first ones of a trial."""
EXPORT_SECONDS = 5.0
"""The limit for a collector, and nearly the limit for a stop that waits for it."""


class Budget:
    """``ratio`` of portals' requests are traced at most, and :data:`BURST` more."""

    def __init__(self, ratio: float) -> None:
        self._ratio = ratio
        self._left = float(BURST if ratio else 0)

    def allows(self, wanted: bool | None) -> bool:
        """``wanted``: whether the portal traces the request, or None if it does not say."""
        self._left = min(BURST, self._left + self._ratio)
        if wanted is None:
            wanted = random.random() < self._ratio  # noqa: S311 a sample, no secret
        if not wanted or self._left < 1:
            return False
        self._left -= 1
        return True


class Span:
    def __init__(self, span: OtelSpan) -> None:
        self.otel = span
        context = span.get_span_context()
        self.traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def end(self, failure: str | None = None, attributes: Attributes | None = None) -> None:
        """``failure`` is why the step failed, without data."""
        self.otel.set_attributes(_known(attributes or {}))
        if failure is not None:
            self.otel.set_status(StatusCode.ERROR, failure)
        self.otel.end()


class Exporter:
    """Sends spans by OTLP, in the background, some seconds after they end."""

    def __init__(self, endpoint: str, service: str, *, ratio: float) -> None:
        self.budget = Budget(ratio)
        resource = Resource.create({"service.name": f"parcours-{service}", "service.version": VERSION})
        # An untraced request has no span here.
        self._provider = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
        address = f"{endpoint.rstrip('/')}/v1/traces"
        self._provider.add_span_processor(
            BatchSpanProcessor(OTLPSpanExporter(address, timeout=EXPORT_SECONDS))
        )
        self._tracer = self._provider.get_tracer("parcours", VERSION)

    def begin(
        self,
        name: str,
        traceparent: str | None,
        kind: SpanKind,
        attributes: Attributes,
        links: Sequence[Span] = (),
    ) -> Span:
        span = self._tracer.start_span(
            name,
            context=Context() if traceparent is None else _context_of(traceparent),
            kind=OtelSpanKind[kind.upper()],
            attributes=_known(attributes),
            links=[Link(linked.otel.get_span_context()) for linked in links],
        )
        return Span(span)

    def close(self) -> None:
        self._provider.shutdown()


def _context_of(traceparent: str) -> Context:
    trace_id, span_id, flags = (int(part, 16) for part in traceparent.split("-")[1:])
    parent = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))
    return set_span_in_context(NonRecordingSpan(parent), Context())


def _known(attributes: Attributes) -> dict[str, str | int | float]:
    return {
        name: value if isinstance(value, int | float) else str(value)
        for name, value in attributes.items()
        if value is not None
    }
