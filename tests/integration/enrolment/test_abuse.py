"""Many wrong tokens or links, or too many requests, meet the limit of all processes and leave traces."""

import re
import time
from collections.abc import AsyncIterator
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

from shared import clock
from shared.database import Database
from shared.guard import LimitMet
from shared.rates import Rate
from shared.web.links import Links, Purpose
from tests.conftest import SecurityLines
from tests.integration.enrolment.conftest import ToApplication
from tests.integration.enrolment.sending import PORTAL, attributes
from tests.support.builders import an_agent, enrolment_request
from tests.support.guards import a_guard

MARK = "Marquise-Zoe"
KEY = "a key of links that is for tests only"
A_VISIT = HTTPConnection({"type": "http", "path": "/", "headers": [], "client": ("192.0.2.1", 1)})


def counted(event: str, outcome: str) -> float:
    labels = {"event": event, "outcome": outcome}
    return REGISTRY.get_sample_value("parcours_security_events_total", labels) or 0.0


def visiting(app: FastAPI, visitor: str = "192.0.2.1") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app, client=(visitor, 1))
    return httpx.AsyncClient(transport=transport, base_url="http://enrolment")


@pytest.fixture
async def client(application: ToApplication) -> AsyncIterator[httpx.AsyncClient]:
    async with visiting(application(link_signing_key=KEY)) as client:
        yield client


async def send(client: httpx.AsyncClient, token: str) -> httpx.Response:
    ce = {f"ce-{name}": value for name, value in attributes().items()}
    headers = {**ce, "content-type": "application/json", "authorization": f"Bearer {token}"}
    body = enrolment_request(uuid4(), an_agent(MARK, family_name=MARK, email="marquise@ville.example"))
    return await client.post("/api/v1/events", json=body, headers=headers)


async def test_wrong_tokens_leave_traces_and_meet_the_limit_of_all_processes(
    application: ToApplication, security_lines: SecurityLines
) -> None:
    before = counted("token", "refused"), counted("limit", "refused")
    first, second = [application(refused_rate="20/hour") for _ in range(2)]
    async with visiting(first) as here, visiting(second) as there:
        answers = [await send([here, there][number % 2], f"wrong-{number}") for number in range(50)]
        assert (await send(here, PORTAL)).status_code == 202, "a right token is never refused for others"
    assert [answer.status_code for answer in answers] == [401] * 20 + [429] * 30
    assert {answer.headers["content-type"] for answer in answers} == {"application/problem+json"}
    assert all(0 < int(answer.headers["retry-after"]) <= 3600 for answer in answers[20:])
    assert (counted("token", "refused") - before[0], counted("limit", "refused") - before[1]) == (20, 30)
    lines = [line for line in security_lines() if line["outcome"] == "refused"]
    assert [line["event"] for line in lines] == ["token"] * 20 + ["limit"] * 2, "one of each process"
    assert {line["where"] for line in lines} == {"/api/v1/events"}
    assert len({line["address"] for line in lines}) == 1
    async with visiting(first, "198.51.100.7") as elsewhere:
        assert (await send(elsewhere, "wrong")).status_code == 401


async def test_the_security_log_names_no_person_and_no_secret(
    client: httpx.AsyncClient, security_lines: SecurityLines
) -> None:
    secret = MARK.encode().hex()
    await send(client, f"a-wrong-token-{secret}")
    foreign = attributes(source=f"/portals/{secret}")
    headers = {f"ce-{name}": value for name, value in foreign.items()}
    headers["authorization"] = "Bearer portail-corse"
    body = enrolment_request(uuid4(), an_agent(MARK))
    assert (await client.post("/api/v1/events", json=body, headers=headers)).status_code == 403
    advisor = {"authorization": "Bearer advisor-bretagne"}
    assert (await client.get(f"/api/v1/requests/{uuid4()}", headers=advisor)).status_code == 403
    await client.get(f"/inscriptions/desistement/{MARK}")
    await client.get("/attestations/attestation")
    lines = security_lines()
    organiser = lines[4]["who"]
    assert organiser.startswith("organiser:")
    assert [(line["event"], line["outcome"], line["who"], line["where"]) for line in lines] == [
        ("token", "refused", "", "/api/v1/events"),
        ("token", "ok", "portal:portail-corse", "/api/v1/events"),
        ("right", "refused", "portal:portail-corse", "/api/v1/events"),
        ("token", "ok", organiser, "/api/v1/requests/{ce_id}"),
        ("right", "refused", organiser, "/api/v1/requests/{ce_id}"),
        ("link", "refused", "", "/inscriptions/desistement/{token}"),
        ("link", "refused", "", "/attestations/{code}"),
    ]
    logged = str([{name: value for name, value in line.items() if name != "pathname"} for line in lines])
    assert not re.search(f"{MARK}|{secret}|marquise@|wrong-token|192\\.0\\.2|Bearer", logged)


async def test_a_right_token_is_a_line_once_an_hour_for_each_address_that_sends_it(
    application: ToApplication, security_lines: SecurityLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = application()
    for visitor, later in (
        ("192.0.2.1", 0),
        ("192.0.2.1", 3_500),
        ("192.0.2.2", 3_500),
        ("192.0.2.1", 3_700),
    ):
        with monkeypatch.context() as patched:
            now = time.monotonic() + later
            moved = SimpleNamespace(monotonic=lambda now=now: now)
            patched.setattr("shared.guard.time", moved)  # and not the time of all that runs in this process
            async with visiting(app, visitor) as client:
                assert (await send(client, PORTAL)).status_code == 202
    lines = [line for line in security_lines() if line["event"] == "token"]
    assert [(line["outcome"], line["who"]) for line in lines] == [("ok", f"portal:{PORTAL}")] * 3


@pytest.mark.parametrize("purpose", [Purpose.WITHDRAW, Purpose.CERTIFICATE])
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
    assert int(forged[-1].headers["retry-after"]) > 0


async def test_the_reader_of_a_former_address_locks_nobody_out_of_the_links_to_the_new_one(
    application: ToApplication,
) -> None:
    app, enrolment_id = application(link_signing_key=KEY, link_rate="2/hour"), uuid4()
    links = Links([KEY], dict.fromkeys(Purpose, "http://enrolment"))
    until = clock.now() + timedelta(hours=1)
    former, present = (
        links.to_agent(Purpose.ENROLMENTS, enrolment_id, links.mark(address), until=until)
        for address in ("ancienne@ville.example", "nouvelle@ville.example")
    )
    async with visiting(app) as client:
        assert [(await client.get(former)).status_code for _ in range(3)] == [410, 410, 429]
        assert (await client.get(present)).status_code == 410


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


async def test_a_visitor_who_waits_for_the_end_of_the_window_may_go_on(database: Database) -> None:
    rate = Rate.parse("2/minute")
    await a_guard(database).take(A_VISIT, "intake", rate, PORTAL, number=2)
    with pytest.raises(LimitMet) as limit:
        await a_guard(database).take(A_VISIT, "intake", rate, PORTAL)
    assert 30 <= limit.value.seconds <= 60
    await database.execute_alone(text("UPDATE request_count SET ends_at = ends_at - interval '1 minute'"), {})
    await a_guard(database).take(A_VISIT, "intake", rate, PORTAL, number=2)


@pytest.mark.parametrize("written", ["", "0/minute", "10", "10/fortnight", "1/0 minutes", "-1/hour"])
def test_what_is_no_rate_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="is not a rate"):
        Rate.parse(written)
