"""What organisers see and do, by JSON and by sheets: their own delegation's sessions, all or nothing."""

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import Row, text

from shared import security_log
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Agent, Status
from tests.integration.enrolment.conftest import Ask, Front, problem
from tests.support.builders import an_agent, open_now

Rows = Callable[..., Awaitable[list[Row[Any]]]]

BRETAGNE, CORSE, ADMIN, SUPPORT = "advisor-bretagne", "advisor-corse", "siege", "assistance"
CSV = {"content-type": "text/csv"}


def of(session: SessionState, rest: str) -> str:
    return f"/api/v1/sessions/{session.session_id}/{rest}"


async def listed(ask: Ask, session: SessionState, query: str = "") -> list[dict[str, Any]]:
    answer = await ask("GET", of(session, f"roster{query}"), by=BRETAGNE)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def lines(answer: httpx.Response) -> list[list[str]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"].startswith("attachment; ")
    return [line.split(";") for line in answer.content.decode("utf-8-sig").splitlines()]


async def send(ask: Ask, method: str, path: str, sheet: str | bytes, *, by: str = BRETAGNE) -> httpx.Response:
    content = sheet.encode() if isinstance(sheet, str) else sheet
    return await ask(method, path, by=by, content=content, headers=CSV)


async def told_of(rows: Rows, kind: str, agent_id: str = "%") -> list[dict[str, Any]]:
    """The data of the events of a kind, in order; of one agent, or all."""
    found = await rows(
        "SELECT CAST(data AS jsonb) AS data FROM outbox WHERE type LIKE :kind AND key LIKE :key ORDER BY id",
        kind=f"%.{kind}.v1",
        key=agent_id,
    )
    return [row.data for row in found]


def by_line(answer: httpx.Response) -> list[tuple[int, str]]:
    """What is wrong with a sheet: line and code."""
    problem(answer, 422)
    return [(int(error["line"]), error["code"]) for error in answer.json()["errors"]]


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
    [("PUT", "priority", {"priority": 1, "reason": "r"}), ("POST", "withdrawal", {"by": "agent"})],
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


# ------------------------------------------------------------------------------------------- selection


async def an_inet_session(front: Front, **changes: Any) -> tuple[SessionState, list[Agent]]:
    session = open_now(approval="selection", capacity=1, **changes)
    agents = [an_agent(f"C-{number}") for number in range(3)]
    await front.publish(session)
    await front.enrol(session, *agents)
    return session, agents


async def test_a_ranking_decides_about_all_at_once_and_keeps_its_author(
    front: Front, ask: Ask, rows: Rows
) -> None:
    session, agents = await an_inet_session(front)
    ranking = {"ranked": ["C-2", "C-0"], "not_selected": ["C-1"]}
    answer = await ask("PUT", of(session, "selection"), by=BRETAGNE, json=ranking)
    assert answer.json() == {"enrolled": 1, "waitlisted": 1, "refused": 1}
    assert await front.states(session, *agents) == ["waitlisted", "refused", "enrolled"]
    authors = await rows("SELECT DISTINCT facts->>'author' AS author FROM enrolment_change")
    assert [row.author for row in authors] == [BRETAGNE]


@pytest.mark.parametrize(
    ("ranking", "errors"),
    [
        ({"ranked": ["C-0", "C-1"]}, {("missing", "C-2")}),
        ({"ranked": ["C-0", "C-1", "C-2", "C-9"]}, {("unknown", "C-9")}),
        ({"ranked": ["C-0", "C-1"], "not_selected": ["C-2", "C-1"]}, {("twice", "C-1")}),
        ({}, {("missing", "C-0"), ("missing", "C-1"), ("missing", "C-2")}),
    ],
)
async def test_a_ranking_that_is_not_of_all_who_applied_changes_nothing(
    front: Front, ask: Ask, ranking: dict[str, Any], errors: set[tuple[str, str]]
) -> None:
    session, agents = await an_inet_session(front)
    answer = await ask("PUT", of(session, "selection"), by=BRETAGNE, json=ranking)
    problem(answer, 422)
    assert {(error["code"], error["agent_id"]) for error in answer.json()["errors"]} == errors
    assert await front.states(session, *agents) == ["pending_selection"] * 3


async def test_the_candidates_come_as_a_sheet_that_goes_back_filled_in(front: Front, ask: Ask) -> None:
    session, agents = await an_inet_session(front)
    heading, *candidates = lines(await ask("GET", of(session, "selection.csv"), by=BRETAGNE))
    assert heading[:2] == ["Rang", "Identifiant"]
    cells = dict(zip(("C-0", "C-1", "C-2"), ("20", "Non retenue", "3"), strict=True))
    filled = "\r\n".join(";".join(line) for line in [heading, *([cells[c[1]], *c[1:]] for c in candidates)])
    answer = await send(ask, "PUT", of(session, "selection.csv"), filled.encode("cp1252"))
    assert answer.json() == {"enrolled": 1, "waitlisted": 1, "refused": 1}
    assert await front.states(session, *agents) == ["waitlisted", "refused", "enrolled"]


@pytest.mark.parametrize(
    ("sheet", "errors"),
    [
        ("Identifiant;Rang\nC-0;1\nC-1;1\nC-2;\nC-0;2\n;3\n", [
            (3, "rank_twice"), (4, "not_a_rank"), (5, "twice"), (6, "empty"),
        ]),
        ("Identifiant;Rang\nC-0;0\nC-1;-1\nC-2;1,5\n", [(n, "not_a_rank") for n in (2, 3, 4)]),
        ("Identifiant;Rang\nC-0;1\n\nC-9;2\nC-1;non\n", [(1, "missing"), (4, "unknown")]),
        ("Identifiant\nC-0\n", [(1, "column_missing")]),
        ('Identifiant;Rang\n"C-0;1\n', [(2, "bad_quotes")]),
        ("", [(1, "empty")]),
    ],
)  # fmt: skip
async def test_a_sheet_that_cannot_be_a_ranking_is_refused_line_by_line(
    front: Front, ask: Ask, sheet: str, errors: list[tuple[int, str]]
) -> None:
    session, agents = await an_inet_session(front)
    assert by_line(await send(ask, "PUT", of(session, "selection.csv"), sheet)) == errors
    assert await front.states(session, *agents) == ["pending_selection"] * 3


async def test_what_is_decided_is_not_decided_again(front: Front, ask: Ask) -> None:
    session, agents = await an_inet_session(front)
    ranking = {"ranked": [agent.agent_id for agent in agents]}
    assert (await ask("PUT", of(session, "selection"), by=BRETAGNE, json=ranking)).status_code == 200
    problem(await ask("PUT", of(session, "selection"), by=BRETAGNE, json=ranking), 422)


async def test_nobody_is_selected_for_a_cancelled_session(front: Front, ask: Ask) -> None:
    session, _ = await an_inet_session(front)
    await front.publish(session.model_copy(update={"version": 2, "status": Status.CANCELLED}))
    problem(await ask("PUT", of(session, "selection"), by=BRETAGNE, json={}), 409)


async def test_a_sheet_must_be_sent_as_one(front: Front, ask: Ask) -> None:
    session, _ = await an_inet_session(front)
    problem(await ask("PUT", of(session, "selection.csv"), by=BRETAGNE, json={"ranked": []}), 415)


# ------------------------------------------------------------------------------------------- one enrolment


def path_of(enrolment: Row[Any], rest: str) -> str:
    return f"/api/v1/enrolments/{enrolment.enrolment_id}/{rest}"


async def test_a_priority_moves_somebody_in_line_and_keeps_author_and_reason(
    front: Front, ask: Ask, rows: Rows
) -> None:
    session, agents = await a_full_session(front)
    last = await front.of(session, agents[4])
    change = {"priority": 5, "reason": "Projet en cours"}
    answer = await ask("PUT", path_of(last, "priority"), by=BRETAGNE, json=change)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["position"], answer.json()["priority"]) == (1, 5)
    waiting = await listed(ask, session, "?state=waitlisted")
    assert [entry["agent"]["agent_id"] for entry in waiting] == ["A-4", "A-3"]
    [kept] = await rows("SELECT facts FROM enrolment_change WHERE cause = 'priority'")
    assert (kept.facts["author"], kept.facts["reason"]) == (BRETAGNE, "Projet en cours")


