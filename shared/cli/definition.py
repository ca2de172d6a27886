import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsError
from sqlalchemy import MetaData

from shared.observability import writes_json
from shared.process import Process
from shared.settings import ServiceSettings

log = logging.getLogger(__name__)

S = TypeVar("S", bound=BaseSettings)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Definition:
    name: str
    settings: Callable[[], ServiceSettings]
    compose: Callable[[Any], Process]
    metadata: MetaData
    revisions: Path


def stop(message: str, code: int = 1) -> NoReturn:
    _say(message)
    raise SystemExit(code)


def _say(message: str) -> None:
    """If the log is JSON, write a line of JSON."""
    if writes_json():
        log.critical("%s", message)
    else:
        sys.stderr.write(f"parcours: {message}\n")


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


def in_process(definition: Definition, work: Callable[[Process], Awaitable[T]]) -> T:
    """Wire a process without running it, and close its database after the work."""

    async def wired() -> T:
        process = definition.compose(load(definition.settings))
        try:
            await process.database.check()
            return await work(process)
        finally:
            await process.database.close()

    return asyncio.run(wired())
