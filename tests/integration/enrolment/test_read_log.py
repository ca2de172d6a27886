"""Who of the staff has read what of whom stays known, and the agent is told; portals leave no line."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from services.enrolment.rules.requests import GroupRequest, SeatRequest
from services.enrolment.service import answers
from services.enrolment.service.explain import explain
from shared import clock
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Agent
from shared.messaging.erasure import Eraser
from shared.permissions import Role
from shared.personal_data import Subject
from shared.read_log import Reading
from tests.conftest import Ask
from tests.integration.enrolment.conftest import Front, SelectRows
from tests.support.builders import an_agent, open_now

Reads = Callable[[], Awaitable[list[tuple[Any, ...]]]]
Filled = tuple[SessionState, Agent]

BRETAGNE, CORSE, ADMIN, PORTAL = "advisor-bretagne", "advisor-corse", "siege", "portail-bretagne"
NUMBER_ANSWERS = (
    "UPDATE outbox SET cursor = numbered.number, sent_at = now() FROM (SELECT id, row_number() OVER "
    "(PARTITION BY portal ORDER BY id) AS number FROM outbox WHERE portal IS NOT NULL) AS numbered "
    "WHERE numbered.id = outbox.id"
)
OPEN_FEEDS = (
    "INSERT INTO portal_feed SELECT portal, max(cursor) FROM outbox WHERE portal IS NOT NULL GROUP BY 1"
)
ORGANISING, ADMINISTRATION = "organisation de la session", "administration"


@pytest.fixture
async def filled(front: Front) -> Filled:
    """A session of Bretagne, and who is enrolled in it."""
    session, agent = open_now(capacity=2), an_agent("A-1", issuer=PORTAL)
    await front.publish(session)
    await front.enrol(session, agent)
    return session, agent


@pytest.fixture
def reads(rows: SelectRows) -> Reads:
    async def reads() -> list[tuple[Any, ...]]:
        columns = "actor, role, kind, issuer, agent_id, session_id, purpose"
        return [tuple(row) for row in await rows(f"SELECT {columns} FROM read_log ORDER BY id")]

    return reads


async def test_each_read_of_a_session_is_a_line(filled: Filled, ask: Ask, reads: Reads) -> None:
    session, _ = filled
    home = f"/api/v1/sessions/{session.session_id}"
    for path in ("roster", "roster.csv", "selection.csv", "attendance.csv"):
        assert (await ask("GET", f"{home}/{path}", by=BRETAGNE)).status_code == 200
        assert (await ask("GET", f"{home}/{path}", by=CORSE)).status_code == 404
    purpose = {"read-purpose": "contr%C3%B4le des pr%C3%A9sences"}
    assert (await ask("GET", f"{home}/roster", by=ADMIN, headers=purpose)).status_code == 200
    of_session = (None, None, session.session_id)
    assert await reads() == [
        (BRETAGNE, "organiser", "roster", *of_session, ORGANISING),
        *[(BRETAGNE, "organiser", "sheet", *of_session, ORGANISING)] * 3,
        (ADMIN, "admin", "roster", *of_session, "contrôle des présences"),
    ]


async def test_a_purpose_that_says_nothing_is_refused(filled: Filled, ask: Ask, reads: Reads) -> None:
    session, _ = filled
    roster = f"/api/v1/sessions/{session.session_id}/roster"
    for purpose in ("", "x", "a%00bcd", "%E2%80%AEabc"):
        answer = await ask("GET", roster, by=BRETAGNE, headers={"read-purpose": purpose})
        assert (answer.status_code, answer.json()["code"]) == (400, "purpose_needed"), purpose
    assert await reads() == []


async def test_each_read_of_an_agent_by_staff_is_a_line_and_none_by_portals(
    filled: Filled, front: Front, ask: Ask, reads: Reads
) -> None:
    session, agent = filled
    request = SeatRequest(
        uuid4(), clock.now(), session.session_id, an_agent("A-2", issuer=PORTAL), approved=False,
        source=f"/portals/{PORTAL}", portal=PORTAL,
    )  # fmt: skip
    await front.answer(request)
    enrolment_id = (await front.of(session, agent)).enrolment_id
    for path in ("/enrolments?agent_id=A-1", f"/requests/{request.request_id}"):
        assert (await ask("GET", f"/api/v1{path}", by=PORTAL)).status_code == 200
    assert await reads() == []
    for path in ("/enrolments?agent_id=A-1", "/enrolments?agent_id=A-9", f"/requests/{request.request_id}"):
        assert (await ask("GET", f"/api/v1{path}", by=ADMIN)).status_code == 200
    certificate = await ask("GET", f"/api/v1/enrolments/{enrolment_id}/certificate.pdf", by=BRETAGNE)
    assert certificate.status_code == 409
    assert await reads() == [
        (ADMIN, "admin", "enrolments", PORTAL, "A-1", None, ADMINISTRATION),
        (ADMIN, "admin", "enrolments", None, None, None, ADMINISTRATION),
        (ADMIN, "admin", "request", PORTAL, "A-2", session.session_id, ADMINISTRATION),
        (BRETAGNE, "organiser", "certificate", PORTAL, "A-1", session.session_id, ORGANISING),
    ]


async def test_staff_that_read_a_portals_answers_leave_a_line_for_each_agent(
    answering: Database, reads: Reads
) -> None:
    front, session = Front(answering), open_now()
    await front.publish(session)
    await front.enrol(session, an_agent("A-1", issuer="iel"), an_agent("A-2", issuer="iel"))
    async with answering.quiet_transaction() as tx:
        for statement in (NUMBER_ANSWERS, OPEN_FEEDS):
            await tx.execute(text(statement))
        assert len((await answers.page(tx, "iel", 0, 10)).answers) == 2
        await answers.page(tx, "iel", 0, 10, Reading("siege", Role.ADMIN, ADMINISTRATION))
        last = await answers.page(tx, "iel", 1, 10, Reading("siege", Role.ADMIN, "appel de Zoe"))
        assert len(last.answers) == 1
        whole = await tx.scalars(text("SELECT may_name_others FROM read_log ORDER BY id"))
        assert list(whole) == [False, False, True], "of one in a feed the purpose may name another"
    lines = [line[2:5] for line in await reads()]
    assert lines == [("answers", "iel", agent) for agent in ("A-1", "A-2", "A-2")]


async def test_an_explanation_is_a_read_too(
    filled: Filled, front: Front, database: Database, reads: Reads
) -> None:
    session, agent = filled
    group = GroupRequest(
        uuid4(), clock.now(), session.session_id, (an_agent("G-1"), an_agent("G-2")), all_or_nothing=False
    )
    await front.answer(group)
    for identifier in (agent.agent_id, session.session_id, group.request_id, "nobody"):
        async with database.quiet_transaction() as tx:
            await explain(tx, str(identifier), Reading.by_command("exploitante"))
    lines = [(line[0], *line[2:6]) for line in await reads()]
    assert lines == [
        ("exploitante", "explanation", PORTAL, "A-1", None),
        ("exploitante", "explanation", None, None, session.session_id),
        ("exploitante", "explanation", None, None, session.session_id),
    ]


async def test_an_export_lists_the_readers_of_an_agent_and_of_the_agents_sessions(
    filled: Filled, front: Front, ask: Ask, erasing: Eraser, rows: SelectRows
) -> None:
    session, agent = filled
    about_zoe = {"read-purpose": "dossier de Zoe"}
    await ask("GET", f"/api/v1/sessions/{session.session_id}/roster", by=BRETAGNE)
    for path in ("enrolments?agent_id=A-1", f"sessions/{session.session_id}/roster"):
        await ask("GET", f"/api/v1/{path}", by=ADMIN, headers=about_zoe)
    later, other = an_agent("A-2", issuer=PORTAL), open_now()
    await front.enrol(session, later)  # when the roster had been read
    await front.publish(other)
    await ask("GET", f"/api/v1/sessions/{other.session_id}/roster", by=BRETAGNE)
    async with erasing.database.quiet_transaction() as tx:
        lines = (await erasing.export(tx, agent.key))["read_log"]
        assert "read_log" not in await erasing.export(tx, later.key)
        assert {(line["actor"], line["kind"], line.get("purpose")) for line in lines} == {
            (BRETAGNE, "roster", ORGANISING),
            (ADMIN, "enrolments", "dossier de Zoe"),
            (ADMIN, "roster", None),  # the purpose may be about somebody else of the roster
        }
        await erasing._erase(tx, Subject(agent=agent.key, until=clock.now()))
    assert [tuple(row) for row in await rows("SELECT agent_id, purpose FROM read_log ORDER BY id")] == [
        (None, ORGANISING), (None, None), (None, "dossier de Zoe"), (None, ORGANISING),
    ]  # fmt: skip


async def test_staff_may_export_when_they_changed_an_enrolment_and_it_stays(
    filled: Filled, front: Front, ask: Ask, erasing: Eraser, rows: SelectRows
) -> None:
    session, agent = filled
    enrolment_id = (await front.of(session, agent)).enrolment_id
    home = f"/api/v1/enrolments/{enrolment_id}"
    assert (await ask("PATCH", f"{home}/agent", by=BRETAGNE, json={"given_name": "Zo"})).status_code == 200
    assert (await ask("POST", f"{home}/withdrawal", by=BRETAGNE, json={"by": "agent"})).status_code == 200
    async with erasing.database.quiet_transaction() as tx:
        exported = await erasing.export(tx, BRETAGNE.upper())
        [proof], [corrected] = exported["enrolment_change"], exported["correction"]
        assert "enrolment_change" not in await erasing.export(tx, CORSE)
    for line in (proof, corrected):
        assert (set(line), line["actor"]) == ({"at", "actor"}, BRETAGNE), "and nothing of the agent"

    assert await erasing.forget(BRETAGNE, uuid4())

    kept = await rows("SELECT facts->>'author' AS author FROM enrolment_change")
    assert [row.author for row in kept] == [BRETAGNE]
    assert [row.author for row in await rows("SELECT author FROM correction")] == [BRETAGNE]
