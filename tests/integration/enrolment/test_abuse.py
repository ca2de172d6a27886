"""Who tries many tokens or links, or asks too often, is told to wait by every process, and leaves traces."""

import logging
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import REGISTRY
from sqlalchemy import text
from starlette.requests import HTTPConnection

from shared import clock, security_log
from shared.database import Database
from shared.guard import LimitMet
from shared.limits import Rate
from shared.web.links import Links, Purpose
from tests.integration.enrolment.conftest import ToApplication
from tests.integration.enrolment.sending import PORTAL, attributes
from tests.support.builders import an_agent, enrolment_request
from tests.support.guards import a_guard

MARK = "Marquise-Zoe"
KEY = "a key of links that is for tests only"
Written = Callable[[], list[dict[str, Any]]]
A_VISIT = HTTPConnection({"type": "http", "path": "/", "headers": [], "client": ("192.0.2.1", 1)})


@pytest.fixture
def written(caplog: pytest.LogCaptureFixture) -> Written:
    """A function that returns the lines of the security log."""
    caplog.set_level(logging.INFO, logger=security_log.LOGGER)
    return lambda: [vars(line) for line in caplog.records if line.name == security_log.LOGGER]


def counted(event: str, outcome: str) -> float:
    labels = {"event": event, "outcome": outcome}
    return REGISTRY.get_sample_value("parcours_security_events_total", labels) or 0.0


def visiting(app: FastAPI, visitor: str = "192.0.2.1") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app, client=(visitor, 1))
    return httpx.AsyncClient(transport=transport, base_url="http://enrolment")


@pytest.fixture
async def two_processes(application: ToApplication) -> AsyncIterator[list[httpx.AsyncClient]]:
    processes = [application(link_signing_key=KEY) for _ in range(2)]
    async with visiting(processes[0]) as first, visiting(processes[1]) as second:
        yield [first, second]


async def send(client: httpx.AsyncClient, token: str) -> httpx.Response:
    ce = {f"ce-{name}": value for name, value in attributes().items()}
    headers = {**ce, "content-type": "application/json", "authorization": f"Bearer {token}"}
    body = enrolment_request(uuid4(), an_agent(MARK, family_name=MARK, email="marquise@ville.example"))
    return await client.post("/api/v1/events", json=body, headers=headers)


async def test_450_wrong_tokens_leave_traces_and_meet_the_limit_of_all_processes(
    two_processes: list[httpx.AsyncClient], written: Written, application: ToApplication
) -> None:
    before = counted("token", "refused"), counted("limit", "refused")
    answers = [await send(two_processes[number % 2], f"wrong-{number}") for number in range(450)]
    assert [answer.status_code for answer in answers] == [401] * 100 + [429] * 350
    assert {answer.headers["content-type"] for answer in answers} == {"application/problem+json"}
    waits = [int(answer.headers["retry-after"]) for answer in answers[100:]]
    assert 0 < min(waits) <= max(waits) <= 600
    assert (counted("token", "refused") - before[0], counted("limit", "refused") - before[1]) == (100, 350)
    lines = [line for line in written() if line["event"] != "keys"]  # a registry written again
    assert [line["event"] for line in lines] == ["token"] * 100 + ["limit"] * 2, "one of each process"
    assert {line["where"] for line in lines} == {"/api/v1/events"}
    assert len({line["address"] for line in lines}) == 1
    for client in two_processes:
        assert (await send(client, PORTAL)).status_code == 202, "a right token is never refused for others"
    async with visiting(application(), "198.51.100.7") as elsewhere:
        assert (await send(elsewhere, "wrong")).status_code == 401


async def test_the_security_log_names_no_person_and_no_secret(
    two_processes: list[httpx.AsyncClient], written: Written
) -> None:
    client = two_processes[0]
    await send(client, f"a-wrong-token-{MARK.encode().hex()}")
    stolen = {"authorization": "Bearer portail-corse"}
    foreign = attributes(source=f"/portals/{MARK.encode().hex()}")
    ce = {f"ce-{name}": value for name, value in foreign.items()}
    refused = await client.post(
        "/api/v1/events", json=enrolment_request(uuid4(), an_agent(MARK)), headers=ce | stolen
    )
    assert refused.status_code == 403
    advisor = {"authorization": "Bearer advisor-bretagne"}
    assert (await client.get(f"/api/v1/requests/{uuid4()}", headers=advisor)).status_code == 403
    await client.get(f"/inscriptions/desistement/{MARK}")
    lines = written()
    organiser, by_link = lines[4], lines[5]
    assert [(line["event"], line["outcome"], line["who"]) for line in lines] == [
        ("token", "refused", ""),
        ("token", "ok", "portal:portail-corse"),
        ("right", "refused", "portal:portail-corse"),
        ("token", "ok", organiser["who"]),
        ("right", "refused", organiser["who"]),
        ("link", "refused", ""),
    ]
    assert organiser["who"].startswith("organiser:")
    assert organiser["where"] == "/api/v1/requests/{ce_id}"
    assert by_link["where"] == "/inscriptions/desistement/{token}"
    for line in lines:
        logged = str({name: value for name, value in line.items() if name != "pathname"})
        for secret in (
            MARK,
            MARK.encode().hex(),
            "marquise@",
            "wrong-token",
            "192.0.2",
            "Bearer",
        ):
            assert secret not in logged


