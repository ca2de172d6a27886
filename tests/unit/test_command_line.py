"""``parcours NAME …`` hands over to the service or the console that is named, or says what is missing."""

import json
import sys

import pytest

from services.__main__ import ACROSS, CONSOLE, FILES, SERVICES, main
from services.console.findings import Finding, Mark, report

NAMES = (*SERVICES, *FILES, *ACROSS, *CONSOLE)
MODULES = {
    **{name: f"services.{name}.__main__" for name in SERVICES},
    **{name: f"shared.cli.{name}" for name in FILES},
    **{name: f"services.{name}" for name in ACROSS},
    "console": "services.console.commands",
}
"""Where the commands of each name are; the console's have no name before theirs."""


@pytest.mark.parametrize("arguments", [*NAMES, "enrolment dead-letters redrive", "notifier mails resolve"])
def test_a_command_is_reached_by_its_name_and_help_names_the_program(
    arguments: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in (*MODULES.values(), "services.console.__main__"):  # it may be there; it is run once more
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setattr(sys, "argv", ["parcours", *arguments.split(), "--help"])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert f"Usage: parcours {arguments} " in capsys.readouterr().out


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


def test_json_for_a_terminal_moves_no_cursor_and_turns_no_text_round(
    capsys: pytest.CaptureFixture[str],
) -> None:
    hostile = "Zoé\x1b[2J \x9b2J \x7f \u202e\U000e0001"
    with pytest.raises(SystemExit):
        report([Finding("enrolment", "trace", Mark.OK, hostile)], as_json=True)
    printed = capsys.readouterr().out
    assert [sign for sign in printed if not (sign.isprintable() or sign == "\n")] == []
    assert ("Zoé" in printed, json.loads(printed)["findings"][0]["found"]) == (True, hostile)
