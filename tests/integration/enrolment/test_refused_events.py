"""Events by HTTP that are refused: each says what is wrong with it, and changes nothing."""

import json
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from shared.events.cloudevents import STRUCTURED
from shared.events.cloudevents_http import BATCH
from tests.conftest import Ask
from tests.integration.enrolment.conftest import SelectRows, problem
from tests.integration.enrolment.sending import (
    AGENT,
    DATA,
    ENROLMENT,
    OUTBOX,
    PORTAL,
    SESSION,
    a_request,
    accepted,
    attributes,
    post,
    rejected,
    send,
    structured,
)
from tests.support.builders import as_json


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"specversion": None}, 400, "unreadable"),
        ({"specversion": "0.3"}, 400, "unreadable"),
        ({"id": None}, 400, "unreadable"),
        ({"id": "an id"}, 400, "unreadable"),
        ({"type": None}, 400, "unreadable"),
        ({"source": None}, 400, "unreadable"),
        ({"type": "fr.cnfpt.portal.EnrolmentAsked.v1"}, 422, "unknown_type"),
        ({"type": "fr.cnfpt.enrolment.AgentEnrolled.v1"}, 422, "unknown_type"),
        ({"type": "fr.cnfpt.catalogue.SessionScheduled.v1"}, 422, "unknown_type"),
    ],
)
async def test_what_the_attributes_do_not_say_is_told_in_either_mode(
    ask: Ask, rows: SelectRows, changes: dict[str, Any], status: int, code: str
) -> None:
    assert rejected(await send(ask, **{"source": f"/portals/{PORTAL}"} | changes), status, code) == [""]
    assert rejected(await post(ask, structured(**changes), STRUCTURED), status, code) == [""]
    assert await rows(OUTBOX) == await rows("SELECT 1 FROM accepted_event") == []


DEEP = b"[" * 100_000


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe{}",
        DEEP,
        b'{"data": ' + DEEP,
        b'{"session_id": NaN}',
        b'{"session_id": -Infinity}',
        b'{"more": 1' + b"0" * 5000 + b"}",
        b'{"session_id": "6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a11", "session_id": 1}',
        b"[]",
        b"null",
        b'"text"',
        b'{"a": "\\ud800"}',
    ],
)
async def test_json_that_can_be_read_in_two_ways_or_in_none_is_a_clear_problem(
    ask: Ask, rows: SelectRows, body: bytes
) -> None:
    rejected(await send(ask, body), 422, "invalid")
    rejected(await post(ask, body, STRUCTURED), 400, "unreadable")
    answer = await post(ask, body, BATCH)
    if body != b"[]":
        rejected(answer, 400, "unreadable")
    in_batch = b"[" + json.dumps(structured()).encode() + b"," + body + b"]"
    answer = await post(ask, in_batch, BATCH)
    assert answer.status_code == 400 or [item["status"] for item in answer.json()][1:] in ([], [400])
    event = json.dumps(structured(7)).encode().replace(b": 7}", b": " + (body or b"0") + b"}")
    assert (await post(ask, event, STRUCTURED)).status_code in (400, 422)
    assert {str(row.type) for row in await rows(OUTBOX)} <= {"fr.cnfpt.portal.EnrolmentRequested.v1"}


async def test_another_format_is_refused(ask: Ask) -> None:
    for media_type in (
        "application/cloudevents+avro",
        "application/cloudevents",
        "application/cloudevents-batch+xml",
    ):
        problem(await post(ask, structured(), media_type), 415)
    long = await post(ask, structured(), f"application/cloudevents+{'x' * 5_000}")
    problem(long, 415)
    assert len(long.json()["detail"]) < 150, "what was sent is not repeated whole"
    xml = {f"ce-{name}": value for name, value in attributes().items()}
    rejected(await post(ask, b"<a/>", "application/xml", **xml), 422, "invalid")


async def test_a_header_that_is_given_twice_is_refused(asking: Callable[..., Ask], application: Any) -> None:
    headers = [(f"ce-{name}", value) for name, value in attributes().items()] + [("ce-id", str(uuid.uuid4()))]
    headers += [("authorization", f"Bearer {PORTAL}"), ("content-type", "application/json")]
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=application()), base_url="http://enrolment"
    ) as client:
        answer = await client.post("/api/v1/events", content=as_json(a_request()), headers=headers)
    rejected(answer, 422, "invalid")
    assert "ce_id is given twice" in answer.json()["detail"]


