"""Events of portals by HTTP: validated as on Kafka, once per id, in the outbox of their topic or nowhere."""

import asyncio
import json
import threading
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from services.enrolment.api import events
from services.enrolment.personal_data import ACCEPTED_EVENTS
from shared import clock
from shared.database import Database
from shared.events.cloudevents import STRUCTURED, Received, Record
from shared.events.cloudevents_http import BATCH
from shared.events.index import BY_TYPE
from shared.events.vocabulary import Event
from shared.messaging.consumer import REJECTED
from shared.messaging.portals.admission import Rejected, admit_by_token
from shared.messaging.portals.registry import Portal
from shared.personal_data import end_rows
from tests.conftest import Ask
from tests.integration.enrolment.conftest import SelectRows, ToApplication, problem
from tests.integration.enrolment.sending import (
    AGENT,
    DATA,
    ENROLMENT,
    OUTBOX,
    PORTAL,
    SESSION,
    TRACE,
    a_request,
    accepted,
    attributes,
    post,
    rejected,
    send,
    structured,
)
from tests.support.builders import as_json

GROUP = "GroupEnrolmentRequested"
KEPT = "SELECT event_id FROM accepted_event"


# ------------------------------------------------------------------------------------------------ modes


async def test_in_binary_mode_the_attributes_are_headers(ask: Ask, rows: SelectRows) -> None:
    ce_id, data = str(uuid.uuid4()), a_request()
    assert str(accepted(await send(ask, data, id=ce_id, headers={"traceparent": TRACE}))) == ce_id
    [event] = await rows(OUTBOX)
    assert (event.topic, event.key) == ("portal.enrolments", str(SESSION))
    assert event.type == "fr.cnfpt.portal.EnrolmentRequested.v1"
    assert (str(event.event_id), event.source, event.traceparent) == (ce_id, f"/portals/{PORTAL}", TRACE)
    data["agent"]["issuer"] = PORTAL  # whatever was sent
    assert json.loads(event.data) == data | {"answers": []}  # none was said


async def test_in_structured_mode_the_event_is_the_body(ask: Ask, rows: SelectRows) -> None:
    document = structured(traceparent=TRACE)
    answer = await post(ask, document, f"{STRUCTURED.title()}; charset=UTF-8")
    assert str(accepted(answer)) == document["id"]
    [event] = await rows(OUTBOX)
    assert (event.type, event.traceparent) == (document["type"], TRACE)


async def test_in_a_batch_one_bad_event_does_not_fail_the_others(ask: Ask, rows: SelectRows) -> None:
    good, again, other = structured(), structured(), structured(a_request(approval={}))
    conflict = again | {"data": a_request(agent=AGENT | {"agent_id": "IEL-2"})}
    documents = [good, other, again, again, conflict, "no event", structured(source="/portals/portail-deux")]
    items = (await post(ask, documents, BATCH)).json()
    assert [item["status"] for item in items] == [202, 422, 202, 202, 409, 400, 403]
    assert [item["ce_id"] for item in items[:4]] == [event["id"] for event in (good, other, again, again)]
    assert items[0]["problem"] is items[5]["ce_id"] is None
    assert items[1]["problem"]["code"] == "invalid"
    assert {named["pointer"] for named in items[1]["problem"]["problems"]} == {
        "/approval/approved_by",
        "/approval/approved_at",
    }
    assert [str(event.event_id) for event in await rows(OUTBOX)] == [good["id"], again["id"]]


@pytest.mark.parametrize("content_type", [STRUCTURED, BATCH])
async def test_others_are_answered_while_a_large_body_is_read(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, content_type: str
) -> None:
    began, answered = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def admit_slowly(record: Record, portal: Portal) -> Received[Event] | Rejected:
        loop.call_soon_threadsafe(began.set)
        assert answered.wait(5), "nobody else was answered"
        return admit_by_token(record, portal)

    monkeypatch.setattr(events, "admit_by_token", admit_slowly)
    document = structured()
    sending = asyncio.create_task(post(ask, [document] if content_type == BATCH else document, content_type))
    await began.wait()
    problem(await ask("GET", f"/api/v1/requests/{uuid.uuid4()}"), 404)
    answered.set()
    assert (await sending).status_code in (200, 202)


