"""The demonstration, whole: the promise of `make demo` in one test."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared.local.places import PROJECT

FIELDS = {
    "requests", "answers", "enrolled", "waitlisted", "refused", "mails_expected", "mails_received",
    "mails_superseded", "lost", "duplicated", "overbooked", "parked", "seconds",
}  # fmt: skip
REASONS = {
    "already_enrolled", "deadline_passed", "not_eligible", "not_open_yet", "session_cancelled",
    "session_full", "unknown_session",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_demonstration_loses_doubles_and_overbooks_nothing(tmp_path: Path) -> None:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("KAFKA_", "SMTP_")) and not name.endswith("_DATABASE_URL")
    }
    played = subprocess.run(
        [sys.executable, "-m", "shared.local", "demo", "--directory", str(tmp_path / "local")],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert played.returncode == 0, played.stdout + played.stderr

    figures = json.loads((tmp_path / "local" / "demo.json").read_text())
    assert figures.keys() == FIELDS
    assert figures["requests"] == figures["answers"] >= 2_000
    assert figures["mails_received"] == figures["mails_expected"]
    assert figures["mails_received"] + figures["mails_superseded"] > figures["requests"]
    assert (figures["lost"], figures["duplicated"], figures["overbooked"]) == (0, 0, 0)
    assert figures["refused"].keys() == REASONS
    assert figures["waitlisted"] > 0
    assert figures["parked"] > 10
    assert not (tmp_path / "local" / "stack.json").exists()
