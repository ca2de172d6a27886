"""What organisers see and do: their own delegation's sessions alone."""

import logging
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from services.enrolment.jobs import expire
from services.enrolment.rules.policy import Policy
from shared import clock, security_log
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Agent
from tests.conftest import Ask
from tests.integration.enrolment.conftest import Front, problem
from tests.integration.enrolment.organising import (
    ADMIN,
    BRETAGNE,
    CORSE,
    CSV,
    MODULES,
    SUPPORT,
    lines,
    listed,
    of,
)
from tests.support.builders import an_agent, open_now

# ------------------------------------------------------------------------------------------- rosters


async def a_full_session(front: Front) -> tuple[SessionState, list[Agent]]:
    """One enrolled, one with an offer, two waiting, one refused, one gone."""
    session = open_now(capacity=2, waiting_list="offer")
    agents = [an_agent(f"A-{number}") for number in range(5)]
    await front.publish(session)
    await front.enrol(session, *agents)
    await front.withdraw(session, agents[1])  # whose seat is offered to A-2
    await front.enrol(session, agents[0])  # refused: enrolled already
    return session, agents


async def test_a_roster_lists_everybody_in_order_and_says_why(front: Front, ask: Ask) -> None:
    session, _ = await a_full_session(front)
    entries = await listed(ask, session)
    assert [
        (entry["agent"]["agent_id"], entry["state"], entry["position"], entry["reason"]) for entry in entries
    ] == [
        ("A-0", "enrolled", None, None),
        ("A-2", "offered", None, None),
        ("A-3", "waitlisted", 1, None),
        ("A-4", "waitlisted", 2, None),
        ("A-0", "refused", None, "already_enrolled"),
        ("A-1", "withdrawn", None, None),
    ]
    assert entries[1]["hold_until"] is not None
    assert {entry["address_is_bad"] for entry in entries} == {False}


