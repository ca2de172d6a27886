"""``API_TOKENS_FILE``: read again when it changes, with ends, and never with a secret that all can read."""

import hashlib
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner, Result

from services.enrolment.settings import Settings
from shared import clock
from shared.auth import Tokens
from shared.cli.tokens import app
from shared.messaging.portals import registry
from shared.messaging.portals.signatures import key_of, new_secret
from shared.permissions import Role
from shared.token_file import UnreadableTokens, read_tokens
from tests.conftest import settings_of

ROOT = Path(__file__).parents[2]
TRIAL_SECRETS = ROOT / "deploy" / "try-out-secrets"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "tokens.json"
    path.write_text("[]")
    monkeypatch.setenv("API_TOKENS_FILE", str(path))
    monkeypatch.delenv("PARCOURS_TRIAL", raising=False)
    return path


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The environment of a service that may start; tests change it."""
    for name, value in settings_of("enrolment", "postgresql://user@localhost/name", "localhost:1").items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PARCOURS_TRIAL", raising=False)
    return monkeypatch


def an_entry(token: str, **changes: Any) -> dict[str, Any]:
    digest = hashlib.sha256(token.encode()).hexdigest()
    return {"name": token, "role": "support", "sha256": digest, **changes}


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def printed(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.output[result.output.index("[") : result.output.rindex("]") + 1]


def test_a_changed_file_comes_into_force_and_one_with_a_mistake_does_not(path: Path) -> None:
    path.write_text(json.dumps([an_entry("a")]))
    tokens = Tokens(path)
    for written, opens in (
        ([an_entry("b")], "b"),
        ([an_entry("c", role="king")], "b"),
        ([an_entry("c", delegation="bretagne")], "b"),
        (None, "b"),
        ([an_entry("d")], "d"),
    ):
        path.write_text("[" * 100_000 if written is None else json.dumps(written))
        tokens._file.reload()
        assert [name for name in "abcd" if tokens.owner_of(name)] == [opens]


def test_a_token_ends(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    end = clock.now() + timedelta(days=1)
    path.write_text(json.dumps([an_entry("a", not_after=end.isoformat())]))
    tokens = Tokens(path)
    assert tokens.owner_of("a") is not None
    monkeypatch.setattr("shared.clock.now", lambda: end + timedelta(seconds=1))
    assert tokens.owner_of("a") is None


def test_a_token_that_stands_twice_is_a_mistake(path: Path) -> None:
    path.write_text(json.dumps([an_entry("a"), an_entry("a", name="b")]))
    with pytest.raises(UnreadableTokens, match="stands there twice"):
        read_tokens(path, trial=True)


def test_what_the_project_publishes_for_trials_is_refused_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens, portals = (ROOT / "deploy" / f"try-out-{name}.json" for name in ("tokens", "portals"))
    assert read_tokens(tokens, trial=True)
    with pytest.raises(UnreadableTokens, match="only for trials"):
        read_tokens(tokens, trial=False)
    assert registry.read(portals, trial=True).of_source("/portals/exemple") is not None
    with pytest.raises(registry.UnreadablePortals, match="only for trials"):
        registry.read(portals, trial=False)


@pytest.mark.parametrize("name", ["LINK_SIGNING_KEY", "INTAKE_SIGNING_KEY", "ENROLMENT_DATABASE_URL"])
def test_a_service_does_not_start_with_a_secret_of_the_compose_file(
    name: str, settings: pytest.MonkeyPatch
) -> None:
    settings.setenv(name, (TRIAL_SECRETS / name).read_text().strip())
    with pytest.raises(ValidationError, match="stands in this project"):
        Settings()
    settings.setenv("PARCOURS_TRIAL", "1")
    Settings()


def test_a_new_token_is_printed_once_opens_and_is_revoked(path: Path) -> None:
    made = run("new", "Marie", "--role", "organiser", "--delegation", "bretagne", "--days", "30")
    assert path.read_text() == "[]"
    path.write_text(printed(made))
    token = made.output.split()[-1]
    owner = Tokens(path).owner_of(token)
    assert owner is not None
    assert (owner.name, owner.role, owner.delegation) == ("Marie", Role.ORGANISER, "bretagne")
    assert re.search(r"Marie\torganiser\tof bretagne\tuntil 20..-", run("list").output)
    assert run("check").output == "1 tokens, no mistake\n"
    assert run("new", "Marie", "--role", "support").exit_code == 1
    assert "acts everywhere" in run("new", "M", "--role", "support", "--delegation", "bretagne").output
    path.write_text(printed(run("revoke", "Marie")))
    assert Tokens(path).owner_of(token) is None
    assert run("revoke", "Marie").exit_code == 1


@pytest.mark.parametrize(("delegation", "elsewhere"), [("bretagne", False), (None, True)])
def test_an_organiser_acts_for_their_delegation_or_by_name_for_all(
    path: Path, delegation: str | None, elsewhere: bool
) -> None:
    path.write_text(json.dumps([an_entry("a", role="organiser", delegation=delegation)]))
    owner = Tokens(path).owner_of("a")
    assert owner is not None
    assert (owner.may_act_for("bretagne"), owner.may_act_for("corse")) == (True, elsewhere)


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"role": "organiser"}, "names its delegation"),
        ({"role": "organiser", "delegation": "bretange"}, "no delegation 'bretange'"),
        ({"role": "organiser", "delegaton": "corse"}, "delegaton"),
        ({"role": "support", "delegation": "bretagne"}, "support acts everywhere"),
        ({"role": "admin", "delegation": "bretagne"}, "admin acts everywhere"),
    ],
)
def test_a_delegation_that_is_missing_misspelt_or_not_enforced_opens_nothing(
    path: Path, entry: dict[str, Any], why: str
) -> None:
    path.write_text(json.dumps([an_entry("a") | entry]))
    with pytest.raises(UnreadableTokens, match=why):
        Tokens(path)


def test_of_several_keys_the_last_signs(settings: pytest.MonkeyPatch) -> None:
    former, present = new_secret(), new_secret()
    settings.setenv("INTAKE_SIGNING_KEY", f"{former}, {present}")
    assert Settings().intake_keys == [key_of(former), key_of(present)]
    assert Settings().intake_key == key_of(present)
