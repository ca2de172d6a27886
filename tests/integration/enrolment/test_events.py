"""Events of portals by HTTP: validated as on Kafka, once per id, in the outbox of their topic or nowhere."""

import asyncio
import json
import threading
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx
import pytest
from sqlalchemy import Row, text

from services.enrolment.api import events
from services.enrolment.personal_data import ACCEPTED_EVENTS
from shared import clock
from shared.database import Database
from shared.events import Event
from shared.events.cloudevents import STRUCTURED, Received, Record
from shared.events.cloudevents_http import BATCH
from shared.messaging.consumer import REJECTED
from shared.messaging.portals.admission import Rejected, admit_by_token
from shared.messaging.portals.registry import Portal
from shared.personal_data import end_rows
from tests.integration.enrolment.conftest import Ask, problem
from tests.support.builders import an_agent, as_json, enrolment_request

Rows = Callable[..., Awaitable[list[Row[Any]]]]

PORTAL = "portail-bretagne"
SESSION = uuid.UUID("6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a11")
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ENROLMENT = "EnrolmentRequested"
OUTBOX = "SELECT topic, key, event_id, type, source, traceparent, data FROM outbox ORDER BY id"


def attributes(kind: str = ENROLMENT, *, portal: str = PORTAL, **changes: Any) -> dict[str, str]:
    values = {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": f"/portals/{portal}",
        "type": f"fr.cnfpt.portal.{kind}.v1",
        "time": "2026-11-25T08:30:00Z",
    } | changes
    return {name: value for name, value in values.items() if value is not None}


def a_request(**changes: Any) -> dict[str, Any]:
    return enrolment_request(SESSION, an_agent("IEL-0048151")) | changes


def structured(data: Any = None, kind: str = ENROLMENT, **changes: Any) -> dict[str, Any]:
    return attributes(kind, **changes) | {"data": a_request() if data is None else data}


async def post(
    ask: Ask, body: Any, content_type: str, by: str | None = PORTAL, **headers: str
) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers["content-type"] = content_type
    return await ask("POST", "/api/v1/events", by=by, content=content, headers=headers)


async def send(
    ask: Ask,
    data: Any = None,
    kind: str = ENROLMENT,
    *,
    by: str | None = PORTAL,
    headers: Mapping[str, str] | None = None,
    **changes: Any,
) -> httpx.Response:
    """An event in binary mode; ``changes`` are made to its attributes, ``headers`` are sent beside them."""
    given = attributes(kind, **{"portal": by or PORTAL} | changes)
    ce = {f"ce-{name}": value for name, value in given.items()}
    return await post(
        ask, a_request() if data is None else data, "application/json", by, **ce, **(headers or {})
    )


def accepted(answer: httpx.Response) -> uuid.UUID:
    assert answer.status_code == 202, answer.text
    body = answer.json()
    assert answer.headers["location"] == body["outcome_url"] == f"/api/v1/requests/{body['request_id']}"
    return uuid.UUID(body["request_id"])


def rejected(answer: httpx.Response, status: int, code: str) -> list[str]:
    """The pointers of what is wrong."""
    problem(answer, status)
    body = answer.json()
    assert body["code"] == code, body
    assert "pattern" not in answer.text
    assert "^" not in answer.text
    return [named["pointer"] for named in body["problems"]]


# ------------------------------------------------------------------------------------------------ modes


async def test_in_binary_mode_the_attributes_are_headers(ask: Ask, rows: Rows) -> None:
    ce_id, data = str(uuid.uuid4()), a_request()
    assert str(accepted(await send(ask, data, id=ce_id, headers={"traceparent": TRACE}))) == ce_id
    [event] = await rows(OUTBOX)
    assert (event.topic, event.key) == ("portal.enrolments", str(SESSION))
    assert event.type == "fr.cnfpt.portal.EnrolmentRequested.v1"
    assert (str(event.event_id), event.source, event.traceparent) == (ce_id, f"/portals/{PORTAL}", TRACE)
    data["agent"]["issuer"] = PORTAL  # whatever was sent
    assert json.loads(event.data) == data


