"""Traces: the way of a portal's request, over outbox and queue to the answer of the relay.

Without :func:`export` no span is made, the texts travel unchanged, and OpenTelemetry's SDK is never imported.
No attribute of a span names a person.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings

if TYPE_CHECKING:
    from shared.tracing.spans import Exporter, Span

SpanKind = Literal["internal", "server", "client", "producer", "consumer"]
Attributes = Mapping[str, object]


class TracingSettings(BaseSettings):
    """The SDK reads other variables of its own (``OTEL_…``)."""

    otel_exporter_otlp_endpoint: str = Field(
        default="",
        description="Where traces are sent, by OTLP over HTTP: http://collector:4318. Empty: there are none.",
    )
    otel_traces_sampler_arg: float = Field(
        default=0.01, ge=0, le=1, description="The part of the portals' requests that is traced at most."
    )

    @field_validator("otel_exporter_otlp_endpoint")
    @classmethod
    def _is_http(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("is not an address such as http://collector:4318")
        return value


class _Current:
    exporter: "Exporter | None" = None


def is_on() -> bool:
    return _Current.exporter is not None


@contextlib.contextmanager
def export(settings: TracingSettings, service: str) -> Iterator[None]:
    """Export spans if the settings name a collector, and the remaining spans at the end of the block."""
    if not settings.otel_exporter_otlp_endpoint:
        yield
        return
    from shared.tracing.spans import Exporter  # noqa: PLC0415 only a process that exports spans loads the SDK

    exporter = Exporter(settings.otel_exporter_otlp_endpoint, service, ratio=settings.otel_traces_sampler_arg)
    _Current.exporter = exporter
    try:
        yield
    finally:
        _Current.exporter = None
        exporter.close()


def is_sampled(traceparent: str | None) -> bool:
    return traceparent is not None and traceparent[-1] in "13579bdf"


def begin(
    name: str,
    traceparent: str | None,
    kind: SpanKind = "internal",
    attributes: Attributes | None = None,
    links: "Sequence[Span]" = (),
) -> "Span | None":
    """Begin a span in this trace context, to be ended by its ``end``. Returns None if nothing is exported."""
    exporter = _Current.exporter
    if exporter is None or not is_sampled(traceparent):
        return None
    return exporter.begin(name, traceparent, kind, attributes or {}, links)


def admits(traceparent: str | None) -> bool:
    """Decide whether a portal's request is traced; called once for each, at its entry.

    A portal decides which of its own requests are traced, within the share that the settings allow. Requests
    without a trace are chosen at random.
    """
    exporter = _Current.exporter
    if exporter is None:
        return False
    return exporter.budget.allows(None if traceparent is None else is_sampled(traceparent))


def begin_at_random(name: str, attributes: Attributes) -> "Span | None":
    """Begin a trace that no request caused. Returns None if it is not chosen."""
    return begin_anyway(name, None, "internal", attributes) if admits(None) else None


def untraced(traceparent: str | None) -> str | None:
    """A later reader of this context does not decide again."""
    if traceparent is None or _Current.exporter is None or not is_sampled(traceparent):
        return traceparent
    return f"{traceparent[:-2]}00"


def begin_anyway(
    name: str,
    traceparent: str | None,
    kind: SpanKind,
    attributes: Attributes,
    links: "Sequence[Span]" = (),
) -> "Span":
    """Begin a span whatever its context says. Raises ``RuntimeError`` if nothing is exported."""
    if _Current.exporter is None:
        raise RuntimeError("nothing is exported")
    return _Current.exporter.begin(name, traceparent, kind, attributes, links)