async def test_a_right_token_is_a_line_once_an_hour_for_each_address_that_sends_it(
    application: ToApplication, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = application()
    for visitor, later in (
        ("192.0.2.1", 0),
        ("192.0.2.1", 3_500),
        ("192.0.2.2", 3_500),
        ("192.0.2.1", 3_700),
    ):
        with monkeypatch.context() as patched:
            now = time.monotonic()
            moved = SimpleNamespace(monotonic=lambda seconds=now + later: seconds)
            patched.setattr("shared.guard.time", moved)  # and not the time of all that runs in this process
            async with visiting(app, visitor) as client:
                assert (await send(client, PORTAL)).status_code == 202
    lines = [line for line in written() if line["event"] == "token"]
    assert [(line["outcome"], line["who"]) for line in lines] == [("ok", f"portal:{PORTAL}")] * 3


@pytest.mark.parametrize("code", ["s", "t", "attestation", "É"])
async def test_a_route_is_said_whatever_stands_in_its_place(
    two_processes: list[httpx.AsyncClient], written: Written, code: str
) -> None:
    await two_processes[0].get(f"/attestations/{code}")
    [line] = written()
    assert (line["event"], line["where"]) == ("link", "/attestations/{code}")


@pytest.mark.parametrize("purpose", [Purpose.WITHDRAW, Purpose.CERTIFICATE, Purpose.OFFER])
async def test_links_that_we_did_not_sign_and_links_opened_without_end_meet_a_limit(
    application: ToApplication, purpose: Purpose
) -> None:
    app = application(link_signing_key=KEY, refused_rate="3/hour", link_rate="2/hour")
    links = Links([KEY], dict.fromkeys(Purpose, "http://enrolment"))
    link = links.url(purpose, str(uuid4()), "1", until=clock.now() + timedelta(hours=1))
    async with visiting(app) as client:
        # The signature still holds with marks that base64 passes over: it is the same link.
        statuses = [(await client.get(link + marks)).status_code for marks in ("", "====", "!!!!")]
        assert statuses == [410, 410, 429]
        forged = [await client.get(f"{purpose.value}/forged-{number}") for number in range(4)]
    assert [answer.status_code for answer in forged] == [404, 404, 404, 429]
    assert "Trop de demandes" in forged[-1].text
    assert int(forged[-1].headers["retry-after"]) > 0


async def test_a_large_limit_costs_a_statement_for_each_hundredth_of_it_and_lets_no_more_pass(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0
    alone = database.execute_alone

    async def counting(*args: Any) -> Any:
        nonlocal asked
        asked += 1
        return await alone(*args)

    monkeypatch.setattr(database, "execute_alone", counting)
    guards = [a_guard(database), a_guard(database)]
    rate = Rate.parse("1000/minute")
    for number in range(1000):
        await guards[number % 2].take(A_VISIT, "intake", rate, PORTAL)
    for guard in guards:
        with pytest.raises(LimitMet):
            await guard.take(A_VISIT, "intake", rate, PORTAL)
    assert asked <= 100 + 2 * 2


async def test_who_waits_for_the_end_of_the_window_may_go_on(database: Database) -> None:
    rate = Rate.parse("2/minute")
    await a_guard(database).take(A_VISIT, "intake", rate, PORTAL, number=2)
    with pytest.raises(LimitMet) as limit:
        await a_guard(database).take(A_VISIT, "intake", rate, PORTAL)
    assert 30 <= limit.value.seconds <= 60
    await database.execute_alone(text("UPDATE request_count SET ends_at = ends_at - interval '1 minute'"), {})
    await a_guard(database).take(A_VISIT, "intake", rate, PORTAL, number=2)


@pytest.mark.parametrize(
    "written", ["", "0/minute", "10", "10/fortnight", "1/0 minutes", "-1/hour", "1.5/hour"]
)
def test_what_is_no_rate_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="is not a rate"):
        Rate.parse(written)
