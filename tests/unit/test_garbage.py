"""No garbage is looked for while a process starts, and it is once it runs."""

import gc
import subprocess
import sys

import pytest
import typer

from shared.cli.running import run


def test_none_is_looked_for_while_a_service_is_imported() -> None:
    program = [sys.executable, "-c", "import gc, services; print(gc.isenabled())"]
    assert subprocess.run(program, capture_output=True, text=True, check=True).stdout == "False\n"


def test_it_is_looked_for_while_a_command_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    app, seen = typer.Typer(), list[bool]()

    @app.command()
    def look() -> None:
        seen.append(gc.isenabled())

    monkeypatch.setattr(sys, "argv", ["parcours"])
    gc.disable()
    try:
        with pytest.raises(SystemExit):
            run(app)
    finally:
        gc.enable()
    assert seen == [True]
