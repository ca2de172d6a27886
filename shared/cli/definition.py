"""What a service's command line is made from, and how its commands end."""

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
    """A service as its command line needs it: how to read its settings and how to wire it."""

    name: str
    settings: Callable[[], ServiceSettings]
    compose: Callable[[Any], Process]
    metadata: MetaData
    revisions: Path


def stop(message: str, code: int = 1) -> NoReturn:
    """Write why to standard error and end with ``code``."""
    _say(message)
    raise SystemExit(code)


def _say(message: str) -> None:
    """Write to standard error: for people, but where a service writes its log as JSON, a line of that."""
    if writes_json():
        log.critical("%s", message)
    else:
        sys.stderr.write(f"parcours: {message}\n")


def load(settings: Callable[[], S]) -> S:
    """Read the settings, or say which is missing or wrong and end with 2."""
    try:
        return settings()
    except ValidationError as error:
        for mistake in mistakes(error):
            _say(f"{mistake}. Set it in the environment.")
        raise SystemExit(2) from None
    except SettingsError as error:
        stop(str(error), 2)


def mistakes(error: ValidationError) -> list[str]:
    """Return which settings are missing or wrong, without what they are set to."""
    found = []
    for fault in error.errors(include_input=False, include_url=False):
        name = "_".join(str(part) for part in fault["loc"]).upper()
        what = "is not set" if fault["type"] == "missing" else fault["msg"].removeprefix("Value error, ")
        # What is wrong with several together has no name of its own.
        found.append(f"the setting {name} {_in_the_sentence(what)}" if name else what)
    return found


def _in_the_sentence(what: str) -> str:
    return what.replace("Input should be", "should be", 1) if what.startswith("Input ") else what


def in_process(definition: Definition, work: Callable[[Process], Awaitable[T]]) -> T:
    """Do something with a wired but not running service, and close its database."""

    async def wired() -> T:
        process = definition.compose(load(definition.settings))
        try:
            await process.database.check()
            return await work(process)
        finally:
            await process.database.close()

    return asyncio.run(wired())