@pytest.mark.parametrize("content_type", [STRUCTURED, f"{STRUCTURED.title()}; charset=UTF-8"])
async def test_in_structured_mode_the_event_is_the_body(ask: Ask, rows: Rows, content_type: str) -> None:
    document = structured(traceparent=TRACE)
    assert str(accepted(await post(ask, document, content_type))) == document["id"]
    [event] = await rows(OUTBOX)
    assert (event.type, event.traceparent) == (document["type"], TRACE)


async def test_in_a_batch_one_bad_event_does_not_fail_the_others(ask: Ask, rows: Rows) -> None:
    good, again, other = structured(), structured(), structured(a_request(approval={}))
    conflict = again | {"data": a_request(agent=json.loads(an_agent("IEL-2").model_dump_json()))}
    documents = [good, other, again, again, conflict, "no event", structured(source="/portals/portail-deux")]
    answer = await post(ask, documents, BATCH)
    assert answer.status_code == 200, answer.text
    items = answer.json()
    assert [set(item) for item in items] == [{"ce_id", "status", "problem"}] * 7
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


async def test_a_batch_has_a_hundred_events_at_most(ask: Ask, rows: Rows) -> None:
    documents = [structured() for _ in range(101)]
    assert rejected(await post(ask, documents, BATCH), 413, "too_large") == [""]
    answer = await post(ask, documents[:100], BATCH)
    assert [item["status"] for item in answer.json()] == [202] * 100
    assert len(await rows(OUTBOX)) == 100
    assert (await post(ask, [], BATCH)).json() == []


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("%2Fportals%2Fportail%2Dbretagne", True),  # more than is needed must be taken
        (r'"/portals/portail-\b\retagne"', True),  # as older versions quoted
        ("%252Fportals/portail-bretagne", False),  # decoded once
        ("/portals/portail-bretagne%C0%A0", False),
        ("/portals/portail-bretagn\xe9", False),
    ],
)
async def test_attributes_in_headers_are_unquoted_and_percent_decoded_once(
    ask: Ask, rows: Rows, written: str, read: bool
) -> None:
    answer = await send(ask, source=written)
    assert answer.status_code == (202 if read else 400 if "\xe9" in written or "%C0" in written else 403), (
        answer.text
    )
    assert len(await rows(OUTBOX)) == read


# ------------------------------------------------------------------------------------------------ what

AGENT = an_agent("IEL-1").model_dump(mode="json")
OFFICER = {"name": "Une responsable", "email": "formation@ville-exemple.fr"}
SIRET = "21350238800019"
DATA: dict[str, tuple[str, dict[str, Any]]] = {
    ENROLMENT: (str(SESSION), {"session_id": str(SESSION), "agent": AGENT}),
    "GroupEnrolmentRequested": (
        str(SESSION),
        {
            "session_id": str(SESSION),
            "agents": [an_agent().model_dump(mode="json") for _ in range(500)],
            "requested_by": OFFICER,
        },
    ),
    "WithdrawalRequested": (
        str(SESSION),
        {"session_id": str(SESSION), "agent_id": "IEL-1", "reason": "empêchement"},
    ),
    "ApprovalDecided": (
        str(SESSION),
        {"session_id": str(SESSION), "agent_id": "IEL-1", "granted": True, "decided_by": "Une cheffe"},
    ),
    "SeatOfferAnswered": (str(SESSION), {"session_id": str(SESSION), "agent_id": "IEL-1", "accepted": True}),
    "BespokeTrainingRequested": (
        SIRET,
        {
            "siret": SIRET,
            "authority": "Ville de Rennes",
            "delegation": "bretagne",
            "requested_by": OFFICER,
            "theme": "enjeux-ia",
            "trainees": 12,
        },
    ),
    "TraineesNominated": (
        SIRET,
        {"siret": SIRET, "session_id": str(SESSION), "agents": [AGENT], "nominated_by": OFFICER},
    ),
    "SubscriptionChanged": (
        "IEL-1",
        {"agent_id": "IEL-1", "email": "zoe@ville-exemple.fr", "theme": "enjeux-ia", "subscribed": True},
    ),
    "AgentErasureRequested": ("IEL-1", {"agent_id": "IEL-1", "requested_at": "2026-11-25T08:30:00Z"}),
}


