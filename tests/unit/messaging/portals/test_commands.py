"""``parcours portals``: entries are printed, never written."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from shared import clock
from shared.cli.portals import app
from shared.messaging.portals import registry
from shared.messaging.portals.signatures import key_of


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "portals.json"
    path.write_text("[]")
    monkeypatch.setenv("PORTALS_FILE", str(path))
    monkeypatch.delenv("PARCOURS_TRIAL", raising=False)
    return path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def printed_entry(output: str) -> str:
    return output[output.index("{") : output.rindex("}") + 1]


NEW = ("new", "iel", "--contact", "equipe@portail.example")


def test_a_new_portal_is_printed_with_its_secret_and_the_file_stays_as_it_was(path: Path) -> None:
    result = run(*NEW, "--issuer", "ville", "--delegation", "bretagne", "--siret", "21350238800019")
    assert (result.exit_code, path.read_text()) == (0, "[]")
    entry = json.loads(printed_entry(result.output))
    assert (entry["issuer"], entry["delegations"], entry["sirets"]) == (
        "ville",
        ["bretagne"],
        ["21350238800019"],
    )
    assert len(key_of(entry["keys"][0]["secret"])) == 32
    path.write_text(f"[{json.dumps(entry)}]")
    token = result.output.split()[-1]
    portals = registry.read(path, trial=False)
    assert portals.of_token(token, clock.now()) is portals.of_source("/portals/iel")


def test_a_rotation_keeps_the_old_key_and_token_for_some_days(path: Path) -> None:
    path.write_text(f"[{printed_entry(run(*NEW).output)}]")
    before = json.loads(path.read_text())[0]
    entry = json.loads(printed_entry(run("rotate", "iel", "--days", "3").output))
    assert [key["id"] for key in entry["keys"]] == [before["keys"][0]["id"], f"{before['keys'][0]['id']}-2"]
    assert entry["keys"][0]["secret"] == before["keys"][0]["secret"] != entry["keys"][1]["secret"]
    assert [key["not_after"] is None for key in entry["keys"]] == [False, True]
    assert [token["not_after"] is None for token in entry["tokens"]] == [False, True]


def test_the_list_shows_no_secret_and_a_name_is_given_once(path: Path) -> None:
    path.write_text(f"[{printed_entry(run(*NEW).output)}]")
    listed = run("list").output
    assert ("iel" in listed, "whsec_" in listed) == (True, False)
    assert run("check").output == "1 portals, no mistake\n"
    assert "There is a portal 'iel' already" in run(*NEW).stderr


@pytest.mark.parametrize(
    ("file", "arguments", "code", "why"),
    [
        ("[]", ("rotate", "iel"), 1, "There is no portal 'iel'"),
        ("[]", ("new", "Iel", "--contact", "a@b.fr"), 2, "portal: has not the form"),
        ("[]", ("new", "iel", "--contact", "a@b.fr", "--siret", "21350238800018"), 2, "check digit"),
        ("{", ("check",), 1, "Invalid JSON"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    path: Path, file: str, arguments: tuple[str, ...], code: int, why: str
) -> None:
    path.write_text(file)
    result = run(*arguments)
    assert (result.exit_code, result.stderr.count("\n")) == (code, 1)
    assert why in result.stderr
