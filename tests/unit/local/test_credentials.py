"""The registry of a local stack is made once and added to."""

import json
from pathlib import Path

from local import credentials
from local.portal.signing import SigningKey
from shared.messaging.portals.registry import read


def test_a_portal_keeps_its_key_from_one_run_to_the_next_and_others_in_the_file_stay(tmp_path: Path) -> None:
    path = credentials.portals_file(tmp_path, ["exemple"], issuer="exemple")
    own = {"portal": "mine", "issuer": "mine", "contact": "equipe@portail.example"}
    path.write_text(json.dumps([*json.loads(path.read_text()), own]))
    before = credentials.signing_secret(path, "exemple")
    assert credentials.portals_file(tmp_path, ["iel", "exemple"], issuer="demo") == path
    assert credentials.signing_secret(path, "exemple") == before
    issuers = {portal.portal: portal.issuer for portal in read(path, trial=False)}
    assert issuers == {"exemple": "exemple", "mine": "mine", "iel": "demo"}


def test_the_secret_of_a_portal_is_found_where_it_has_any(tmp_path: Path) -> None:
    path = credentials.portals_file(tmp_path, ["exemple"], issuer="exemple")
    found = credentials.signing_secret(path, "exemple")
    assert found is not None
    assert SigningKey.of(*found).id == "demo"
    assert credentials.signing_secret(path, "iel") is None
    assert credentials.signing_secret(tmp_path / "missing.json", "exemple") is None
    path.write_text("not JSON")
    assert credentials.signing_secret(path, "exemple") is None
