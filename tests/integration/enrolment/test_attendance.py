"""How an organiser records attendance, by JSON and by sheets: all or nothing."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.events.catalogue import SessionState
from shared.events.vocabulary import Status
from tests.conftest import Ask
from tests.integration.enrolment.conftest import Front, SelectRows, problem
from tests.integration.enrolment.organising import (
    BRETAGNE,
    CORSE,
    MODULES,
    by_line,
    lines,
    listed,
    of,
    published_events,
    send,
)
from tests.support.builders import an_agent, open_now

HEADING = "Identifiant;Présence;Numéro de séance\n"


async def a_session_that_ran(front: Front, **changes: Any) -> SessionState:
    now = datetime.now(UTC)
    session = open_now(**{"starts_at": now - timedelta(days=2), "modules": MODULES} | changes)
    await front.publish(session)
    await front.enrol(session, an_agent("A-0"), an_agent("A-1"))
    return session


def seen(agent_id: str, attendance: str, module: int | None = None) -> dict[str, Any]:
    return {"agent_id": agent_id, "attendance": attendance} | ({} if module is None else {"module": module})


async def test_attendance_at_every_module_certifies_who_came(
    front: Front, ask: Ask, rows: SelectRows
) -> None:
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
    published = await published_events(rows, "AttendanceRecorded")
    assert [(event["agent"]["agent_id"], event["module"], event["certified"]) for event in published] == [
        ("A-0", "Comprendre", False),
        ("A-0", "Pratiquer", True),
        ("A-1", "Comprendre", False),
    ]


async def test_a_cancellation_is_told_to_who_attended_a_first_day_and_certifies_what_took_place(
    front: Front, ask: Ask, rows: SelectRows
) -> None:
    """Rule 11; what had not begun when the session was cancelled is never recorded."""
    now = datetime.now(UTC)
    days = [
        {
            "title": title,
            "starts_at": now + timedelta(days=start),
            "ends_at": now + timedelta(days=start, hours=2),
        }
        for title, start in (("Comprendre", -1), ("Pratiquer", 1))
    ]
    session = await a_session_that_ran(front, modules=days, ends_at=now + timedelta(days=2))
    records = {"records": [seen("A-0", "attended", 1)]}
    assert (await ask("POST", of(session, "attendance"), by=BRETAGNE, json=records)).status_code == 200
    cancelled = session.model_copy(update={"version": session.version + 1, "status": Status.CANCELLED})
    await front.publish(cancelled)
    ended = await published_events(rows, "EnrolmentWithdrawn")
    assert {event["agent"]["agent_id"]: event["attendance_kept"] for event in ended} == {
        "A-0": True,
        "A-1": False,
    }
    assert [event["certified"] for event in await published_events(rows, "AttendanceRecorded")] == [
        False,
        True,
    ]
    assert [entry["state"] for entry in await listed(ask, session)] == ["certified", "session_cancelled"]
    (stored,) = await rows("SELECT cancelled_at FROM session")
    assert now <= stored.cancelled_at <= datetime.now(UTC)
    late = {"records": [seen("A-0", "attended", 2)]}
    answer = await ask("POST", of(session, "attendance"), by=BRETAGNE, json=late)
    assert [error["code"] for error in answer.json()["errors"]] == ["not_started"]


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