@pytest.mark.parametrize(
    "body",
    [
        {"priority": 5},
        {"priority": 5, "reason": " "},
        {"priority": 1001, "reason": "r"},
        {"priority": -1, "reason": "r"},
    ],
)
async def test_a_priority_without_a_reason_is_refused(front: Front, ask: Ask, body: dict[str, Any]) -> None:
    session, agents = await a_full_session(front)
    assert problem(
        await ask("PUT", path_of(await front.of(session, agents[4]), "priority"), by=BRETAGNE, json=body), 422
    )


async def test_only_who_waits_has_a_priority(front: Front, ask: Ask) -> None:
    session, agents = await a_full_session(front)
    body = {"priority": 5, "reason": "r"}
    for agent in agents[:3]:
        problem(
            await ask("PUT", path_of(await front.of(session, agent), "priority"), by=BRETAGNE, json=body), 409
        )


async def test_an_organiser_withdraws_somebody_and_the_next_is_served(
    front: Front, ask: Ask, rows: Rows
) -> None:
    session, agents = await a_full_session(front)
    body = {"by": "employer", "reason": "Mutation"}
    answer = await ask(
        "POST", path_of(await front.of(session, agents[0]), "withdrawal"), by=BRETAGNE, json=body
    )
    # The last enrolment of A-0 is the refusal: the seat is another enrolment.
    problem(answer, 409)
    seat = next(entry for entry in await listed(ask, session) if entry["state"] == "enrolled")
    answer = await ask(
        "POST", f"/api/v1/enrolments/{seat['enrolment_id']}/withdrawal", by=BRETAGNE, json=body
    )
    assert answer.json()["state"] == "withdrawn", answer.text
    assert await front.states(session, agents[3]) == ["offered"]
    [published] = await told_of(rows, "EnrolmentWithdrawn", agent_id="A-0")
    assert (published["by"], published["reason"]) == ("employer", "Mutation")
    [kept] = await rows("SELECT facts FROM enrolment_change WHERE cause = 'withdrawal' AND agent_id = 'A-0'")
    assert kept.facts["author"] == BRETAGNE


