"""Run every command of an operator about one person, with each of its options."""

import asyncio
import importlib
import typing
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from typer.main import get_command
from typer.testing import CliRunner

from services.__main__ import ACROSS, FILES
from shared import clock
from shared.process import Process
from tests.integration.services.cases import CASES, Answers, Case
from tests.support.marking import ADDRESS, PERSON, Marks
from tests.support.statements import execute

WITHOUT_END = ("serve", "make-migration")
"""A process that runs until it is stopped, and a command that writes code."""


@dataclass(frozen=True)
class OperatorCommand:
    label: str
    app: Any
    parameters: list[Any]

    @property
    def needed(self) -> list[Any]:
        return [parameter for parameter in self.parameters if parameter.required]

    @property
    def optional(self) -> list[Any]:
        return [parameter for parameter in self.parameters if not parameter.required]


def commands_of(process: Process) -> Iterator[OperatorCommand]:
    """Return the commands of the service, and those about all services."""
    modules = {process.name: f"services.{process.name}.__main__"}
    modules |= {name: f"services.{name}" for name in ACROSS} | {name: f"shared.cli.{name}" for name in FILES}
    for name, module in modules.items():
        app = importlib.import_module(module).app
        yield from _commands(app, get_command(app), name)


def _commands(app: Any, found: Any, label: str) -> Iterator[OperatorCommand]:
    if not hasattr(found, "list_commands"):
        parameters = [parameter for parameter in found.params if parameter.name != "help"]
        yield OperatorCommand(label, app, parameters)
        return
    for name in found.list_commands(None):
        if name not in WITHOUT_END:
            yield from _commands(app, found.get_command(None, name), f"{label} {name}")


async def run_every_command(process: Process, marks: Marks, directory: Path) -> Answers:
    """Run each command with what it needs, then with each option too."""
    answers: Answers = defaultdict(list)
    typist = Typist(process, marks, directory, await anext(CASES[process.name](process)))
    for command in commands_of(process):
        for option in (None, *command.optional):
            given = [*command.needed, *([option] if option else ())]
            typed = [word for parameter in given for word in await typist.words(command, parameter)]
            arguments = command.label.split()[1:] + typed
            done = await asyncio.to_thread(CliRunner().invoke, command.app, arguments, input=f"{ADDRESS}\n")
            answers[command.label].append(f"{done.exit_code} {arguments} {done.output} {done.exception}")
    return answers


def is_done(answer: str) -> bool:
    return answer.startswith("0 ")


@dataclass(frozen=True)
class Typist:
    """What an operator types about the person."""

    process: Process
    marks: Marks
    directory: Path
    case: Case

    async def words(self, command: OperatorCommand, parameter: Any) -> list[str]:
        name = [] if parameter.param_type_name == "argument" else [parameter.opts[0]]
        if getattr(parameter, "is_flag", False):
            return name
        return [*name, await self._value(f"{command.label} {parameter.name}", parameter)]

    async def _value(self, place: str, parameter: Any) -> str:
        known = self.case | {"agent": PERSON.agent_id, "agent_id": PERSON.agent_id, "issuer": PERSON.issuer}
        known |= dict.fromkeys(("address", "email", "contact"), ADDRESS)
        if parameter.name in known:
            return str(known[parameter.name])
        wanted = parameter.type_descriptor
        of_many = typing.get_args(wanted.annotation)
        kind = of_many[0] if of_many else wanted.annotation
        if not isinstance(kind, type):  # of a choice of texts
            return str(kind)
        if issubclass(kind, Enum):
            return str(next(iter(kind)).value)
        if kind is UUID:
            return str(uuid4())
        if kind is datetime:
            return clock.now().strftime("%Y-%m-%dT%H:%M:%S")
        if kind is int:
            return str(await self._parked())
        if kind is not Path:
            return self.marks.new(place)
        path = self.directory / parameter.name
        if wanted.parameter_info.exists:
            await asyncio.to_thread(path.write_text, "nothing of the person")
        return str(path)

    async def _parked(self) -> int:
        query = "SELECT id FROM dead_letter WHERE state = 'parked' ORDER BY id LIMIT 1"
        found = await execute(self.process.database, query)
        return found[0].id if found else 1