@pytest.mark.parametrize("kind", DATA)
async def test_whatever_a_portal_may_publish_it_may_send_by_http(ask: Ask, rows: Rows, kind: str) -> None:
    key, data = DATA[kind]
    accepted(await send(ask, data, kind))
    [event] = await rows(OUTBOX)
    assert (event.type, event.key) == (f"fr.cnfpt.portal.{kind}.v1", key)
    topics = {
        "Bespoke": "portal.bespoke",
        "Trainees": "portal.bespoke",
        "Subscr": "portal.agents",
        "Agent": "portal.agents",
    }
    assert event.topic == next(
        (topic for begins, topic in topics.items() if kind.startswith(begins)), "portal.enrolments"
    )


# ------------------------------------------------------------------------------------------------ once


async def test_the_same_event_again_is_the_same_event(ask: Ask, rows: Rows) -> None:
    ce_id, data = str(uuid.uuid4()), a_request()
    first = accepted(await send(ask, data, id=ce_id))
    later = accepted(await send(ask, dict(reversed(data.items())), id=ce_id.upper(), time=None))
    in_other_mode = accepted(await post(ask, structured(data, id=ce_id), STRUCTURED))
    assert first == later == in_other_mode
    assert len(await rows(OUTBOX)) == 1


async def test_the_same_event_sent_twice_at_once_is_one_event(ask: Ask, rows: Rows) -> None:
    ce_id, data = str(uuid.uuid4()), a_request()
    answers = await asyncio.gather(*(send(ask, data, id=ce_id) for _ in range(8)))
    assert len({accepted(answer) for answer in answers}) == 1
    assert len(await rows(OUTBOX)) == 1


@pytest.mark.parametrize("changed", [{"session_id": str(uuid.uuid4())}, {"agent": AGENT}])
async def test_an_id_that_was_used_for_something_else_is_refused(
    ask: Ask, rows: Rows, changed: dict[str, Any]
) -> None:
    ce_id = str(uuid.uuid4())
    accepted(await send(ask, id=ce_id))
    answer = await send(ask, a_request(**changed), id=ce_id)
    problem(answer, 409)
    assert answer.json()["code"] == "id_used"
    assert len(await rows(OUTBOX)) == 1


async def test_an_id_belongs_to_its_portal(ask: Ask, rows: Rows) -> None:
    ce_id = str(uuid.uuid4())
    for by in (PORTAL, "portail-deux"):
        accepted(await send(ask, a_request(approval=None), id=ce_id, by=by))
    assert [event.source for event in await rows(OUTBOX)] == [
        "/portals/portail-bretagne",
        "/portals/portail-deux",
    ]


async def test_what_was_refused_is_counted_and_may_come_mended_with_the_same_id(ask: Ask, rows: Rows) -> None:
    ce_id, count = str(uuid.uuid4()), REJECTED.labels("http", PORTAL, "invalid")
    before = count._value.get()
    assert rejected(await send(ask, {}, id=ce_id), 422, "invalid") == ["/session_id", "/agent"]
    assert count._value.get() == before + 1
    accepted(await send(ask, id=ce_id))
    assert len(await rows(OUTBOX)) == 1


