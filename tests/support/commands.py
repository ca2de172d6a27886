"""Commands that documents name: whether there is such a command, with these options."""

import importlib
from typing import Any

from typer.main import get_command

from services.__main__ import CONSOLE, FILES


def check_command(typed: list[str]) -> None:
    """Fail unless there is such a command, with these options."""
    if typed[0] == "parcours":
        module, rest = module_of(typed[1]), typed[1:] if typed[1] in CONSOLE else typed[2:]
    else:
        module, rest = f"{typed[2]}.__main__", typed[3:]
    command: Any = get_command(importlib.import_module(module).app)
    while rest and rest[0] in getattr(command, "commands", {}):
        command = command.commands[rest.pop(0)]
    assert not hasattr(command, "commands"), typed
    known = {option for parameter in command.params for option in parameter.opts}
    assert [word for word in rest if word.startswith("--") and word not in known] == [], typed


def module_of(name: str) -> str:
    """Where the commands ``parcours NAME`` are."""
    if name in CONSOLE:
        return "services.console.__main__"
    return f"shared.cli.{name}" if name in FILES else f"services.{name}"
