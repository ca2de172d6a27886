"""Requests of portals by HTTP: validated, once per key, in the outbox of the portals' topic or nowhere."""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import Row, text

from services.enrolment.service import intake
from shared.database import Database
from tests.integration.enrolment.conftest import Ask, problem
from tests.support.builders import an_agent, enrolment_request

Rows = Callable[..., Awaitable[list[Row[Any]]]]

PORTAL = "portail-bretagne"
SESSION = uuid.UUID("6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a11")
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def request(
    ask: Ask, body: Any, *, key: str | None = "a key", by: str | None = PORTAL, **headers: str
) -> httpx.Response:
    if key is not None:
        headers["idempotency-key"] = key
    return await ask("POST", "/api/v1/enrolment-requests", by=by, json=body, headers=headers)


def a_request(**changes: Any) -> dict[str, Any]:
    return {"data": enrolment_request(SESSION, an_agent("IEL-0048151")) | changes}


def accepted(answer: httpx.Response) -> uuid.UUID:
    assert answer.status_code == 202, answer.text
    body = answer.json()
    assert answer.headers["location"] == body["outcome_url"] == f"/api/v1/requests/{body['request_id']}"
    return uuid.UUID(body["request_id"])


OUTBOX = "SELECT topic, key, event_id, type, source, traceparent, data FROM outbox ORDER BY id"


async def test_a_request_goes_onto_the_portals_topic_as_the_portals_own(ask: Ask, rows: Rows) -> None:
    body = a_request()
    request_id = accepted(await request(ask, body, traceparent=TRACE))

    [event] = await rows(OUTBOX)
    assert (event.topic, event.key) == ("portal.enrolments", str(SESSION))
    assert event.type == "fr.cnfpt.portal.EnrolmentRequested.v1"
    assert (event.event_id, event.source, event.traceparent) == (request_id, f"/portals/{PORTAL}", TRACE)
    assert json.loads(event.data) == body["data"]


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("EnrolmentRequested", {"agent": an_agent().model_dump(mode="json")}),
        (
            "GroupEnrolmentRequested",
            {
                "agents": [an_agent().model_dump(mode="json") for _ in range(500)],
                "requested_by": {"name": "Une responsable", "email": "formation@ville-exemple.fr"},
            },
        ),
        ("WithdrawalRequested", {"agent_id": "IEL-1", "reason": "empêchement"}),
        ("ApprovalDecided", {"agent_id": "IEL-1", "granted": True, "decided_by": "Une cheffe"}),
        ("SeatOfferAnswered", {"agent_id": "IEL-1", "accepted": True}),
    ],
)
async def test_whatever_a_portal_may_publish_it_may_ask_by_http(
    ask: Ask, rows: Rows, kind: str, data: dict[str, Any]
) -> None:
    body = {"type": kind, "data": {"session_id": str(SESSION)} | data}
    accepted(await request(ask, body))
    assert [event.type for event in await rows(OUTBOX)] == [f"fr.cnfpt.portal.{kind}.v1"]


async def test_the_same_request_again_is_the_same_request(ask: Ask, rows: Rows) -> None:
    body = a_request()
    first = accepted(await request(ask, body))
    again = accepted(await request(ask, {"data": dict(reversed(body["data"].items()))}, key='"a key"'))
    assert first == again
    assert len(await rows(OUTBOX)) == 1


async def test_the_same_request_sent_twice_at_once_is_one_request(ask: Ask, rows: Rows) -> None:
    body = a_request()
    answers = await asyncio.gather(*(request(ask, body) for _ in range(8)))
    assert len({accepted(answer) for answer in answers}) == 1
    assert len(await rows(OUTBOX)) == 1


async def test_a_key_that_was_used_for_something_else_is_refused(ask: Ask, rows: Rows) -> None:
    accepted(await request(ask, a_request()))
    problem(await request(ask, a_request(approval=None, session_id=str(uuid.uuid4()))), 422)
    assert len(await rows(OUTBOX)) == 1


async def test_a_key_belongs_to_its_portal(ask: Ask, rows: Rows) -> None:
    first = accepted(await request(ask, a_request()))
    assert first != accepted(await request(ask, a_request(), by="portail-deux"))
    assert [event.source for event in await rows(OUTBOX)] == [
        "/portals/portail-bretagne",
        "/portals/portail-deux",
    ]


async def test_in_a_trial_an_admin_speaks_for_its_portal(ask: Ask, rows: Rows) -> None:
    accepted(await request(ask, a_request(), by="siege"))
    assert [event.source for event in await rows(OUTBOX)] == ["/portals/essai"]


async def test_outside_a_trial_an_admin_speaks_for_no_portal(asking: Callable[..., Ask]) -> None:
    problem(await request(asking(parcours_trial=False), a_request(), by="siege"), 403)


async def test_what_could_not_be_signed_is_not_accepted(asking: Callable[..., Ask], rows: Rows) -> None:
    ask = asking(intake_signing_key=None)
    problem(await request(ask, a_request()), 503)
    accepted(await request(ask, a_request(), by="siege"))
    assert len(await rows(OUTBOX)) == 1