async def test_events_are_forgotten_after_thirty_days(ask: Ask, rows: Rows, database: Database) -> None:
    old, young = str(uuid.uuid4()), str(uuid.uuid4())
    for ce_id in (old, young):
        accepted(await send(ask, id=ce_id))
    async with database.transaction() as tx:
        await tx.execute(
            text(
                "UPDATE accepted_event SET accepted_at = now() - CASE event_id "
                "WHEN CAST(:old AS uuid) THEN interval '30 days' ELSE interval '29 days' END"
            ),
            {"old": old},
        )
    async with database.transaction() as tx:
        assert await end_rows(tx, ACCEPTED_EVENTS, 30, clock.now()) == 1
    assert [str(row.event_id) for row in await rows("SELECT event_id FROM accepted_event")] == [young]


# ------------------------------------------------------------------------------------------------- who


async def test_in_a_trial_an_admin_speaks_for_its_portal(ask: Ask, rows: Rows) -> None:
    accepted(await send(ask, by="siege", source="/portals/essai"))
    assert [event.source for event in await rows(OUTBOX)] == ["/portals/essai"]


async def test_outside_a_trial_an_admin_speaks_for_no_portal(asking: Callable[..., Ask]) -> None:
    problem(await send(asking(parcours_trial=False), by="siege"), 403)


async def test_what_could_not_be_signed_is_not_accepted(asking: Callable[..., Ask], rows: Rows) -> None:
    ask = asking(intake_signing_key=None)
    problem(await send(ask), 503)
    accepted(await send(ask, by="siege", source="/portals/essai"))
    assert len(await rows(OUTBOX)) == 1


async def test_only_portals_may_send_and_nothing_is_read_before_the_token(ask: Ask, rows: Rows) -> None:
    for by, status in ((None, 401), ("nobody", 401), ("advisor-bretagne", 403)):
        problem(await post(ask, b"{", STRUCTURED, by), status)
    assert await rows(OUTBOX) == []


@pytest.mark.parametrize("source", ["/portals/portail-deux", "/portals/none", "/services/enrolment", "x"])
async def test_a_portal_speaks_for_no_other(ask: Ask, rows: Rows, source: str) -> None:
    assert rejected(await send(ask, source=source), 403, "not_authenticated") == [""]
    assert await rows(OUTBOX) == []


async def test_a_portal_that_sends_too_often_is_told_when_to_come_again(asking: Callable[..., Ask]) -> None:
    ask = asking(enrolment_intake_rate="4/minute")
    accepted(await send(ask))
    assert len((await post(ask, [structured(), structured(), structured()], BATCH)).json()) == 3
    answer = await send(ask)
    problem(answer, 429)
    assert 0 < int(answer.headers["retry-after"]) <= 60
    accepted(await send(ask, by="portail-deux"))


# --------------------------------------------------------------------------------------------- refused


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
    ask: Ask, rows: Rows, changes: dict[str, Any], status: int, code: str
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
    ask: Ask, rows: Rows, body: bytes
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
    ask: Ask, rows: Rows, kind: str, data: dict[str, Any], pointers: list[str]
) -> None:
    answer = await send(ask, data, kind)
    assert rejected(answer, 422, "invalid") == pointers
    assert "Zoé" not in answer.text
    assert rejected(await post(ask, structured(data, kind), STRUCTURED), 422, "invalid") == pointers
    assert await rows(OUTBOX) == await rows("SELECT 1 FROM accepted_event") == []


async def test_a_group_of_five_hundred_with_long_accented_names_fits(ask: Ask, rows: Rows) -> None:
    employer = AGENT["employer"] | {"name": "é" * 100}
    long_names = {"given_name": "É" * 100, "family_name": "ç" * 100, "employer": employer}
    agents = [AGENT | long_names | {"agent_id": str(number)} for number in range(500)]
    body = json.dumps(a_group(*agents)).encode()  # six bytes for each letter
    assert len(body) > 900_000
    accepted(await send(ask, body, "GroupEnrolmentRequested"))
    accepted(await post(ask, structured(a_group(*agents), "GroupEnrolmentRequested"), STRUCTURED))
    assert len(await rows(OUTBOX)) == 2


async def test_an_event_has_two_mebibytes_at_most(ask: Ask, rows: Rows) -> None:
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
