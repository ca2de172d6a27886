"""``parcours NAME …`` hands over to the service or the console that is named, or says what is missing."""

import importlib
import re
import subprocess
import sys
from collections.abc import Mapping

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from services.__main__ import ACROSS, CONSOLE, FILES, SERVICES, main
from tests.support.processes import ROOT

NAMES = (*SERVICES, *FILES, *ACROSS, *CONSOLE)
MODULES = {
    **{name: f"services.{name}.__main__" for name in SERVICES},
    **{name: f"shared.cli.{name}" for name in FILES},
    **{name: f"services.{name}" for name in ACROSS},
    "console": "services.console.commands",
}
"""Where the commands of each name are; the console's have no name before theirs."""


@pytest.mark.parametrize(
    ("name", "package", "extras"),
    [("catalogue", "yaml", "catalogue"), ("status", "typst", "catalogue,enrolment,notifier")],
)
def test_what_is_not_installed_is_named_with_the_extra_that_brings_it(
    name: str, package: str, extras: str
) -> None:
    program = f"import sys; sys.modules[{package!r}] = None; from services.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", program, name], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        f"parcours: {name} needs the package of {package!r}, which is not installed: "
        f"in the folder of the code, pip install '.[{extras}]'\n"
    )


@pytest.mark.parametrize(
    ("arguments", "usage"),
    [
        (["status"], "parcours status"),
        (["dead-letters"], "parcours dead-letters"),
        (["enrolment", "dead-letters", "redrive"], "parcours enrolment dead-letters redrive"),
        (["notifier", "mails", "resolve"], "parcours notifier mails resolve"),
        (["catalogue", "topics", "create"], "parcours catalogue topics create"),
    ],
)
def test_a_command_is_reached_by_its_name(
    arguments: list[str],
    usage: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert f"Usage: {usage} " in help_of(arguments, monkeypatch, capsys)


@pytest.mark.parametrize("package", ["services", None], ids=["python -m services", "parcours"])
@pytest.mark.parametrize("name", NAMES)
def test_help_names_the_program_that_was_called(
    name: str,
    package: str | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys.modules["__main__"], "__package__", package)
    assert f"Usage: parcours {name} " in help_of([name], monkeypatch, capsys)


def help_of(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    for module in (*MODULES.values(), "services.console.__main__"):  # it may be there; it is run once more
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setattr(sys, "argv", ["parcours", *arguments, "--help"])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_each_command_that_our_texts_name_is_there() -> None:
    """Help texts, and what commands say of what to do next."""
    trees = {name: get_command(importlib.import_module(module).app) for name, module in MODULES.items()}
    named = {
        (path.name, found.group())
        for folder in ("services", "shared", "deploy/backup")
        for path in (ROOT / folder).rglob("*.*")
        if path.suffix in (".py", ".sh")
        for found in NAMED.finditer(path.read_text())
    }
    assert len(named) > 40
    assert {(file, call) for file, call in named if not is_there(trees, call)} == set()


NAMED = re.compile(r"(?:python -m services\.|\bparcours )[a-z][a-z-]*(?: [a-z][a-z-]*)*")
"""A command as texts name it: what follows in capitals is an argument."""


def is_there(trees: Mapping[str, object], call: str) -> bool:
    """Whether a command is reached by these words."""
    name, *rest = call.removeprefix("python -m services.").removeprefix("parcours ").split()
    if (ROOT / "services" / f"{name}.py").exists() and name not in trees:
        return True  # one of ours, for those who work on it
    command = trees.get(name)
    if name in CONSOLE:
        command, rest = trees["console"], [name, *rest]
    for word in rest:
        if isinstance(command, TyperGroup):
            command = command.commands.get(word)
    return command is not None


@pytest.mark.parametrize("arguments", [[], ["nobody"]])
def test_a_name_that_is_none_is_answered_with_all_there_are(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["parcours", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    printed = capsys.readouterr().err
    assert all(name in printed for name in (*SERVICES, *FILES, *ACROSS, *CONSOLE))