SOURCES = {
    "%2Fportals%2Fportail%2Dbretagne": 202,  # more than is needed must be taken
    r'"/portals/portail-\b\retagne"': 202,  # as older versions quoted
    "%252Fportals/portail-bretagne": 403,  # decoded once
    "/portals/portail-bretagne%C0%A0": 400,
    "/portals/portail-bretagn\xe9": 400,
}


async def test_attributes_in_headers_are_unquoted_and_percent_decoded_once(
    ask: Ask, rows: SelectRows
) -> None:
    answers = {source: (await send(ask, source=source)).status_code for source in SOURCES}
    assert answers == SOURCES
    assert len(await rows(OUTBOX)) == 2


async def test_whatever_a_portal_may_publish_it_may_send_by_http(ask: Ask, rows: SelectRows) -> None:
    for kind, (_, data) in DATA.items():
        accepted(await send(ask, data, kind))
    types = {f"fr.cnfpt.portal.{kind}.v1": key for kind, (key, _) in DATA.items()}
    assert [(event.type, event.key, event.topic) for event in await rows(OUTBOX)] == [
        (type_, key, BY_TYPE[type_].TOPIC) for type_, key in types.items()
    ]


# ------------------------------------------------------------------------------------------------ once


async def test_the_same_event_again_is_the_same_event(ask: Ask, rows: SelectRows) -> None:
    ce_id, data = str(uuid.uuid4()), a_request()
    answers = list(await asyncio.gather(*(send(ask, data, id=ce_id) for _ in range(8))))
    answers.append(await send(ask, dict(reversed(data.items())), id=ce_id.upper(), time=None))
    answers.append(await post(ask, structured(data, id=ce_id), STRUCTURED))
    assert {str(accepted(answer)) for answer in answers} == {ce_id}
    assert len(await rows(OUTBOX)) == 1


async def test_an_id_that_was_used_for_something_else_is_refused(ask: Ask, rows: SelectRows) -> None:
    ce_id = str(uuid.uuid4())
    accepted(await send(ask, id=ce_id))
    rejected_again = await send(ask, a_request(session_id=str(uuid.uuid4())), id=ce_id)
    problem(rejected_again, 409)
    assert rejected_again.json()["code"] == "id_used"
    assert len(await rows(OUTBOX)) == 1


async def test_an_id_belongs_to_its_portal(ask: Ask, rows: SelectRows) -> None:
    ce_id, portals = str(uuid.uuid4()), [PORTAL, "portail-deux"]
    for by in portals:
        accepted(await send(ask, a_request(approval=None), id=ce_id, by=by))
    assert [event.source for event in await rows(OUTBOX)] == [f"/portals/{by}" for by in portals]


async def test_what_was_refused_is_counted_and_may_come_mended_with_the_same_id(
    ask: Ask, rows: SelectRows
) -> None:
    ce_id, count = str(uuid.uuid4()), REJECTED.labels("http", PORTAL, "invalid")
    before = count._value.get()
    assert rejected(await send(ask, {}, id=ce_id), 422, "invalid") == ["/session_id", "/agent"]
    assert count._value.get() == before + 1
    accepted(await send(ask, id=ce_id))
    assert len(await rows(OUTBOX)) == 1


async def test_events_are_forgotten_after_thirty_days(ask: Ask, rows: SelectRows, database: Database) -> None:
    old, young = [accepted(await send(ask)) for _ in range(2)]
    made_older = "UPDATE accepted_event SET accepted_at = now() - make_interval(days => :days) "
    for ce_id, days in ((old, 30), (young, 29)):
        await rows(f"{made_older} WHERE event_id = :id RETURNING 1", id=ce_id, days=days)
    async with database.transaction() as tx:
        assert await end_rows(tx, ACCEPTED_EVENTS, 30, clock.now()) == 1
    assert await rows(KEPT) == [(young,)]


