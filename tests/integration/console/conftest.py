"""The console inside this process, with the worker's databases, and a broker that its tests may spoil."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from local.tansu import TansuBroker
from services.console.commands import app
from shared.database import Database
from tests.conftest import settings_of

FindingLine = dict[str, Any]


class ConsoleResult(NamedTuple):
    """How a command ended, and the lines that it printed for scripts."""

    code: int
    findings: list[FindingLine]

    def about(self, about: str, what: str) -> FindingLine:
        """The only line about this."""
        [found] = [line for line in self.findings if (line["about"], line["what"]) == (about, what)]
        return found


RunConsole = Callable[..., Awaitable[ConsoleResult]]
NOWHERE = "postgresql://nobody@127.0.0.1:1/none"


@pytest.fixture
def urls(catalogue_url: str, enrolment_url: str, notifier_url: str) -> dict[str, str]:
    return {"catalogue": catalogue_url, "enrolment": enrolment_url, "notifier": notifier_url}


@pytest.fixture
def in_environment(urls: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The settings of all three services, with a broker that nobody can reach."""
    for service, url in urls.items():
        for name, value in settings_of(service, url, "127.0.0.1:1").items():
            monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture
def console(in_environment: pytest.MonkeyPatch) -> RunConsole:
    """The command line for scripts; in a thread, since it runs an event loop of its own."""

    async def run(*arguments: str) -> ConsoleResult:
        done = await asyncio.to_thread(lambda: CliRunner().invoke(app, [*arguments, "--json"]))
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return ConsoleResult(done.exit_code, json.loads(done.stdout)["findings"])

    return run


@pytest.fixture
def spoilt() -> Iterator[TansuBroker]:
    """A broker of this test alone, without topics."""
    with TansuBroker.temporary() as broker:
        yield broker


@pytest.fixture
def database(enrolment_database: Database) -> Database:
    return enrolment_database
