"""Logs that say enough, and not the same for ever."""

import json
import logging
import re
import sys
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

from shared import observability, security_log
from shared.middleware import Counted
from shared.observability import (
    NotAgain,
    configure_logging,
    configure_security_log,
    log_what_nobody_catches,
    logged_ids,
)
from tests.support.logs import lines_of, logging_as_before

REQUEST = UUID("5f0c1f5e-2f0e-4d0e-9d0c-0d6d1f9f2a11")
TRACE = "0af7651916cd43dd8448eb211c80319c"


def a_line(logger: str, message: str) -> logging.LogRecord:
    return logging.LogRecord(logger, logging.ERROR, __file__, 1, message, (), None)


def test_a_line_of_aiokafka_is_not_written_again_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(observability, "time", SimpleNamespace(monotonic=lambda: now))
    lines = NotAgain()
    assert lines.filter(a_line("aiokafka", "Unable connect to node"))
    assert not lines.filter(a_line("aiokafka", "Unable connect to node"))
    assert lines.filter(a_line("aiokafka", "something else"))
    now += 11
    assert lines.filter(a_line("aiokafka", "Unable connect to node"))
    assert all(lines.filter(a_line("shared.process", "stops")) for _ in range(2)), "ours are all written"


@pytest.fixture
def restored() -> Iterator[None]:
    with logging_as_before():
        yield


@pytest.mark.usefixtures("restored")
def test_a_line_says_its_time_in_utc_wherever_the_machine_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = a_line("outside", "ends")
    line.created = 1_764_145_800.25
    with monkeypatch.context() as in_paris:
        in_paris.setenv("TZ", "Europe/Paris")
        time.tzset()
        for form in ("json", "console"):
            configure_logging(form, "INFO", "notifier")
            logging.getLogger("outside").handle(line)
    time.tzset()
    as_json, as_text = capsys.readouterr().err.splitlines()
    assert json.loads(as_json)["time"] == "2025-11-26T08:30:00.250+00:00"
    assert re.match(r"2025-11-26T08:30:00\.250\+00:00 ERROR ", as_text)


@pytest.mark.usefixtures("restored")
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


@pytest.mark.usefixtures("restored")
def test_a_line_says_what_it_is_about_wherever_it_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json", "INFO", "enrolment")
    with logged_ids(request_id=REQUEST, trace_id=None):
        with logged_ids(enrolment_id=1):
            logging.getLogger("outside").warning("within", extra={"request_id": "its own"})
        logging.getLogger("outside").warning("between")
    logging.getLogger("outside").warning("after")
    found = [{name: line.get(name) for name in ("request_id", "enrolment_id")} for line in lines_of(capsys)]
    assert found == [
        {"request_id": "its own", "enrolment_id": "1"},
        {"request_id": str(REQUEST), "enrolment_id": None},
        {"request_id": None, "enrolment_id": None},
    ]


@pytest.mark.usefixtures("restored")
def test_debug_is_for_our_own_lines(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json", "DEBUG", "enrolment")
    for name in ("httpcore", "asyncio", "shared.database", "services.enrolment.jobs"):
        logging.getLogger(name).debug("quotes what it sends")
    assert [line["logger"] for line in lines_of(capsys)] == ["shared.database", "services.enrolment.jobs"]


@pytest.mark.usefixtures("restored")
def test_what_nobody_catches_is_a_line_like_any_other(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json", "INFO", "enrolment")
    log_what_nobody_catches()
    error = ValueError("unexpected")
    sys.excepthook(ValueError, error, None)
    threading.excepthook(threading.ExceptHookArgs((ValueError, error, None, None)))
    ended, thread_ended = lines_of(capsys)
    assert "ValueError: unexpected" in ended["exc_info"]
    assert thread_ended["level"] == "CRITICAL"


@pytest.mark.usefixtures("restored")
async def test_at_debug_each_request_is_a_line_with_its_route_and_ids(
    capsys: pytest.CaptureFixture[str],
) -> None:
    app = FastAPI()
    app.add_middleware(Counted)

    @app.get("/requests/{ce_id}/{link}")
    async def show(ce_id: UUID, link: str) -> None:
        logging.getLogger("outside").warning("within")

    headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
    transport = httpx.ASGITransport(app=app)
    for level in ("INFO", "DEBUG"):
        configure_logging("json", level, "enrolment")
        async with httpx.AsyncClient(transport=transport, base_url="http://enrolment") as client:
            await client.get(f"/requests/{REQUEST}/secret", headers=headers)
    at_info, within, line = (line for line in lines_of(capsys) if line["logger"] != "httpx")
    assert at_info["message"] == within["message"] == "within"
    assert (within["trace_id"], line["trace_id"]) == (TRACE, TRACE)
    assert line["message"].startswith("GET /requests/{ce_id}/{link}: 200 in ")
    assert line["request_id"] == str(REQUEST)
    assert "secret" not in json.dumps(line)
