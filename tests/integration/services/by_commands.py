"""Run every command of an operator about one person, with each of its options."""

import asyncio
import importlib
import typing
from collections import defaultdict
from collections.abc import Iterator, Mapping
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
WAITING = {
    "dead-letters": "SELECT id FROM dead_letter WHERE state = 'parked' ORDER BY id LIMIT 1",
    "outbox": "SELECT id FROM outbox WHERE held = 'refused' ORDER BY id LIMIT 1",
}
"""What waits for a decision, by the group of commands."""


@dataclass(frozen=True)
class OperatorCommand:
    label: str
    app: Any
    parameters: list[Any]

    def attempts(self) -> Iterator[list[Any]]:
        """Yield what to give: each parameter; all but an optional one; all, and a flag."""
        flags = [parameter for parameter in self.parameters if getattr(parameter, "is_flag", False)]
        values = [parameter for parameter in self.parameters if parameter not in flags]
        yield values
        for left_out in values:
            if not left_out.required:
                yield [parameter for parameter in values if parameter is not left_out]
        for flag in flags:
            yield [*values, flag]


def commands_of(module: str, name: str) -> Iterator[OperatorCommand]:
    app = importlib.import_module(module).app
    return _commands(app, get_command(app), name)


def _commands(app: Any, found: Any, label: str) -> Iterator[OperatorCommand]:
    if not hasattr(found, "list_commands"):
        parameters = [parameter for parameter in found.params if parameter.name != "help"]
        yield OperatorCommand(label, app, parameters)
        return
    for name in found.list_commands(None):
        if name not in WITHOUT_END:
            yield from _commands(app, found.get_command(None, name), f"{label} {name}")


async def run_every_command(processes: Mapping[str, Process], marks: Marks, directory: Path) -> Answers:
    """Run each command until it succeeds, each time with other options."""
    answers: Answers = defaultdict(list)
    modules = {name: f"services.{name}.__main__" for name in processes}
    modules |= {name: f"shared.cli.{name}" for name in FILES} | {name: f"services.{name}" for name in ACROSS}
    for name, module in modules.items():
        process = processes.get(name, processes["enrolment"])
        typist = Typist(process, marks, directory, await anext(CASES[process.name](process)))
        for command in commands_of(module, name):
            for parameters in command.attempts():
                answers[command.label].append(await typist.run(command, parameters))
                if is_done(answers[command.label][-1]):
                    break
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

    async def run(self, command: OperatorCommand, parameters: list[Any]) -> str:
        arguments = command.label.split()[1:]
        for parameter in parameters:
            arguments += await self.words(command, parameter)
        done = await asyncio.to_thread(CliRunner().invoke, command.app, arguments, input=f"{ADDRESS}\n")
        return f"{done.exit_code} {arguments} {done.output} {done.exception}"

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
            return clock.now().strftime("%Y-%m-%d")
        if kind is int:
            return str(await self._number(place.split()[1]))
        if kind is not Path:
            return self.marks.new(place)
        path = self.directory / parameter.name
        if wanted.parameter_info.exists:
            await asyncio.to_thread(path.write_text, "nothing of the person")
        return str(path)

    async def _number(self, group: str) -> int:
        found = await execute(self.process.database, WAITING[group]) if group in WAITING else []
        return found[0].id if found else 1
