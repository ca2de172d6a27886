"""The demonstration, whole: the promise of `make demo` in one test."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.places import PROJECT

STANDING = ("enrolled", "waitlisted", "offered", "pending", "withdrawn", "cancelled", "lapsed")
FIELDS = {
    "requests", "answers", "demands", *STANDING, "refused", "offers", "selection", "groups", "nominations",
    "withdrawals", "approvals", "offers_answered", "reserved_seats_released", "mails_expected",
    "mails_received", "mails_superseded", "lost", "duplicated", "overbooked", "parked", "seconds",
}  # fmt: skip
REASONS = {
    "already_enrolled", "approval_denied", "deadline_passed", "group_does_not_fit", "not_eligible",
    "not_open_yet", "not_selected", "session_cancelled", "session_full", "unknown_session",
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
        [sys.executable, "-m", "local", "demo", "--directory", str(tmp_path / "local")],
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
    assert figures["parked"] > 10

    assert figures["demands"] == sum(figures["refused"].values()) + sum(figures[name] for name in STANDING)
    offers = figures["offers"]
    assert offers["made"] == sum(offers.values()) - offers["made"]
    assert min(offers["accepted"], offers["declined"], offers["lapsed"]) > 0
    assert figures["selection"] == {"enrolled": 5, "waitlisted": 3, "refused": 4}
    assert figures["refused"]["group_does_not_fit"] == 5
    assert (figures["groups"], figures["nominations"], figures["approvals"]) == (3, 2, 3)
    assert figures["reserved_seats_released"] == 2
    assert figures["pending"] > 0
    assert not (tmp_path / "local" / "stack.json").exists()
