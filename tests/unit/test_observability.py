"""Logs that say enough, and not the same for ever."""

import logging

import pytest

from shared.observability import NotAgain


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
