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
        assert timedelta(0) <= moved.now() - moment < timedelta(seconds=60)
    assert abs(offset + 600 * 86_400) <= 60


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


def test_only_what_the_library_left_of_processes_that_have_ended_is_removed(tmp_path: Path) -> None:
    dead, alive = 2**22 + 1, os.getpid()  # no process of Linux has so great a number
    for name in (f"faketime_shm_{dead}", f"sem.faketime_sem_{dead}", f"faketime_shm_{alive}", "another_1"):
        (tmp_path / name).touch()
    clock.remove_left(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {f"faketime_shm_{alive}", "another_1"}
