"""Logs. Never a name, an address or a text of an agent: identifiers only.

Metrics are declared where they are counted, with ``prometheus_client``.
"""

import logging.config
from typing import Literal


def configure_logging(log_format: Literal["json", "console"], level: str, service: str) -> None:
    """Send every log line to standard error, as JSON or for people."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "console": {"format": f"%(asctime)s %(levelname)-7s {service} %(name)s: %(message)s"},
                "json": {
                    "()": "pythonjsonlogger.json.JsonFormatter",
                    "fmt": "%(asctime)s %(levelname)s %(name)s %(message)s",
                    "rename_fields": {"asctime": "time", "levelname": "level", "name": "logger"},
                    "static_fields": {"service": service},
                },
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": log_format}},
            "root": {"level": level, "handlers": ["stderr"]},
            "loggers": {
                # A line per connection, request or fetch costs more than the work it tells of.
                "aiokafka": {"level": "WARNING"},
                "faststream": {"level": "WARNING"},
                "uvicorn.access": {"level": "WARNING"},
                "alembic": {"level": "WARNING"},
            },
        }
    )