def a_group(*agents: dict[str, Any]) -> dict[str, Any]:
    return {"session_id": str(SESSION), "agents": agents, "requested_by": {"name": "A", "email": "a@b.fr"}}


MISTYPED = AGENT | {"employer": AGENT["employer"] | {"siret": "21350238800018"}}
ELSEWHERE = AGENT | {"employer": AGENT["employer"] | {"delegation": "bretange"}}
BAD_TEXT = AGENT | {"given_name": "Zoé\nDurand", "email": "no address", "agent_id": "a b"}


@pytest.mark.parametrize(
    ("kind", "data", "pointers"),
    [
        (ENROLMENT, {}, ["/session_id", "/agent"]),
        (ENROLMENT, a_request(agent=MISTYPED), ["/agent/employer/siret"]),
        (ENROLMENT, a_request(agent=ELSEWHERE), ["/agent/employer/delegation"]),
        (ENROLMENT, a_request(agent=BAD_TEXT), ["/agent/agent_id", "/agent/email", "/agent/given_name"]),
        (
            "GroupEnrolmentRequested",
            a_group(AGENT, MISTYPED | {"agent_id": "2"}),
            ["/agents/1/employer/siret"],
        ),
        ("GroupEnrolmentRequested", a_group(AGENT, AGENT), ["/agents"]),
        ("GroupEnrolmentRequested", a_group(), ["/agents"]),
        ("GroupEnrolmentRequested", a_group(*([AGENT] * 501)), ["/agents"]),
        ("BespokeTrainingRequested", DATA["BespokeTrainingRequested"][1] | {"siret": "1" * 14}, ["/siret"]),
    ],
)
async def test_what_breaks_the_contract_is_named_by_json_pointers_and_changes_nothing(
    ask: Ask, rows: SelectRows, kind: str, data: dict[str, Any], pointers: list[str]
) -> None:
    answer = await send(ask, data, kind)
    assert rejected(answer, 422, "invalid") == pointers
    assert "Zoé" not in answer.text
    assert rejected(await post(ask, structured(data, kind), STRUCTURED), 422, "invalid") == pointers
    assert await rows(OUTBOX) == await rows("SELECT 1 FROM accepted_event") == []


async def test_a_group_of_five_hundred_with_long_accented_names_fits(ask: Ask, rows: SelectRows) -> None:
    employer = AGENT["employer"] | {"name": "é" * 100}
    long_names = {"given_name": "É" * 100, "family_name": "ç" * 100, "employer": employer}
    agents = [AGENT | long_names | {"agent_id": str(number)} for number in range(500)]
    body = json.dumps(a_group(*agents)).encode()  # six bytes for each letter
    assert len(body) > 900_000
    accepted(await send(ask, body, "GroupEnrolmentRequested"))
    accepted(await post(ask, structured(a_group(*agents), "GroupEnrolmentRequested"), STRUCTURED))
    assert len(await rows(OUTBOX)) == 2


async def test_an_event_has_two_mebibytes_at_most(ask: Ask, rows: SelectRows) -> None:
    filled = as_json(a_request()) + b" " * 2 * 1024 * 1024
    problem(await send(ask, filled), 413)
    accepted(await send(ask, filled[: 2 * 1024 * 1024]))
    events = [structured(), structured() | {"comextension": "x" * 2 * 1024 * 1024}]
    answer = await post(ask, events, BATCH)
    assert [item["status"] for item in answer.json()] == [202, 413]
    assert answer.json()[1]["problem"]["code"] == "too_large"
    problem(await post(ask, b" " * (4 * 1024 * 1024 + 1), BATCH), 413)
    assert len(await rows(OUTBOX)) == 2


async def test_the_outcome_of_an_event_that_is_on_its_way_is_pending(ask: Ask) -> None:
    request_id = accepted(await send(ask))
    outcome = (await ask("GET", f"/api/v1/requests/{request_id}")).json()
    assert (outcome["request_id"], outcome["state"]) == (str(request_id), "pending")
    assert outcome["received_at"]
    assert outcome["outcome"] is outcome["reason"] is outcome["decided_at"] is None
    problem(await ask("GET", f"/api/v1/requests/{uuid.uuid4()}"), 404)
