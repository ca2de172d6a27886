"""Commands that documents name: whether there is such a command, with these options."""

import importlib
from typing import Any

from typer import Context
from typer.main import get_command

from services.__main__ import CONSOLE, FILES


def check_command(typed: list[str]) -> None:
    """Fail unless there is such a command, with these options."""
    if typed[0] == "parcours":
        module, rest = module_of(typed[1]), typed[1:] if typed[1] in CONSOLE else typed[2:]
    else:
        module, rest = f"{typed[2]}.__main__", typed[3:]
    command: Any = get_command(importlib.import_module(module).app)
    while hasattr(command, "get_command"):
        named = command.get_command(Context(command), rest[0]) if rest else None
        assert named is not None, typed
        command = named
        del rest[0]
    known = {option for parameter in command.params for option in parameter.opts}
    assert [word for word in rest if word.startswith("--") and word not in known] == [], typed


def module_of(name: str) -> str:
    """Where the commands ``parcours NAME`` are."""
    if name in CONSOLE:
        return "services.console.__main__"
    return f"shared.cli.{name}" if name in FILES else f"services.{name}"
