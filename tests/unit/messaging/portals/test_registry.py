"""The registry of portals: what its file may say, and what happens when it changes."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.messaging.portals import registry
from shared.messaging.portals.registry import FILE_IS_VALID, Portals, PortalsFile, UnreadablePortals
from tests.support.builders import an_agent

NOW = datetime(2026, 11, 25, 8, 30, tzinfo=UTC)
SECRET = "whsec_cGFyY291cnMtZXhhbXBsZS1zZWNyZXQtMzItYnl0ZXM="
TOKEN = "a-token-of-the-portal"
ENTRY: dict[str, Any] = {
    "portal": "iel",
    "issuer": "iel",
    "contact": "equipe@portail.example",
    "authentication": "signature",
    "keys": [{"id": "2026-11", "secret": SECRET, "not_after": None}],
    "tokens": [{"sha256": hashlib.sha256(TOKEN.encode()).hexdigest(), "not_after": None}],
    "delegations": None,
    "sirets": None,
    "answers": ["kafka", "http"],
}
"""The entry that the contract shows."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "portals.json"


def write(path: Path, *entries: dict[str, Any]) -> Path:
    """Replaces the file as a careful operator, or Kubernetes, does."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps(entries))
    new.replace(path)
    return path


def in_force(path: Path, *entries: dict[str, Any], trial: bool = False) -> Portals:
    return registry.read(write(path, *entries), trial=trial)


def test_a_portal_is_found_by_its_source_its_token_and_the_agents_it_may_speak_for(path: Path) -> None:
    mobile = ENTRY | {"portal": "iel-mobile", "keys": [], "tokens": []}
    of_corsica = mobile | {"portal": "iel-corse", "delegations": ["corse"]}
    portals = in_force(path, ENTRY, mobile, of_corsica)
    found = portals.of_source("/portals/iel")
    assert found is not None
    assert (found.portal, portals.of_token(TOKEN, NOW)) == ("iel", found)
    agent = an_agent(issuer="iel")
    assert [portal.portal for portal in portals.of_agent(agent)] == ["iel", "iel-mobile"]
    assert list(portals.of_agent(an_agent(issuer="sirh"))) == []
    assert portals.of_source("/portals/other") is portals.of_source("iel") is None
    assert portals.of_token("another", NOW) is None


@pytest.mark.parametrize(("after", "valid"), [(timedelta(0), True), (timedelta(microseconds=1), False)])
def test_keys_and_tokens_are_valid_until_the_moment_they_say(
    path: Path, after: timedelta, valid: bool
) -> None:
    until = NOW.isoformat()
    entry = ENTRY | {
        "keys": [{"id": "old", "secret": SECRET, "not_after": until}, *ENTRY["keys"]],
        "tokens": [ENTRY["tokens"][0] | {"not_after": until}],
    }
    portals = in_force(path, entry)
    portal = portals.of_source("/portals/iel")
    assert portal is not None
    assert (portal.key_of_id("old", NOW + after) is not None) is valid
    assert portal.key_of_id("2026-11", NOW + after) is not None
    assert (portals.of_token(TOKEN, NOW + after) is portal) is valid


@pytest.mark.parametrize(
    ("changes", "may"),
    [
        ({}, True),
        ({"delegations": ["bretagne"]}, True),
        ({"delegations": ["corse"]}, False),
        ({"delegations": []}, False),
        ({"sirets": ["21350238800019"]}, True),
        ({"sirets": ["20005376700014"]}, False),
        ({"delegations": ["bretagne"], "sirets": ["20005376700014"]}, False),
    ],
)
def test_a_portal_speaks_for_agents_of_its_delegations_and_authorities(
    path: Path, changes: dict[str, Any], may: bool
) -> None:
    portal = in_force(path, ENTRY | changes).of_source("/portals/iel")
    assert portal is not None
    assert portal.limits.allow(an_agent().employer) is may


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([ENTRY, ENTRY | {"tokens": []}], "two portals have the name 'iel'"),
        ([ENTRY, ENTRY | {"portal": "b"}], "a token of 'b' stands in the file twice"),
        ([ENTRY | {"portal": "Iel"}], "0.portal: has not the form"),
        ([ENTRY | {"issuer": "cnfpt"}], "0.issuer: 'cnfpt' is the issuer of whom organisers enrol"),
        ([ENTRY | {"delegation": None}], "0.delegation: Extra inputs"),
        ([ENTRY | {"keys": ENTRY["keys"] * 2}], "two keys have the same id"),
        ([ENTRY | {"keys": [{"id": "intake", "secret": SECRET}]}], "'intake' is reserved"),
        ([ENTRY | {"keys": [{"id": "1", "secret": "whsec_c2VjcmV0"}]}], "stands for 24 to 64 bytes"),
        ([ENTRY | {"authentication": "none"}], "only for trials"),
    ],
)
def test_a_mistake_is_told_without_what_is_secret(
    path: Path, entries: list[dict[str, Any]], why: str
) -> None:
    with pytest.raises(UnreadablePortals, match=why) as refused:
        in_force(path, *entries)
    assert "whsec_c" not in str(refused.value)
    assert "^[" not in str(refused.value)


def test_a_trial_has_a_portal_without_signature_beside_those_of_its_file(path: Path) -> None:
    portals = in_force(
        path, ENTRY, ENTRY | {"portal": "b", "tokens": [], "authentication": "none"}, trial=True
    )
    assert [(portal.portal, portal.authentication) for portal in portals] == [
        ("iel", "signature"),
        ("b", "none"),
        ("essai", "none"),
    ]
    assert list(registry.read(None, trial=False)) == []


def reloaded(file: PortalsFile) -> list[str]:
    file.reload()
    return [portal.portal for portal in file.portals]


def test_a_new_file_comes_into_force_and_a_bad_one_does_not(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = PortalsFile(write(path, ENTRY), trial=False)
    assert reloaded(file) == ["iel"]
    write(path, ENTRY, ENTRY | {"portal": "b", "tokens": []})
    assert reloaded(file) == ["iel", "b"]
    write(path, ENTRY | {"portal": "?"})
    assert reloaded(file) == reloaded(file) == ["iel", "b"]
    assert [record.levelname for record in caplog.records].count("ERROR") == 1
    assert "What was read before stays in force" in caplog.text
    assert FILE_IS_VALID._value.get() == 0
    path.unlink()
    assert reloaded(file) == ["iel", "b"]
    write(path, ENTRY | {"portal": "c"})
    assert reloaded(file) == ["c"]
    assert FILE_IS_VALID._value.get() == 1


def test_a_service_does_not_start_with_a_bad_file(path: Path) -> None:
    with pytest.raises(UnreadablePortals, match="cannot be read: No such file"):
        PortalsFile(path, trial=False)
