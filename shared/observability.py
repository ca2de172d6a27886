"""Logs. They contain identifiers, never a name, an address or a text of an agent.

The subject of a JSON line is in the fields ``event_id``, ``request_id``, ``enrolment_id``, ``session_id``,
``mail_id``, ``trace_id``.
"""

import contextlib
import logging.config
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType, TracebackType
from typing import Any, Literal

from prometheus_client import Info, disable_created_metrics
from pythonjsonlogger.json import JsonFormatter

from shared import VERSION
from shared.security_log import LOGGER

NOT_AGAIN_SECONDS = 10.0

BUILD = Info("parcours_build", "What the process was built from.")


LogFormat = Literal["json", "console"]

_IDS: ContextVar[Mapping[str, str]] = ContextVar("ids", default=MappingProxyType({}))
log = logging.getLogger(__name__)


def configure_logging(log_format: LogFormat, level: str, service: str) -> None:
    """``DEBUG`` is only for our own lines: libraries' may quote headers, statements and addresses."""
    libraries = "INFO" if level == "DEBUG" else level
    logging.config.dictConfig(
        {
            **_to_standard_error(log_format, service),
            "root": {"level": libraries, "handlers": ["stderr"]},
            "loggers": {
                "services": {"level": level},
                "shared": {"level": level},
                # A line per connection, request or fetch would cost more than its work.
                "aiokafka": {"level": "WARNING"},
                # FastStream takes its lines out of logging's tree, so they need their own handler to have our
                # form.
                "faststream": {"level": "WARNING", "propagate": True},
                "uvicorn.access": {"level": "WARNING"},
                "alembic": {"level": "WARNING"},
                LOGGER: {"level": "INFO"},
            },
        }
    )


def writes_json() -> bool:
    return any(isinstance(handler.formatter, _Json) for handler in logging.root.handlers)


def configure_security_log(log_format: LogFormat) -> None:
    config = _to_standard_error(log_format, "parcours")
    logging.config.dictConfig({**config, "loggers": {LOGGER: {"level": "INFO", "handlers": ["stderr"]}}})


def log_what_nobody_catches() -> None:
    """Log warnings and uncaught errors of threads and the process as lines too."""

    def ended(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        log.critical("An error that nobody expected", exc_info=(kind, error, trace))

    def thread_ended(failure: threading.ExceptHookArgs) -> None:
        if failure.exc_value is not None:
            ended(failure.exc_type, failure.exc_value, failure.exc_traceback)

    def ignored(failure: "sys.UnraisableHookArgs") -> None:
        error = failure.exc_value
        log.error(
            "%s",
            failure.err_msg or "Exception ignored",
            exc_info=None if error is None else (type(error), error, failure.exc_traceback),
        )

    logging.captureWarnings(capture=True)
    sys.excepthook, threading.excepthook, sys.unraisablehook = ended, thread_ended, ignored


@contextlib.contextmanager
def logged_ids(**ids: object) -> Iterator[None]:
    """Each line logged inside the block has these ids. An id of None is left out."""
    known = {name: str(value) for name, value in ids.items() if value is not None}
    before = _IDS.set({**_IDS.get(), **known})
    try:
        yield
    finally:
        _IDS.reset(before)


def export_build(service: str, commit: str) -> None:
    # The start times of series would double the number of series.
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the library left it untyped
    BUILD.info({"service": service, "version": VERSION, "commit": commit})


def _to_standard_error(log_format: LogFormat, service: str) -> dict[str, Any]:
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "console": {
                "()": _InUtc,
                "fmt": f"%(asctime)s %(levelname)-7s {service} %(name)s: %(message)s",
            },
            "json": {
                "()": _Json,
                "fmt": "%(asctime)s %(levelname)s %(name)s %(message)s",
                "rename_fields": {"asctime": "time", "levelname": "level", "name": "logger"},
                "static_fields": {"service": service},
            },
        },
        "filters": {"not-again": {"()": NotAgain}, "ids": {"()": WithIds}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": log_format,
                "filters": ["not-again", "ids"],
            }
        },
    }


class _InUtc(logging.Formatter):
    """UTC, so that lines of several machines can be compared."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802, ARG002 logging's
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


class _Json(_InUtc, JsonFormatter):
    pass


class WithIds(logging.Filter):
    """A line's own ids win."""

    def filter(self, record: logging.LogRecord) -> bool:
        for name, value in _IDS.get().items():
            record.__dict__.setdefault(name, value)
        return True


class NotAgain(logging.Filter):
    """Drops lines of Kafka clients that repeat within :data:`NOT_AGAIN_SECONDS`.

    aiokafka repeats itself while the broker is away, and FastStream repeats lines for each subscriber.
    """

    def __init__(self) -> None:
        super().__init__()
        self._written: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(("aiokafka", "faststream")):
            return True
        now, line = time.monotonic(), record.getMessage()
        if now - self._written.get(line, -NOT_AGAIN_SECONDS) < NOT_AGAIN_SECONDS:
            return False
        if len(self._written) > 1_000:
            self._written.clear()
        self._written[line] = now
        return True
