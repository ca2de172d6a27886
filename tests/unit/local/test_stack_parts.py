"""Small decisions of the stack: processes, secrets, the day of the offer, a clock that is moved."""

import json
import os
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from typer.testing import CliRunner

from local import clock, credentials, running
from local.__main__ import cli
from local.clock import MovedClock
from local.failures import LocalStackError
from local.places import LOCAL
from local.services import parse_scale
from local.stack import StackOptions
from services.catalogue.offer_files.reading import whole_weeks_since
from shared.messaging.portals.registry import read

FIRST_RUN = date(2026, 11, 24)


@pytest.mark.parametrize("text", ["enrolment", "enrolment=0", "portal=2", "enrolment=99"])
def test_a_scale_that_is_not_one_is_refused_in_one_line(text: str) -> None:
    assert parse_scale("enrolment=3 notifier=2") == {"catalogue": 1, "enrolment": 3, "notifier": 2}
    with pytest.raises(LocalStackError, match="enrolment=3 notifier=2"):
        parse_scale(text)


def test_the_offer_as_it_was_announced_keeps_its_dates_in_a_folder_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[StackOptions] = []

    def stopped_at_once(options: StackOptions, _say: object) -> None:
        started.append(options)
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "Stack", stopped_at_once)
    for more in ([], ["--as-announced"]):
        assert CliRunner().invoke(cli, ["run", "--broker", "embedded", *more]).exit_code == 0
    moved, announced = started
    assert (moved.directory, announced.directory) == (LOCAL, LOCAL / "as-announced")
    assert announced.offer_day is not None
    assert whole_weeks_since(announced.offer_day(LOCAL)) == timedelta(0)


def test_the_token_file_has_hashes_only_and_keeps_the_tokens_of_others(tmp_path: Path) -> None:
    path = credentials.api_tokens_file(tmp_path)
    token = (tmp_path / "demo-token").read_text().strip()
    digest = sha256(token.encode()).hexdigest()
    entry = {"name": "demo", "sha256": digest, "role": "admin", "delegation": None}
    assert json.loads(path.read_text()) == [entry]
    other = {"name": "other", "sha256": "0" * 64, "role": "support", "delegation": None}
    path.write_text(json.dumps([other]))
    credentials.api_tokens_file(tmp_path)
    assert json.loads(path.read_text()) == [other, entry]


def test_a_portal_keeps_its_key_and_the_portals_of_others_stay(tmp_path: Path) -> None:
    path = credentials.portals_file(tmp_path, ["exemple"], issuer="exemple")
    own = {"portal": "mine", "issuer": "mine", "contact": "equipe@portail.example"}
    path.write_text(json.dumps([*json.loads(path.read_text()), own]))
    before = credentials.signing_keys(path)
    credentials.portals_file(tmp_path, ["iel", "exemple"], issuer="demo")
    after = credentials.signing_keys(path)
    assert (set(before), set(after)) == ({"exemple"}, {"exemple", "iel"}), "mine does not sign"
    assert after["exemple"] == before["exemple"]
    issuers = {portal.portal: portal.issuer for portal in read(path, trial=False)}
    assert issuers == {"exemple": "exemple", "mine": "mine", "iel": "demo"}


# ------------------------------------------------------------------------------- a clock that is moved


@pytest.fixture
def preloaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    path = tmp_path / "libfaketimeMT.so.1"
    monkeypatch.setattr(clock, "library", lambda: path)
    return path


def test_children_have_the_clock_while_it_is_lent_and_not_after(
    preloaded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_PRELOAD", "another.so")
    moment = datetime.now(UTC) - timedelta(days=600)
    with MovedClock.lend(moment) as moved:
        assert clock.lent()["LD_PRELOAD"] == str(preloaded)
        file = Path(clock.lent()["FAKETIME_TIMESTAMP_FILE"])
        assert abs(int(file.read_text()) + 600 * 86_400) <= 60
        assert file.stat().st_mode & 0o004, "Postgres may run as another user"
        moved.set(moment + timedelta(days=12))
        moved.set(moment + timedelta(days=3))
        assert moved.now() >= moment + timedelta(days=12), "it never goes back"
    assert clock.lent() == {}
    assert os.environ["LD_PRELOAD"] == "another.so"
