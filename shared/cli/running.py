"""Runs a command line.

A user's mistake shows one clear line and a code that is not zero, never a traceback.
"""

import json
import logging
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import typer
from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsError

from shared.failures import OperatorError
from shared.garbage import tune_gc
from shared.observability import configure_security_log, writes_json

log = logging.getLogger(__name__)

S = TypeVar("S", bound=BaseSettings)
_NO_SUCH_TABLE = "42P01"


def run(app: typer.Typer) -> None:
    """Show a failure in one line, and exit with 1."""
    tune_gc()
    # For commands that configure no logging: the line below already has aiokafka's failure.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    configure_security_log("json" if os.environ.get("LOG_FORMAT") == "json" else "console")
    # The name with which `services/__main__.py` was called. click would name a module that does not exist.
    by_name = sys.argv[0] if sys.argv[0].startswith("parcours") else None
    try:
        app(prog_name=by_name)
    except OperatorError as error:
        stop(str(error))
    except Exception as error:
        failure = _failed_connection(error)
        if failure is None:
            raise
        stop(failure)


def _failed_connection(error: Exception) -> str | None:
    """Return what to say of a failure of Kafka, the database or the network, or None for any other error."""
    # Only a command that failed needs these.
    from aiokafka.errors import KafkaError  # noqa: PLC0415
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415

    from shared.database import is_temporary  # noqa: PLC0415

    if isinstance(error, KafkaError):
        return (
            f"Kafka cannot be used ({error}). Check that it runs and that KAFKA_BOOTSTRAP_SERVERS is right."
        )
    if not isinstance(error, DBAPIError | OSError) or not is_temporary(error):
        return None
    cause = getattr(error, "orig", None) or error
    line = (str(cause).splitlines() or [type(error).__name__])[0]
    if getattr(cause, "sqlstate", None) == _NO_SUCH_TABLE:
        how = "run the command 'migrate' first, as the owner of the tables"
        return f"The database is not at this version ({line}): {how}."
    return f"The database or network failed: {line}"


def stop(message: str, code: int = 1) -> NoReturn:
    _say(message)
    raise SystemExit(code)


def _say(message: str) -> None:
    """If the log is JSON, write a line of JSON."""
    if writes_json():
        log.critical("%s", message)
    else:
        sys.stderr.write(f"parcours: {message}\n")


def json_to_read(document: Any) -> str:
    """Escape what could move the cursor of a terminal or turn its text round."""
    text = json.dumps(document, indent=2, ensure_ascii=False, default=str)
    return "".join(sign if sign.isprintable() or sign == "\n" else json.dumps(sign)[1:-1] for sign in text)


def load(settings: Callable[[], S]) -> S:
    """End with 2 for a missing or wrong setting."""
    try:
        return settings()
    except ValidationError as error:
        for mistake in mistakes(error):
            _say(f"{mistake}. Set it in the environment.")
        raise SystemExit(2) from None
    except SettingsError as error:
        stop(str(error), 2)


def mistakes(error: ValidationError) -> list[str]:
    """Leave out the settings' values."""
    found = []
    for fault in error.errors(include_input=False, include_url=False):
        name = "_".join(str(part) for part in fault["loc"]).upper()
        what = "is not set" if fault["type"] == "missing" else fault["msg"].removeprefix("Value error, ")
        # A fault of several settings together names no setting.
        found.append(f"the setting {name} {_in_the_sentence(what)}" if name else what)
    return found


def _in_the_sentence(what: str) -> str:
    return what.replace("Input should be", "should be", 1) if what.startswith("Input ") else what
