"""``parcours NAME …`` hands over to the service or the console that is named, or says what is missing."""

import subprocess
import sys

import pytest

from services.__main__ import ACROSS, CONSOLE, FILES, SERVICES, main


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
        f"pip install 'parcours[{extras}]'\n"
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
    for service in (*SERVICES, "console"):  # others may have imported it; it is run once more
        monkeypatch.delitem(sys.modules, f"services.{service}.__main__", raising=False)
    monkeypatch.setattr(sys, "argv", ["parcours", *arguments, "--help"])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert usage in capsys.readouterr().out


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
