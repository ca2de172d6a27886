"""A clock that is moved for children: what they are given, and that it only goes forward."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from local import clock
from local.clock import MovedClock
from local.failures import LocalStackError


@pytest.fixture
def preloaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    path = tmp_path / "libfaketimeMT.so.1"
    monkeypatch.setattr(clock, "library", lambda: path)
    return path


def test_children_have_the_clock_while_it_is_lent_and_not_after(
    preloaded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_PRELOAD", "another.so")
    assert clock.lent() == {}
    with MovedClock.lend(datetime(2025, 2, 26, tzinfo=UTC)):
        assert clock.lent()["LD_PRELOAD"] == str(preloaded)
        file = Path(clock.lent()["FAKETIME_TIMESTAMP_FILE"])
        assert file.stat().st_mode & 0o004, "Postgres may be another user's"
    assert clock.lent() == {}
    assert os.environ["LD_PRELOAD"] == "another.so"
    assert not file.exists()


@pytest.mark.usefixtures("preloaded")
def test_the_file_says_by_how_many_seconds_the_clock_is_moved() -> None:
    moment = datetime.now(UTC) - timedelta(days=600)
    with MovedClock.lend(moment) as moved:
        offset = int(Path(clock.lent()["FAKETIME_TIMESTAMP_FILE"]).read_text())
        assert timedelta(0) <= moved.now() - moment < timedelta(seconds=2)
    assert abs(offset + 600 * 86_400) <= 1


@pytest.mark.usefixtures("preloaded")
def test_the_clock_goes_forward_and_never_back() -> None:
    with MovedClock.lend(datetime(2025, 2, 26, 9, tzinfo=UTC)) as moved:
        moved.set(datetime(2025, 3, 10, 9, tzinfo=UTC))
        moved.set(datetime(2025, 3, 1, 9, tzinfo=UTC))
        assert moved.now() >= datetime(2025, 3, 10, 9, tzinfo=UTC)


def test_without_the_library_one_is_told_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(LocalStackError, match="apt-get install faketime"):
        clock.library([f"{tmp_path}/*/libfaketimeMT.so.1"])


def test_the_library_is_found_for_any_architecture(tmp_path: Path) -> None:
    there = tmp_path / "aarch64-linux-gnu" / "faketime" / "libfaketimeMT.so.1"
    there.parent.mkdir(parents=True)
    there.touch()
    assert clock.library([f"{tmp_path}/*/faketime/libfaketimeMT.so.1"]) == there