async def test_nobody_is_withdrawn_twice_nor_after_the_start_and_nothing_is_published(
    front: Front, ask: Ask, rows: Rows
) -> None:
    now = datetime.now(UTC)
    session, agent = open_now(starts_at=now - timedelta(hours=1)), an_agent()
    await front.publish(session)
    await front.enrol(session, agent)
    published = len(await rows("SELECT 1 FROM outbox"))
    answer = await ask(
        "POST", path_of(await front.of(session, agent), "withdrawal"), by=BRETAGNE, json={"by": "agent"}
    )
    assert "attendance" in answer.json()["detail"]
    problem(answer, 409)
    assert len(await rows("SELECT 1 FROM outbox")) == published


# ------------------------------------------------------------------------------------------- attendance

MODULES = [
    {"title": title, "starts_at": f"2025-03-{day}T08:30Z", "ends_at": f"2025-03-{day}T11:00Z"}
    for title, day in (("Comprendre", 18), ("Pratiquer", 20))
]


HEADING = "Identifiant;Présence;Numéro de séance\n"


async def a_session_that_ran(front: Front, **changes: Any) -> SessionState:
    now = datetime.now(UTC)
    session = open_now(**{"starts_at": now - timedelta(days=2), "modules": MODULES} | changes)
    await front.publish(session)
    await front.enrol(session, an_agent("A-0"), an_agent("A-1"))
    return session


def seen(agent_id: str, attendance: str, module: int | None = None) -> dict[str, Any]:
    return {"agent_id": agent_id, "attendance": attendance} | ({} if module is None else {"module": module})


async def test_attendance_at_every_module_certifies_who_came(front: Front, ask: Ask, rows: Rows) -> None:
    session = await a_session_that_ran(front)
    records = [seen("A-0", "attended", 1), seen("A-0", "absent_justified", 2), seen("A-1", "absent", 1)]
    answer = await ask("POST", of(session, "attendance"), by=BRETAGNE, json={"records": records})
    assert answer.json() == {"records": 3}, answer.text
    first, second = await listed(ask, session)
    assert (first["state"], second["state"]) == ("certified", "enrolled")
    assert first["attendance"] == [
        {"module": 1, "title": "Comprendre", "attendance": "attended"},
        {"module": 2, "title": "Pratiquer", "attendance": "absent_justified"},
    ]
    published = await told_of(rows, "AttendanceRecorded")
    assert [(event["agent"]["agent_id"], event["module"], event["certified"]) for event in published] == [
        ("A-0", "Comprendre", False),
        ("A-0", "Pratiquer", True),
        ("A-1", "Comprendre", False),
    ]


