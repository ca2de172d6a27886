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
from shared.auth import Role, Tokens, UnreadableTokens, read_tokens
from shared.cli.tokens import app
from shared.messaging.portals import registry
from shared.messaging.portals.signatures import key_of, new_secret
from shared.published_secrets import is_published, is_published_digest

ROOT = Path(__file__).parents[2]
TRIAL_SECRETS = ROOT / "deploy" / "try-out-secrets"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "tokens.json"
    path.write_text("[]")
    monkeypatch.setenv("API_TOKENS_FILE", str(path))
    monkeypatch.delenv("PARCOURS_TRIAL", raising=False)
    return path


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
        ([an_entry("d")], "d"),
    ):
        path.write_text(json.dumps(written))
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


@pytest.mark.parametrize("name", ["LINK_SIGNING_KEY", "INTAKE_SIGNING_KEY"])
def test_a_service_does_not_start_with_a_key_of_the_compose_file(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = (TRIAL_SECRETS / name).read_text().strip()
    monkeypatch.setenv("ENROLMENT_DATABASE_URL", "postgresql://user@host/name")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "localhost:1")
    monkeypatch.setenv(name, key)
    monkeypatch.setenv("PARCOURS_TRIAL", "1")
    Settings()
    monkeypatch.delenv("PARCOURS_TRIAL")
    with pytest.raises(ValidationError, match=f"{name} stands in this project"):
        Settings()


def test_a_service_does_not_start_with_a_password_of_the_compose_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = (TRIAL_SECRETS / "ENROLMENT_DATABASE_URL").read_text().strip()
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "localhost:1")
    monkeypatch.setenv("ENROLMENT_DATABASE_URL", url)
    with pytest.raises(ValidationError, match="The password of the database stands in this project"):
        Settings()
    monkeypatch.setenv("ENROLMENT_DATABASE_URL", url.replace("@postgres:", "@localhost:"))
    Settings()


def test_a_secret_of_ones_own_is_none_of_the_published() -> None:
    assert not is_published("whsec_" + "A" * 44)
    assert not is_published_digest("0" * 64)


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
    path.write_text(printed(run("revoke", "Marie")))
    assert Tokens(path).owner_of(token) is None
    assert run("revoke", "Marie").exit_code == 1


@pytest.mark.parametrize(
    ("role", "delegation", "why"),
    [
        ("organiser", "bretange", "no delegation 'bretange'"),
        ("support", "bretagne", "support acts everywhere"),
        ("admin", "bretagne", "admin acts everywhere"),
    ],
)
def test_a_token_that_the_file_could_not_have_is_not_made(
    path: Path, role: str, delegation: str, why: str
) -> None:
    refused = run("new", "Marie", "--role", role, "--delegation", delegation)
    assert refused.exit_code == 2
    assert why in refused.output


def test_of_several_keys_the_last_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    former, present = new_secret(), new_secret()
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "localhost:1")
    monkeypatch.setenv("ENROLMENT_DATABASE_URL", "postgresql://user@localhost/name")
    monkeypatch.setenv("INTAKE_SIGNING_KEY", f"{former}, {present}")
    settings = Settings()
    assert settings.intake_keys == [key_of(former), key_of(present)]
    assert settings.intake_key == key_of(present)
