"""A server that has ended is started again, the later the more often it dies."""

import sys
import time
from pathlib import Path

import pytest

from local.children import Child
from local.failures import LocalStackError
from local.server import LocalServer


class EndingServer(LocalServer):
    """Its process ends with an exit code; without a code, it cannot be started."""

    title = "it"

    def __init__(self, log_file: Path) -> None:
        self.code: int | None = None
        self._log_file = log_file

    def start_process(self) -> Child:
        if self.code is None:
            raise LocalStackError("it cannot be started")
        end = f"raise SystemExit({self.code})"
        return Child.start(self.title, [sys.executable, "-I", "-S", "-c", end], log_file=self._log_file)

    def answers(self) -> bool:
        return False

    def end(self, code: int) -> str:
        """Let it run and end. Return how long it pauses."""
        self.code = code
        with pytest.raises(LocalStackError, match=f"ended with exit code {code}"):
            self.start()
        return (self.revive() or "").partition(" in ")[2].partition(",")[0]


def test_the_pause_grows_with_each_death_and_not_for_a_server_that_was_stopped(tmp_path: Path) -> None:
    server = EndingServer(tmp_path / "log")
    pauses = [server.end(code) for code in (1, 1, 1, 0, 1, 0, 0)]
    assert pauses == ["0.5 s", "1 s", "2 s", "0.5 s", "1 s", "0.5 s", "0.5 s"]


def test_a_server_that_cannot_be_started_again_is_tried_again_after_a_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, now = EndingServer(tmp_path / "log"), time.monotonic()
    server.end(1)
    server.code = None
    assert server.revive() is None, "it pauses"
    for seconds in (20, 40):
        monkeypatch.setattr("local.server.time.monotonic", lambda: now + seconds)  # noqa: B023 called at once
        with pytest.raises(LocalStackError, match="cannot be started"):
            server.revive()
        assert server.revive() is None, "it pauses"
    server.code = 1
    monkeypatch.setattr("local.server.time.monotonic", lambda: now + 60)
    assert server.revive() == "it is started again"
    server.stop()
    assert server.revive() is None


def test_a_server_that_is_stopped_while_it_pauses_is_not_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, now = EndingServer(tmp_path / "log"), time.monotonic()
    server.end(1)
    server.stop()
    monkeypatch.setattr("local.server.time.monotonic", lambda: now + 20)
    assert server.revive() is None
