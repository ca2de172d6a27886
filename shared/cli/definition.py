import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import MetaData

from shared.cli.running import load
from shared.database import Database
from shared.settings import ServiceSettings

if TYPE_CHECKING:
    from shared.process import Process

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Definition:
    """A service as commands know it. Its modules ``app`` and ``tables`` are imported when they are needed."""

    package: str
    settings: Callable[[], ServiceSettings]
    revisions: Path

    @property
    def name(self) -> str:
        return self.package.rpartition(".")[2]

    def compose(self, settings: Any) -> "Process":
        process: Process = import_module(f"{self.package}.app").compose(settings)
        return process

    def metadata(self) -> MetaData:
        metadata: MetaData = import_module(f"{self.package}.tables").metadata
        return metadata


def in_process(definition: Definition, work: Callable[["Process"], Awaitable[T]]) -> T:
    """Wire a process without running it, and close its database after the work."""

    async def wired() -> T:
        process = definition.compose(load(definition.settings))
        try:
            await process.database.check()
            return await work(process)
        finally:
            await process.database.close()

    return asyncio.run(wired())


def in_database(definition: Definition, work: Callable[[Database], Awaitable[T]]) -> T:
    """Do work that needs the database of a service and not its process, and close the database."""

    async def connected() -> T:
        database = Database(load(definition.settings).database_url, application_name=definition.name)
        try:
            await database.check()
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(connected())