async def test_who_waited_until_the_end_stands_in_the_roster_and_its_sheet(
    front: Front, ask: Ask, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, first, waiting = open_now(capacity=1), an_agent("A-1"), an_agent("A-2")
    await front.publish(session)
    await front.enrol(session, first, waiting)
    after = session.starts_at + timedelta(days=1)
    monkeypatch.setattr(clock, "now", lambda: after)
    await expire(database, Policy(), after)

    states = [(entry["agent"]["agent_id"], entry["state"]) for entry in await listed(ask, session)]

    assert states == [("A-1", "enrolled"), ("A-2", "not_obtained")]
    sheet = lines(await ask("GET", of(session, "roster.csv"), by=BRETAGNE))
    assert [line[0] for line in sheet[1:]] == [
        "inscription confirmée",
        "sans place à la fin de la liste d’attente",
    ]


async def test_a_roster_is_read_page_by_page_and_by_state(front: Front, ask: Ask) -> None:
    session, _ = await a_full_session(front)
    whole = await listed(ask, session)
    found: list[dict[str, Any]] = []
    cursor: str | None = ""
    pages = 0
    while cursor is not None:
        after = f"&cursor={cursor}" if cursor else ""
        page = (await ask("GET", of(session, f"roster?limit=2{after}"), by=BRETAGNE)).json()
        found += page["items"]
        cursor, pages = page["next"], pages + 1
    assert (found, pages) == (whole, 3)
    waiting = await listed(ask, session, "?state=waitlisted&state=offered")
    assert [entry["state"] for entry in waiting] == ["offered", "waitlisted", "waitlisted"]
    assert [entry["position"] for entry in waiting] == [None, 1, 2]


@pytest.mark.parametrize("query", ["?limit=0", "?limit=201", "?cursor=x", "?state=happy", "?page=2"])
async def test_a_roster_cannot_be_asked_for_otherwise(front: Front, ask: Ask, query: str) -> None:
    session, _ = await a_full_session(front)
    assert problem(await ask("GET", of(session, f"roster{query}"), by=BRETAGNE), 422)


async def test_whose_mails_come_back_is_marked(front: Front, ask: Ask, database: Database) -> None:
    session, _ = await a_full_session(front)
    async with database.transaction() as tx:
        await tx.execute(text("INSERT INTO bad_address VALUES ('', 'A-3', now())"))
    assert [
        entry["agent"]["agent_id"] for entry in await listed(ask, session) if entry["address_is_bad"]
    ] == ["A-3"]
    heading, *rest = lines(await ask("GET", of(session, "roster.csv"), by=BRETAGNE))
    place = heading.index("Courriel à vérifier")
    assert [line[place] for line in rest] == ["", "", "oui", "", "", ""]


async def test_the_roster_as_a_sheet_is_in_french_and_runs_no_formula(front: Front, ask: Ask) -> None:
    session, agent = open_now(modules=MODULES), an_agent("A-0", given_name="=1+1", family_name="@SUM(A1)")
    await front.publish(session)
    await front.enrol(session, agent)
    heading, line = lines(await ask("GET", of(session, "roster.csv"), by=BRETAGNE))
    published = dict(zip(heading, line, strict=True))
    assert published["Situation"] == "inscription confirmée"
    assert (published["Prénom"], published["Nom"]) == ("'=1+1", "'@SUM(A1)")
    assert published["Fonction"] == "agente ou agent"
    assert {"Séance 1 : Comprendre", "Séance 2 : Pratiquer"} <= set(published)


@pytest.mark.parametrize("sheet", ["roster.csv", "selection.csv", "attendance.csv"])
async def test_each_sheet_of_people_that_is_taken_out_stands_in_the_security_log(
    front: Front, ask: Ask, caplog: pytest.LogCaptureFixture, sheet: str
) -> None:
    session, _ = await a_full_session(front)
    caplog.set_level(logging.INFO, logger=security_log.LOGGER)
    assert (await ask("GET", of(session, sheet), by=BRETAGNE)).status_code == 200
    let_in, line = [vars(record) for record in caplog.records if record.name == security_log.LOGGER]
    assert (let_in["event"], let_in["outcome"], let_in["who"]) == ("token", "ok", line["who"])
    assert (line["event"], line["outcome"]) == ("export", "ok")
    assert line["who"].startswith("organiser:")
    assert line["where"] == f"/api/v1/sessions/{{session_id}}/{sheet}"


# ------------------------------------------------------------------------------------------- whose


def refused_rights(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Where the security log says that a right was refused."""
    lines = [vars(record) for record in caplog.records if record.name == security_log.LOGGER]
    return [line["where"] for line in lines if (line["event"], line["outcome"]) == ("right", "refused")]


@pytest.mark.parametrize(
    ("method", "rest", "body"),
    [
        ("GET", "roster", None),
        ("GET", "roster.csv", None),
        ("PUT", "selection", {"ranked": []}),
        ("GET", "selection.csv", None),
        ("PUT", "selection.csv", "agent_id;rank\nA-0;first\n"),
        ("POST", "attendance", {"records": [{"agent_id": "A-0", "attendance": "attended"}]}),
        ("GET", "attendance.csv", None),
        ("POST", "attendance.csv", "agent_id;attendance\nA-0;maybe\n"),
    ],
)
async def test_a_session_of_another_delegation_does_not_exist(
    *, front: Front, ask: Ask, caplog: pytest.LogCaptureFixture, method: str, rest: str, body: Any
) -> None:
    session, _ = await a_full_session(front)
    caplog.set_level(logging.INFO, logger=security_log.LOGGER)
    content: dict[str, Any] = (
        {"content": body, "headers": CSV} if isinstance(body, str) else {"json": body} if body else {}
    )
    problem(await ask(method, of(session, rest), by=CORSE, **content), 404)
    problem(await ask(method, f"/api/v1/sessions/{uuid4()}/{rest}", by=BRETAGNE, **content), 404)
    assert refused_rights(caplog) == [f"/api/v1/sessions/{{session_id}}/{rest}"], "of one that is another's"
    problem(await ask(method, of(session, rest), by=SUPPORT, **content), 403)
    problem(await ask(method, of(session, rest), **content), 401)
    assert (await ask(method, of(session, rest), by=ADMIN, **content)).status_code != 404


@pytest.mark.parametrize(
    ("method", "rest", "body"),
    [
        ("PUT", "priority", {"priority": 1, "reason": "r"}),
        ("POST", "withdrawal", {"by": "agent"}),
        ("POST", "offer-answer", {"accepted": True, "reason": "r"}),
        ("POST", "approval", {"granted": True, "reason": "r"}),
        ("PATCH", "agent", {"given_name": "Zo"}),
    ],
)
async def test_an_enrolment_of_another_delegation_does_not_exist(
    *, front: Front, ask: Ask, caplog: pytest.LogCaptureFixture, method: str, rest: str, body: Any
) -> None:
    session, agents = await a_full_session(front)
    caplog.set_level(logging.INFO, logger=security_log.LOGGER)
    enrolment_id = (await front.of(session, agents[3])).enrolment_id
    problem(await ask(method, f"/api/v1/enrolments/{enrolment_id}/{rest}", by=CORSE, json=body), 404)
    problem(await ask(method, f"/api/v1/enrolments/{uuid4()}/{rest}", by=BRETAGNE, json=body), 404)
    assert refused_rights(caplog) == [f"/api/v1/enrolments/{{enrolment_id}}/{rest}"]
    assert await front.states(session, agents[3]) == ["waitlisted"]