# ------------------------------------------------------------------------------------------------- senders


@pytest.mark.parametrize(
    ("by", "source", "settings", "status"),
    [
        ("siege", "/portals/essai", {}, 202),
        ("siege", "/portals/essai", {"intake_signing_key": None}, 202),
        ("siege", "/portals/essai", {"parcours_trial": False}, 403),
        (PORTAL, f"/portals/{PORTAL}", {"intake_signing_key": None}, 503),
        (PORTAL, "/portals/portail-deux", {}, 403),
        (PORTAL, "/services/enrolment", {}, 403),
    ],
)
async def test_a_portal_speaks_for_itself_if_it_can_be_signed_and_an_admin_for_the_trial(
    asking: Callable[..., Ask],
    rows: SelectRows,
    *,
    by: str,
    source: str,
    settings: dict[str, Any],
    status: int,
) -> None:
    assert (await send(asking(**settings), by=by, source=source)).status_code == status
    assert [event.source for event in await rows(OUTBOX)] == ([source] if status == 202 else [])


async def test_only_portals_may_send_and_nothing_is_read_before_the_token(ask: Ask, rows: SelectRows) -> None:
    for by, status in ((None, 401), ("nobody", 401), ("advisor-bretagne", 403)):
        problem(await post(ask, b"{", STRUCTURED, by), status)
    assert await rows(OUTBOX) == []


async def test_a_portal_that_sends_too_often_reads_when_to_come_again(asking: Callable[..., Ask]) -> None:
    ask = asking(enrolment_intake_rate="4/minute")
    accepted(await send(ask))
    assert len((await post(ask, [structured(), structured(), structured()], BATCH)).json()) == 3
    answer = await send(ask)
    problem(answer, 429)
    assert 0 < int(answer.headers["retry-after"]) <= 60
    accepted(await send(ask, by="portail-deux"))


# ------------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"specversion": None}, 400, "unreadable"),
        ({"id": "an id"}, 400, "unreadable"),
        ({"source": None}, 400, "unreadable"),
        ({"type": "fr.cnfpt.portal.EnrolmentAsked.v1"}, 422, "unknown_type"),
        ({"type": "fr.cnfpt.enrolment.AgentEnrolled.v1"}, 422, "unknown_type"),
    ],
)
async def test_what_the_attributes_do_not_say_is_a_problem_in_either_mode(
    ask: Ask, rows: SelectRows, changes: dict[str, Any], status: int, code: str
) -> None:
    assert rejected(await send(ask, **{"source": f"/portals/{PORTAL}"} | changes), status, code) == [""]
    assert rejected(await post(ask, structured(**changes), STRUCTURED), status, code) == [""]
    assert await rows(OUTBOX) == await rows(KEPT) == []


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfe{}",
        b"[" * 100_000,
        b'{"more": 1' + b"0" * 5000 + b"}",
        b'{"session_id": "6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a11", "session_id": 1}',
        b'{"a": "\\ud800"}',
    ],
    ids=["no UTF-8", "deep", "a large number", "a name twice", "half a surrogate"],
)
async def test_json_that_can_be_read_in_two_ways_or_in_none_is_a_clear_problem(
    ask: Ask, rows: SelectRows, body: bytes
) -> None:
    rejected(await send(ask, body), 422, "invalid")
    rejected(await post(ask, body, STRUCTURED), 400, "unreadable")
    rejected(await post(ask, body, BATCH), 400, "unreadable")
    assert await rows(OUTBOX) == []


async def test_another_format_is_refused(ask: Ask) -> None:
    for media_type in ("application/cloudevents+avro", "application/cloudevents"):
        problem(await post(ask, structured(), media_type), 415)
    long = await post(ask, structured(), f"application/cloudevents+{'x' * 5_000}")
    problem(long, 415)
    assert len(long.json()["detail"]) < 150, "what was sent is not repeated whole"


