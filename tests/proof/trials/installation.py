"""Services on a broker and a Postgres of their own: what a trial is played on."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from local.kafka import KafkaBroker
from local.postgres import PostgresServer
from shared import migrations
from tests.conftest import create_topics, settings_of
from tests.support.processes import ROOT, ServiceProcess, run_cli


@dataclass
class TrialResult:
    """``waits``: seconds until each request was answered, by what was done."""

    faults: list[str] = field(default_factory=list)
    waits: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Installation:
    """The servers, the folder of the services' logs, and the URLs of the migrated databases, by service."""

    postgres: PostgresServer
    kafka: KafkaBroker
    folder: Path
    urls: dict[str, str]

    def settings(self, service: str) -> dict[str, str]:
        return settings_of(service, self.urls[service], self.kafka.bootstrap_servers)

    def service(self, name: str, **more: str) -> ServiceProcess:
        """A service that is not started yet, with these settings beside the least it needs."""
        return ServiceProcess(name, self.settings(name) | more, self.folder / f"{name}.log")


@contextmanager
def an_installation(
    *services: str, durable: bool = False, broker: AbstractContextManager[Any] | None = None
) -> Iterator[Installation]:
    """Give servers with all topics and the databases of these services.

    ``durable``: Postgres, as it is. ``broker`` replaces the Apache Kafka.
    """
    with (
        TemporaryDirectory(prefix="parcours-trial-") as folder,
        PostgresServer.temporary(durable=durable) as postgres,
        broker or KafkaBroker.temporary() as kafka,
    ):
        create_topics(kafka)
        urls = {service: postgres.create_database(service) for service in services}
        for service, url in urls.items():
            migrations.upgrade(url, ROOT / "services" / service / "migrations")
        yield Installation(postgres, kafka, Path(folder), urls)


async def command(service: str, settings: dict[str, str], *arguments: str) -> str:
    """Run a command as an operator does. Returns what it complains of, nothing if it is content."""
    done = await asyncio.to_thread(run_cli, service, *arguments, environment=settings)
    print("".join(f"        {line}\n" for line in done.stdout.splitlines()), end="", flush=True)
    return "" if done.returncode == 0 else f"{' '.join(arguments[:2])}: {done.stdout}{done.stderr}"


async def until(condition: Callable[[], Awaitable[bool]], what: str, seconds: float = 100.0) -> None:
    """Wait until it holds. Raises ``TimeoutError``."""
    end = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:.0f} s: {what}")
        await asyncio.sleep(0.05)
