"""Logs: they hold identifiers, and never a name, an address or a text of an agent.

Metrics are declared where they are counted, with ``prometheus_client``.
"""

import logging.config
import time
from datetime import UTC, datetime
from typing import Any, Literal

from prometheus_client import Info, disable_created_metrics
from pythonjsonlogger.json import JsonFormatter

from shared import VERSION
from shared.security_log import LOGGER

NOT_AGAIN_SECONDS = 10.0

BUILD = Info("parcours_build", "What the process was built from.")


LogFormat = Literal["json", "console"]


def configure_logging(log_format: LogFormat, level: str, service: str) -> None:
    """Send every log line to standard error, as JSON or for people."""
    logging.config.dictConfig(
        {
            **_to_standard_error(log_format, service),
            "root": {"level": level, "handlers": ["stderr"]},
            "loggers": {
                # A line per connection, request or fetch costs more than the work it tells of.
                "aiokafka": {"level": "WARNING"},
                # It takes its own lines out of logging's tree: without a handler they would be in no form.
                "faststream": {"level": "WARNING", "propagate": True},
                "uvicorn.access": {"level": "WARNING"},
                "alembic": {"level": "WARNING"},
                LOGGER: {"level": "INFO"},
            },
        }
    )


def configure_security_log(log_format: LogFormat) -> None:
    """Send what the security log says of a command to standard error, and nothing else."""
    config = _to_standard_error(log_format, "parcours")
    logging.config.dictConfig({**config, "loggers": {LOGGER: {"level": "INFO", "handlers": ["stderr"]}}})


def export_build(service: str, commit: str) -> None:
    """Have the metrics say what runs; ``commit`` is empty where that is not known."""
    # When each series began would be as many series again.
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
        "filters": {"not-again": {"()": NotAgain}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": log_format,
                "filters": ["not-again"],
            }
        },
    }


class _InUtc(logging.Formatter):
    """Writes the time of a line in UTC and says so: lines of several machines are read side by side."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802, ARG002 logging's
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


class _Json(_InUtc, JsonFormatter):
    """The same in JSON."""


class NotAgain(logging.Filter):
    """Drops lines of clients of Kafka that repeat within :data:`NOT_AGAIN_SECONDS`.

    aiokafka says the same again while the broker is away, FastStream for each subscriber.
    """

    def __init__(self) -> None:
        super().__init__()
        self._written: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is to be written."""
        if not record.name.startswith(("aiokafka", "faststream")):
            return True
        now, line = time.monotonic(), record.getMessage()
        if now - self._written.get(line, -NOT_AGAIN_SECONDS) < NOT_AGAIN_SECONDS:
            return False
        if len(self._written) > 1_000:
            self._written.clear()
        self._written[line] = now
        return True