async def test_a_header_that_is_given_twice_is_refused(application: ToApplication) -> None:
    headers = [(f"ce-{name}", value) for name, value in attributes().items()]
    headers += [("authorization", f"Bearer {PORTAL}"), ("content-type", "application/json")]
    transport = httpx.ASGITransport(app=application())
    async with httpx.AsyncClient(transport=transport, base_url="http://enrolment") as client:
        for twice, status in (([], 202), ([("ce-id", str(uuid.uuid4()))], 422)):
            answer = await client.post(
                "/api/v1/events", content=as_json(a_request()), headers=headers + twice
            )
            assert answer.status_code == status


def a_group(*agents: dict[str, Any]) -> dict[str, Any]:
    return {"session_id": str(SESSION), "agents": agents, "requested_by": {"name": "A", "email": "a@b.fr"}}


MISTYPED = AGENT | {"employer": AGENT["employer"] | {"siret": "21350238800018"}}
BAD_TEXT = AGENT | {"given_name": "Zoé\nDurand", "email": "no address", "agent_id": "a b"}


@pytest.mark.parametrize(
    ("kind", "data", "pointers"),
    [
        (ENROLMENT, a_request(agent=BAD_TEXT), ["/agent/agent_id", "/agent/email", "/agent/given_name"]),
        (GROUP, a_group(AGENT, MISTYPED | {"agent_id": "2"}), ["/agents/1/employer/siret"]),
        (GROUP, a_group(AGENT, AGENT), ["/agents"]),
        (GROUP, a_group(*([AGENT] * 501)), ["/agents"]),
    ],
    ids=["an agent", "an agent of a group", "an agent twice", "too many agents"],
)
async def test_what_breaks_the_contract_is_named_by_json_pointers_and_changes_nothing(
    ask: Ask, rows: SelectRows, kind: str, data: dict[str, Any], pointers: list[str]
) -> None:
    answer = await send(ask, data, kind)
    assert rejected(answer, 422, "invalid") == pointers
    assert "Zoé" not in answer.text
    assert rejected(await post(ask, structured(data, kind), STRUCTURED), 422, "invalid") == pointers
    assert await rows(OUTBOX) == await rows(KEPT) == []


# ------------------------------------------------------------------------------------------- how large


async def test_a_group_of_five_hundred_with_long_accented_names_fits(ask: Ask, rows: SelectRows) -> None:
    employer = AGENT["employer"] | {"name": "é" * 100}
    long_names = {"given_name": "É" * 100, "family_name": "ç" * 100, "employer": employer}
    group = a_group(*(AGENT | long_names | {"agent_id": str(number)} for number in range(500)))
    body = json.dumps(group).encode()  # six bytes for each letter
    assert len(body) > 900_000
    accepted(await send(ask, body, GROUP))
    accepted(await post(ask, structured(group, GROUP), STRUCTURED))
    assert len(await rows(OUTBOX)) == 2


async def test_an_event_has_two_mebibytes_at_most(ask: Ask, rows: SelectRows) -> None:
    filled = as_json(a_request()) + b" " * 2 * 1024 * 1024
    problem(await send(ask, filled), 413)
    accepted(await send(ask, filled[: 2 * 1024 * 1024]))
    events = [structured(), structured() | {"comextension": "x" * 2 * 1024 * 1024}]
    items = (await post(ask, events, BATCH)).json()
    assert [item["status"] for item in items] == [202, 413]
    assert items[1]["problem"]["code"] == "too_large"
    problem(await post(ask, b" " * (4 * 1024 * 1024 + 1), BATCH), 413)
    assert len(await rows(OUTBOX)) == 2


async def test_a_batch_has_a_hundred_events_at_most(ask: Ask, rows: SelectRows) -> None:
    documents = [structured() for _ in range(101)]
    assert rejected(await post(ask, documents, BATCH), 413, "too_large") == [""]
    assert [item["status"] for item in (await post(ask, documents[:100], BATCH)).json()] == [202] * 100
    assert len(await rows(OUTBOX)) == 100
    assert (await post(ask, [], BATCH)).json() == []
