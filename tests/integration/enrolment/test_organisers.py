"""What is of another delegation does not exist for an organiser, and each exported sheet is logged."""

from typing import Any
from uuid import uuid4

import pytest
from starlette.routing import Route

from shared.events.catalogue import SessionState
from shared.events.vocabulary import Agent
from tests.conftest import Ask, SecurityLines
from tests.integration.enrolment.conftest import Front, SelectRows, ToApplication
from tests.integration.enrolment.manage import MANAGE, OrganiserClient, hidden, log_in
from tests.integration.enrolment.organising import ADMIN, BRETAGNE, CORSE, CSV, SUPPORT, of
from tests.support.builders import an_agent

AGENT = an_agent("A-0")
BY_HAND = AGENT.model_dump(mode="json", exclude={"agent_id", "issuer"})
REQUESTS: list[tuple[str, str, Any]] = [
    ("GET", "sessions/{session_id}/roster", None),
    ("GET", "sessions/{session_id}/roster.csv", None),
    ("POST", "sessions/{session_id}/enrolments", BY_HAND),
    ("PUT", "sessions/{session_id}/selection", {"ranked": []}),
    ("GET", "sessions/{session_id}/selection.csv", None),
    ("PUT", "sessions/{session_id}/selection.csv", "agent_id;rank\nA-0;first\n"),
    ("POST", "sessions/{session_id}/attendance", {"records": [{"agent_id": "A-0", "attendance": "absent"}]}),
    ("GET", "sessions/{session_id}/attendance.csv", None),
    ("POST", "sessions/{session_id}/attendance.csv", "agent_id;attendance\nA-0;maybe\n"),
    ("GET", "sessions/{session_id}/messages", None),
    ("POST", "sessions/{session_id}/messages", {"text": "Bonjour"}),
    ("PUT", "enrolments/{enrolment_id}/priority", {"priority": 1, "reason": "r"}),
    ("POST", "enrolments/{enrolment_id}/withdrawal", {"by": "agent"}),
    ("POST", "enrolments/{enrolment_id}/offer-answer", {"accepted": True, "reason": "r"}),
    ("POST", "enrolments/{enrolment_id}/approval", {"granted": True, "reason": "r"}),
    ("PATCH", "enrolments/{enrolment_id}/agent", {"given_name": "Zo"}),
    ("GET", "enrolments/{enrolment_id}/certificate.pdf", None),
]


@pytest.fixture
async def seated(front: Front) -> tuple[SessionState, Agent]:
    """A session of Bretagne and an agent with its seat."""
    session = await front.open(AGENT)
    return session, AGENT


async def test_what_is_of_another_delegation_does_not_exist_by_json_or_sheet(
    front: Front, ask: Ask, security_lines: SecurityLines, seated: tuple[SessionState, Agent]
) -> None:
    enrolment_id = (await front.of(*seated)).enrolment_id
    ids = {"session_id": seated[0].session_id, "enrolment_id": enrolment_id}
    statuses = {}
    for method, path, body in REQUESTS:
        sent: dict[str, Any] = {"content": body, "headers": CSV} if isinstance(body, str) else {"json": body}
        there, nowhere = (f"/api/v1/{path}".format(**of) for of in (ids, dict.fromkeys(ids, uuid4())))
        by_whom = (there, CORSE), (nowhere, BRETAGNE), (there, SUPPORT), (there, None)
        answers = [await ask(method, address, by=by, **sent) for address, by in by_whom]
        statuses[method, path] = [answer.status_code for answer in answers]
    assert statuses == {(method, path): [404, 404, 403, 401] for method, path, _ in REQUESTS}
    refused = [
        line["where"] for line in security_lines() if (line["event"], line["outcome"]) == ("right", "refused")
    ]
    # A refused right is logged if the thing exists, and not if it does not.
    assert refused == [f"/api/v1/{path}" for _, path, _ in REQUESTS for _ in (CORSE, SUPPORT)]
    assert await front.states(*seated) == ["enrolled"]


async def test_an_organiser_for_all_may_use_each_operation(
    front: Front, ask: Ask, seated: tuple[SessionState, Agent]
) -> None:
    ids = {
        "session_id": seated[0].session_id,
        "enrolment_id": (await front.of(*seated)).enrolment_id,
    }
    refused = []
    for method, path, body in REQUESTS:
        sent: dict[str, Any] = {"content": body, "headers": CSV} if isinstance(body, str) else {"json": body}
        answer = await ask(method, f"/api/v1/{path}".format(**ids), by=ADMIN, **sent)
        refused += [(method, path)] if answer.status_code in (401, 403, 404) else []
    assert refused == []


EVERY_FIELD = {
    "version": "1",
    "by": "agent",
    "answer": "yes",
    "heard": "x",
    "priority": "1",
    "reason": "x",
    "note": "x",
    "email": "a@b.fr",
    "texte": "x",
    "audience": "enrolled",
    "envoyer": "oui",
    "code": "x",
    "brouillon": "",
    "action": "withdraw",
    "confirmer": "oui",
}
"""What the forms of all pages ask for; ids are added."""


async def test_what_is_of_another_delegation_is_on_no_page_and_changes_by_no_form(
    *,
    front: Front,
    visitor: OrganiserClient,
    application: ToApplication,
    rows: SelectRows,
    seated: tuple[SessionState, Agent],
) -> None:
    session_id, enrolment_id = str(seated[0].session_id), str((await front.of(*seated)).enrolment_id)
    await log_in(visitor, CORSE)
    key = hidden((await visitor.get(MANAGE)).text, "cle")
    ids = dict.fromkeys(("message", "choix", "autre", "laquelle"), enrolment_id)
    form = EVERY_FIELD | ids | {"to_session_id": session_id, f"p-{enrolment_id}": "attended"}
    form |= {"cle": key, "change": f"{enrolment_id} 0 - attended"}
    written = "SELECT count(*) FROM outbox UNION ALL SELECT count(*) FROM enrolment_change"
    before = await rows(written)
    routes = [route for route in application().routes if isinstance(route, Route)]
    pages = [page for page in routes if page.path.startswith(f"{MANAGE}/") and "uuid" in page.path]
    assert len(pages) > 20
    for page in pages:
        path = page.path.replace("{session_id:uuid}", session_id).replace("{file}", "participants.csv")
        path = path.replace("{enrolment_id:uuid}", enrolment_id)
        if "GET" in (page.methods or ()):
            assert (await visitor.get(path)).status_code == 404, path
        if "POST" in (page.methods or ()):
            assert (await visitor.post(path, data=form)).status_code == 404, path
            assert (await visitor.post(path, data=form | {"cle": "x"})).status_code == 403, path
    assert await rows(written) == before


async def test_each_sheet_of_people_that_is_taken_out_stands_in_the_security_log(
    ask: Ask, security_lines: SecurityLines, seated: tuple[SessionState, Agent]
) -> None:
    sheets = [of(seated[0], f"{kind}.csv") for kind in ("roster", "selection", "attendance")]
    for sheet in sheets:
        assert (await ask("GET", sheet, by=BRETAGNE)).status_code == 200
    places = [sheet.replace(str(seated[0].session_id), "{session_id}") for sheet in sheets]
    exported = [line for line in security_lines() if line["event"] == "export"]
    assert [(line["outcome"], line["where"]) for line in exported] == [("ok", place) for place in places]
    assert {line["who"].partition(":")[0] for line in exported} == {"organiser"}