async def test_an_organiser_has_the_certificate_once_it_is_due(front: Front, ask: Ask) -> None:
    session = await a_session_that_ran(front, modules=[])
    entry = (await listed(ask, session))[0]
    path = f"/api/v1/enrolments/{entry['enrolment_id']}/certificate.pdf"
    problem(await ask("GET", path, by=BRETAGNE), 409)
    records = {"records": [seen("A-0", "attended")]}
    assert (await ask("POST", of(session, "attendance"), by=BRETAGNE, json=records)).status_code == 200
    answer = await ask("GET", path, by=BRETAGNE)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf")
    assert answer.content.startswith(b"%PDF-")
    problem(await ask("GET", path, by=CORSE), 404)


async def test_one_record_that_cannot_be_taken_refuses_all(front: Front, ask: Ask) -> None:
    session = await a_session_that_ran(front)
    records = [
        seen("A-0", "attended", 1),
        seen("A-9", "attended", 1),
        seen("A-1", "absent", 3),
        seen("A-1", "absent"),
        seen("A-0", "absent", 1),
    ]
    answer = await ask("POST", of(session, "attendance"), by=BRETAGNE, json={"records": records})
    assert problem(answer, 422) == [f"body.records.{number}" for number in (1, 2, 3, 4)]
    assert [error["code"] for error in answer.json()["errors"]] == [
        "not_enrolled",
        "no_such_module",
        "no_such_module",
        "contradiction",
    ]
    assert [entry["attendance"] for entry in await listed(ask, session)] == [[], []]


async def test_nobody_attended_what_has_not_begun(front: Front, ask: Ask) -> None:
    session = await a_session_that_ran(front, starts_at=datetime.now(UTC) + timedelta(days=1), modules=[])
    answer = await ask(
        "POST", of(session, "attendance"), by=BRETAGNE, json={"records": [seen("A-0", "attended")]}
    )
    problem(answer, 422)
    assert answer.json()["errors"][0]["code"] == "not_started"


async def test_attendance_comes_as_a_sheet_that_goes_back_filled_in(front: Front, ask: Ask) -> None:
    session = await a_session_that_ran(front)
    heading, *form = lines(await ask("GET", of(session, "attendance.csv"), by=BRETAGNE))
    assert [line[:4] for line in form] == [
        ["", "1", "Comprendre", "A-0"],
        ["", "1", "Comprendre", "A-1"],
        ["", "2", "Pratiquer", "A-0"],
        ["", "2", "Pratiquer", "A-1"],
    ]
    cells = ["Présence", "ABSENCE JUSTIFIÉE", "présente", ""]
    filled = "\n".join(
        ";".join(line) for line in [heading, *([s, *line[1:]] for s, line in zip(cells, form, strict=True))]
    )
    answer = await send(ask, "POST", of(session, "attendance.csv"), filled)
    assert answer.json() == {"records": 3}, answer.text
    assert [entry["state"] for entry in await listed(ask, session)] == ["certified", "enrolled"]
    again = lines(await ask("GET", of(session, "attendance.csv"), by=BRETAGNE))
    assert [line[0] for line in again[1:]] == ["présence", "absence justifiée", "présence", ""]


@pytest.mark.parametrize(
    ("sheet", "errors"),
    [
        (f"{HEADING}A-0;présence;1\nA-0;peut-être;1\n;absence;1\nA-1;absence;deux\n", [
            (3, "not_attendance"), (4, "empty"), (5, "not_a_module"),
        ]),
        (f"{HEADING}A-0;présence;1\nA-9;présence;1\nA-1;absence;7\nA-1;absence;\n", [
            (3, "not_enrolled"), (4, "no_such_module"), (5, "no_such_module"),
        ]),
        ("Identifiant\nA-0\n", [(1, "column_missing")]),
    ],
)  # fmt: skip
async def test_a_sheet_that_cannot_be_attendance_is_refused_line_by_line(
    front: Front, ask: Ask, sheet: str, errors: list[tuple[int, str]]
) -> None:
    session = await a_session_that_ran(front)
    assert by_line(await send(ask, "POST", of(session, "attendance.csv"), sheet)) == errors
    assert [entry["attendance"] for entry in await listed(ask, session)] == [[], []]


async def test_where_there_is_one_module_or_none_it_need_not_be_said(front: Front, ask: Ask) -> None:
    session = await a_session_that_ran(front, modules=[])
    answer = await send(ask, "POST", of(session, "attendance.csv"), "agent_id,attendance\nA-0,attended\n")
    assert answer.json() == {"records": 1}, answer.text
    assert [entry["state"] for entry in await listed(ask, session)] == ["certified", "enrolled"]
