"""Events of portals by HTTP: validated as on Kafka, once per id, in the outbox of their topic or nowhere."""

import asyncio
import json
import threading
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

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
from tests.conftest import Ask
from tests.integration.enrolment.conftest import SelectRows, problem
from tests.integration.enrolment.sending import (
    AGENT,
    DATA,
    OUTBOX,
    PORTAL,
    SESSION,
    TRACE,
    a_request,
    accepted,
    post,
    rejected,
    send,
    structured,
)
from tests.support.builders import an_agent

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


@pytest.mark.parametrize("content_type", [STRUCTURED, f"{STRUCTURED.title()}; charset=UTF-8"])
async def test_in_structured_mode_the_event_is_the_body(
    ask: Ask, rows: SelectRows, content_type: str
) -> None:
    document = structured(traceparent=TRACE)
    assert str(accepted(await post(ask, document, content_type))) == document["id"]
    [event] = await rows(OUTBOX)
    assert (event.type, event.traceparent) == (document["type"], TRACE)


async def test_in_a_batch_one_bad_event_does_not_fail_the_others(ask: Ask, rows: SelectRows) -> None:
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


async def test_a_batch_has_a_hundred_events_at_most(ask: Ask, rows: SelectRows) -> None:
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
    ask: Ask, rows: SelectRows, written: str, read: bool
) -> None:
    answer = await send(ask, source=written)
    assert answer.status_code == (202 if read else 400 if "\xe9" in written or "%C0" in written else 403), (
        answer.text
    )
    assert len(await rows(OUTBOX)) == read


# ------------------------------------------------------------------------------------------------ what


@pytest.mark.parametrize("kind", DATA)
async def test_whatever_a_portal_may_publish_it_may_send_by_http(
    ask: Ask, rows: SelectRows, kind: str
) -> None:
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


async def test_the_same_event_again_is_the_same_event(ask: Ask, rows: SelectRows) -> None:
    ce_id, data = str(uuid.uuid4()), a_request()
    first = accepted(await send(ask, data, id=ce_id))
    later = accepted(await send(ask, dict(reversed(data.items())), id=ce_id.upper(), time=None))
    in_other_mode = accepted(await post(ask, structured(data, id=ce_id), STRUCTURED))
    assert first == later == in_other_mode
    assert len(await rows(OUTBOX)) == 1


async def test_the_same_event_sent_twice_at_once_is_one_event(ask: Ask, rows: SelectRows) -> None:
    ce_id, data = str(uuid.uuid4()), a_request()
    answers = await asyncio.gather(*(send(ask, data, id=ce_id) for _ in range(8)))
    assert len({accepted(answer) for answer in answers}) == 1
    assert len(await rows(OUTBOX)) == 1


@pytest.mark.parametrize("changed", [{"session_id": str(uuid.uuid4())}, {"agent": AGENT}])
async def test_an_id_that_was_used_for_something_else_is_refused(
    ask: Ask, rows: SelectRows, changed: dict[str, Any]
) -> None:
    ce_id = str(uuid.uuid4())
    accepted(await send(ask, id=ce_id))
    answer = await send(ask, a_request(**changed), id=ce_id)
    problem(answer, 409)
    assert answer.json()["code"] == "id_used"
    assert len(await rows(OUTBOX)) == 1


async def test_an_id_belongs_to_its_portal(ask: Ask, rows: SelectRows) -> None:
    ce_id = str(uuid.uuid4())
    for by in (PORTAL, "portail-deux"):
        accepted(await send(ask, a_request(approval=None), id=ce_id, by=by))
    assert [event.source for event in await rows(OUTBOX)] == [
        "/portals/portail-bretagne",
        "/portals/portail-deux",
    ]


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


async def test_in_a_trial_an_admin_speaks_for_its_portal(ask: Ask, rows: SelectRows) -> None:
    accepted(await send(ask, by="siege", source="/portals/essai"))
    assert [event.source for event in await rows(OUTBOX)] == ["/portals/essai"]


async def test_outside_a_trial_an_admin_speaks_for_no_portal(asking: Callable[..., Ask]) -> None:
    problem(await send(asking(parcours_trial=False), by="siege"), 403)


async def test_what_could_not_be_signed_is_not_accepted(asking: Callable[..., Ask], rows: SelectRows) -> None:
    ask = asking(intake_signing_key=None)
    problem(await send(ask), 503)
    accepted(await send(ask, by="siege", source="/portals/essai"))
    assert len(await rows(OUTBOX)) == 1


async def test_only_portals_may_send_and_nothing_is_read_before_the_token(ask: Ask, rows: SelectRows) -> None:
    for by, status in ((None, 401), ("nobody", 401), ("advisor-bretagne", 403)):
        problem(await post(ask, b"{", STRUCTURED, by), status)
    assert await rows(OUTBOX) == []


@pytest.mark.parametrize("source", ["/portals/portail-deux", "/portals/none", "/services/enrolment", "x"])
async def test_a_portal_speaks_for_no_other(ask: Ask, rows: SelectRows, source: str) -> None:
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
