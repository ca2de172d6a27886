"""The file of tokens: what is not clear in it is refused when the service starts."""

import json
from pathlib import Path
from typing import Any

import pytest

from shared.auth import Tokens, UnreadableTokens

ENTRY = {"name": "essai", "role": "organiser", "delegation": "bretagne", "sha256": "0" * 64}


def loaded(tmp_path: Path, entry: dict[str, Any]) -> Tokens:
    path = tmp_path / "tokens.json"
    path.write_text(json.dumps([entry]))
    return Tokens(path)


def test_an_organiser_acts_for_their_delegation_or_by_name_for_all(tmp_path: Path) -> None:
    for delegation, elsewhere in (("bretagne", False), (None, True)):
        who = loaded(tmp_path, ENTRY | {"delegation": delegation}).owner_of_digest("0" * 64)
        assert who is not None
        assert who.may_act_for("bretagne")
        assert who.may_act_for("corse") is elsewhere


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({name: value for name, value in ENTRY.items() if name != "delegation"}, "names its delegation"),
        (ENTRY | {"delegation": "bretange"}, "no delegation 'bretange'"),
        (ENTRY | {"delegaton": "corse"}, "delegaton"),
        (ENTRY | {"role": "support"}, "support acts everywhere"),
        (ENTRY | {"role": "admin"}, "admin acts everywhere"),
    ],
)
def test_a_delegation_that_is_missing_misspelt_or_not_enforced_opens_nothing(
    tmp_path: Path, entry: dict[str, Any], why: str
) -> None:
    with pytest.raises(UnreadableTokens, match=why):
        loaded(tmp_path, entry)
