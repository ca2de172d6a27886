"""A service that has ended is started again, the later the more often it dies."""

import sys
from pathlib import Path

from local.children import Child
from local.services import SupervisedProcess


def test_the_pause_grows_with_each_death_and_not_for_who_was_stopped(tmp_path: Path) -> None:
    process = SupervisedProcess("nothing", 1, port=0, env={}, log_file=tmp_path / "log")
    process.start()  # now, so that what ends below ends soon after a start

    def said_of(code: int) -> str:
        if process.child is not None:
            process.child.kill()
        process.child = Child.start(
            "it", [sys.executable, "-I", "-S", "-c", f"raise SystemExit({code})"], log_file=tmp_path / "log"
        )
        process.child.process.wait()
        return process.revive() or ""

    pauses = [said_of(code).partition(" in ")[2].partition(",")[0] for code in (1, 1, 1, 0, 1, 0, 0)]
    assert pauses == ["0.5 s", "1 s", "2 s", "0.5 s", "1 s", "0.5 s", "0.5 s"]
