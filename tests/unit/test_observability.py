"""Logs that say enough, and not the same for ever."""

import json
import logging
import re
import time
from collections.abc import Iterator

import pytest

from shared import security_log
from shared.observability import NotAgain, configure_logging, configure_security_log


def a_line(logger: str, message: str) -> logging.LogRecord:
    return logging.LogRecord(logger, logging.ERROR, __file__, 1, message, (), None)


def test_a_line_of_aiokafka_is_not_written_again_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr("shared.observability.time.monotonic", lambda: now)
    lines = NotAgain()
    assert lines.filter(a_line("aiokafka", "Unable connect to node"))
    assert not lines.filter(a_line("aiokafka", "Unable connect to node"))
    assert lines.filter(a_line("aiokafka", "something else"))
    now += 11
    assert lines.filter(a_line("aiokafka", "Unable connect to node"))


def test_our_own_lines_are_all_written() -> None:
    lines = NotAgain()
    assert all(lines.filter(a_line("shared.process", "stops")) for _ in range(3))


@pytest.fixture
def in_paris(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine's own time is not UTC, and its logging is as before afterwards."""
    before = logging.root.handlers[:], logging.root.level
    monkeypatch.setenv("TZ", "Europe/Paris")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()
    logging.root.handlers[:], logging.root.level = before


@pytest.mark.usefixtures("in_paris")
def test_a_line_says_its_time_in_utc_wherever_the_machine_is(capsys: pytest.CaptureFixture[str]) -> None:
    line = a_line("outside", "ends")
    line.created = 1_764_145_800.25
    for form in ("json", "console"):
        configure_logging(form, "INFO", "notifier")
        logging.getLogger("outside").handle(line)
    as_json, as_text = capsys.readouterr().err.splitlines()
    assert json.loads(as_json)["time"] == "2025-11-26T08:30:00.250+00:00"
    assert re.match(r"2025-11-26T08:30:00\.250\+00:00 ERROR ", as_text)


@pytest.mark.usefixtures("in_paris")
def test_what_faststream_says_of_each_subscriber_is_one_line_in_the_form_of_all(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("faststream"), "propagate", False)  # as FastStream has it
    configure_logging("json", "INFO", "enrolment")
    for _ in range(8):
        logging.getLogger("faststream").warning("Make sure the topics exist.")
    [line] = capsys.readouterr().err.splitlines()
    assert json.loads(line)["logger"] == "faststream"


@pytest.mark.usefixtures("in_paris")
def test_of_a_command_the_security_log_is_written_once_and_nothing_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logging.root.handlers.clear()
    configure_security_log("json")
    for serves in (False, True):
        if serves:
            configure_logging("json", "INFO", "enrolment")
        security_log.log.info("export ok")
        logging.getLogger("outside").info("nothing")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["service"], line["message"]) for line in lines] == [
        ("parcours", "export ok"),
        ("enrolment", "export ok"),
        ("enrolment", "nothing"),
    ]