@pytest.mark.parametrize("key", [None, "", '""', "é", "x" * 256, "two\tparts"])
async def test_without_a_usable_key_nothing_is_accepted(ask: Ask, rows: Rows, key: str | None) -> None:
    assert problem(await request(ask, a_request(), key=key), 400) == []
    assert await rows(OUTBOX) == []


async def test_only_portals_may_ask(ask: Ask, rows: Rows) -> None:
    problem(await request(ask, a_request(), by=None), 401)
    problem(await request(ask, a_request(), by="nobody"), 401)
    problem(await request(ask, a_request(), by="advisor-bretagne"), 403)
    assert await rows(OUTBOX) == []


AGENT = an_agent("IEL-1").model_dump(mode="json")


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"data": {}}, {"body.EnrolmentRequested.data.session_id", "body.EnrolmentRequested.data.agent"}),
        ({"type": "TraineesNominated", "data": {}}, {"body"}),
        ({"type": ["EnrolmentRequested"], "data": {}}, {"body"}),
        ([], {"body"}),
        ({"data": {}, "more": 1}, None),
        (
            {
                "type": "GroupEnrolmentRequested",
                "data": {
                    "session_id": str(SESSION),
                    "agents": [AGENT, AGENT],
                    "requested_by": {"name": "A", "email": "a@b.fr"},
                },
            },
            {"body.GroupEnrolmentRequested.data.agents"},
        ),
        (
            {
                "type": "GroupEnrolmentRequested",
                "data": {
                    "session_id": str(SESSION),
                    "agents": [],
                    "requested_by": {"name": "A", "email": "a@b.fr"},
                },
            },
            {"body.GroupEnrolmentRequested.data.agents"},
        ),
    ],
)
async def test_what_breaks_the_contract_is_refused_by_field_and_changes_nothing(
    ask: Ask, rows: Rows, body: Any, fields: set[str] | None
) -> None:
    named = problem(await request(ask, body), 422)
    assert named
    assert fields is None or set(named) == fields
    assert await rows(OUTBOX) == []
    assert await rows("SELECT 1 FROM idempotency_key") == []


async def test_a_group_of_501_is_refused(ask: Ask) -> None:
    agents = [an_agent().model_dump(mode="json") for _ in range(501)]
    contact = {"name": "A", "email": "a@b.fr"}
    body = {"type": "GroupEnrolmentRequested", "data": {"session_id": str(SESSION), "agents": agents}}
    body["data"]["requested_by"] = contact  # type: ignore[index]
    assert problem(await request(ask, body), 422) == ["body.GroupEnrolmentRequested.data.agents"]


@pytest.mark.parametrize(("number", "fits"), [("21350238800019", True), ("35600000000048", True)])
@pytest.mark.parametrize("mistyped", [False, True])
async def test_a_siret_whose_check_digit_does_not_fit_is_refused(
    ask: Ask, rows: Rows, number: str, fits: bool, mistyped: bool
) -> None:
    number = number[:-1] + str((int(number[-1]) + 1) % 10) if mistyped else number
    employer = {"siret": number, "name": "Une collectivité", "delegation": "bretagne"}
    agent = an_agent(employer=employer).model_dump(mode="json")
    group = {
        "session_id": str(SESSION),
        "agents": [AGENT, agent],
        "requested_by": {"name": "A", "email": "a@b.fr"},
    }
    single, several = a_request(agent=agent), {"type": "GroupEnrolmentRequested", "data": group}
    if mistyped:
        assert problem(await request(ask, single), 422) == ["body.data.agent.employer.siret"]
        assert problem(await request(ask, several), 422) == ["body.data.agents.1.employer.siret"]
        assert await rows(OUTBOX) == []
    else:
        accepted(await request(ask, single, key="single"))
        accepted(await request(ask, several, key="several"))


async def test_the_outcome_of_a_request_that_is_on_its_way_is_pending(ask: Ask) -> None:
    request_id = accepted(await request(ask, a_request()))
    outcome = (await ask("GET", f"/api/v1/requests/{request_id}")).json()
    assert (outcome["request_id"], outcome["state"]) == (str(request_id), "pending")
    assert outcome["received_at"]
    assert outcome["outcome"] is outcome["reason"] is outcome["decided_at"] is None
    problem(await ask("GET", f"/api/v1/requests/{uuid.uuid4()}"), 404)


async def test_a_token_that_asks_too_often_is_told_when_to_come_again(asking: Callable[..., Ask]) -> None:
    ask = asking(enrolment_intake_rate="2/minute")
    for number in range(2):
        accepted(await request(ask, a_request(), key=str(number)))
    answer = await request(ask, a_request(), key="3")
    assert problem(answer, 429) == []
    assert 0 < int(answer.headers["retry-after"]) <= 60
    accepted(await request(ask, a_request(), by="portail-deux"))


async def test_keys_are_forgotten_after_thirty_days(ask: Ask, rows: Rows, database: Database) -> None:
    for key in ("old", "young"):
        accepted(await request(ask, a_request(), key=key))
    async with database.transaction() as tx:
        await tx.execute(
            text(
                "UPDATE idempotency_key SET created_at = now() - "
                "CASE key WHEN 'old' THEN interval '30 days' ELSE interval '29 days' END"
            )
        )
    async with database.transaction() as tx:
        await intake.delete_old_keys(tx)
    assert [row.key for row in await rows("SELECT key FROM idempotency_key")] == ["young"]
