"""Attendance: recorded by JSON, sheet and form, all or nothing; noted at the door; printed; certified."""

import io
import re
import zipfile
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pypdf
import pytest
from starlette.exceptions import HTTPException

from services.enrolment.pages.manage.presence import changes_in, tapped_at
from services.enrolment.rules.requests import Withdrawal
from services.enrolment.service.attendance import incomplete_modules
from shared import clock
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Agent, Status
from shared.references import reference_of
from shared.web.forms import Form
from shared.web.links import ARRIVAL
from tests.conftest import Ask
from tests.integration.enrolment.conftest import Front, SelectRows, problem
from tests.integration.enrolment.manage import (
    MANAGE,
    OrganiserClient,
    from_now,
    hidden,
    log_in,
    page_of,
    send,
    text_of,
)
from tests.integration.enrolment.organising import (
    BRETAGNE,
    CORSE,
    MODULES,
    by_line,
    lines,
    listed,
    of,
    published_events,
)
from tests.integration.enrolment.organising import send as send_sheet
from tests.support.builders import DURING, an_agent

PAGES = "services.enrolment.pages.manage.presence"
A_MINUTE = timedelta(minutes=1)
HEADING = "Identifiant;Présence;Numéro de séance\n"


async def running(
    front: Front, *people: Agent, **changes: Any
) -> tuple[SessionState, list[Agent], list[str]]:
    """A session that has begun, A-0 Riou and A-1 Élie with a seat unless others, and their enrolments."""
    agents = [*people] or [an_agent("A-0", family_name="Riou"), an_agent("A-1", family_name="Élie")]
    session = await front.open(*agents, **{"starts_at": from_now(hours=-1)} | changes)
    return session, agents, [str((await front.of(session, agent)).enrolment_id) for agent in agents]


def seen(agent_id: str, attendance: str, module: int | None = None) -> dict[str, Any]:
    return {"agent_id": agent_id, "attendance": attendance} | ({} if module is None else {"module": module})


async def record(ask: Ask, session: SessionState, *records: dict[str, Any]) -> httpx.Response:
    return await ask("POST", of(session, "attendance"), by=BRETAGNE, json={"records": records})


def marks(before: str, after: str, *ids: str) -> dict[str, str]:
    """The fields of a form that showed one attendance of these enrolments, and has another."""
    return {f"avant-{each}": before for each in ids} | {f"p-{each}": after for each in ids}


# ------------------------------------------------------------------------------------- JSON and sheets


async def test_attendance_at_every_module_certifies_an_agent(
    front: Front, ask: Ask, rows: SelectRows
) -> None:
    session, *_ = await running(front, modules=MODULES)
    records = [seen("A-0", "attended", 1), seen("A-0", "absent_justified", 2), seen("A-1", "absent", 1)]
    answer = await record(ask, session, *records)
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


async def test_a_cancellation_certifies_what_took_place_and_ends_what_is_recorded(
    front: Front, ask: Ask, rows: SelectRows
) -> None:
    """Rule 11; what had not begun when the session was cancelled is never recorded."""
    modules = [
        {"title": title, "starts_at": from_now(days=day), "ends_at": from_now(days=day, hours=2)}
        for title, day in (("Comprendre", -1), ("Pratiquer", 1))
    ]
    session, *_ = await running(front, modules=modules, ends_at=from_now(days=2))
    await record(ask, session, seen("A-0", "attended", 1))
    before = clock.now()
    await front.change(session, status=Status.CANCELLED)
    ended = await published_events(rows, "EnrolmentWithdrawn")
    assert {event["agent"]["agent_id"]: event["attendance_kept"] for event in ended} == {
        "A-0": True,
        "A-1": False,
    }
    published = await published_events(rows, "AttendanceRecorded")
    assert [event["certified"] for event in published] == [False, True]
    assert [entry["state"] for entry in await listed(ask, session)] == ["certified", "session_cancelled"]
    (stored,) = await rows("SELECT cancelled_at FROM session")
    assert before <= stored.cancelled_at <= clock.now()
    late = await record(ask, session, seen("A-0", "attended", 2))
    assert [error["code"] for error in late.json()["errors"]] == ["not_started"]


async def test_one_record_that_cannot_be_taken_refuses_all(front: Front, ask: Ask) -> None:
    session, *_ = await running(front, modules=MODULES)
    wrong = [seen("A-9", "attended", 1), seen("A-1", "absent", 3), seen("A-1", "absent")]
    answer = await record(ask, session, seen("A-0", "attended", 1), *wrong, seen("A-0", "absent", 1))
    assert problem(answer, 422) == [f"body.records.{number}" for number in (1, 2, 3, 4)]
    codes = [error["code"] for error in answer.json()["errors"]]
    assert codes == ["not_enrolled", "no_such_module", "no_such_module", "contradiction"]
    assert [entry["attendance"] for entry in await listed(ask, session)] == [[], []]


async def test_attendance_comes_as_a_sheet_that_goes_back_filled_in(front: Front, ask: Ask) -> None:
    session, *_ = await running(front, modules=MODULES)
    heading, *form = lines(await ask("GET", of(session, "attendance.csv"), by=BRETAGNE))
    assert [line[:4] for line in form] == [
        ["", "1", "Comprendre", "A-0"],
        ["", "1", "Comprendre", "A-1"],
        ["", "2", "Pratiquer", "A-0"],
        ["", "2", "Pratiquer", "A-1"],
    ]
    cells = ["Présence", "ABSENCE JUSTIFIÉE", "présente", ""]
    filled = [heading, *([cell, *line[1:]] for cell, line in zip(cells, form, strict=True))]
    sheet = "\n".join(map(";".join, filled))
    answer = await send_sheet(ask, "POST", of(session, "attendance.csv"), sheet)
    assert answer.json() == {"records": 3}, answer.text
    assert [entry["state"] for entry in await listed(ask, session)] == ["certified", "enrolled"]
    again = lines(await ask("GET", of(session, "attendance.csv"), by=BRETAGNE))
    assert [line[0] for line in again[1:]] == ["présence", "absence justifiée", "présence", ""]


BAD_SHEETS: dict[str, list[tuple[int, str]]] = {
    f"{HEADING}A-0;présence;1\nA-0;peut-être;1\n;absence;1\nA-1;absence;deux\n": [
        (3, "not_attendance"),
        (4, "empty"),
        (5, "not_a_module"),
    ],
    f"{HEADING}A-0;présence;1\nA-9;présence;1\nA-1;absence;7\nA-1;absence;\n": [
        (3, "not_enrolled"),
        (4, "no_such_module"),
        (5, "no_such_module"),
    ],
    "Identifiant\nA-0\n": [(1, "column_missing")],
}


async def test_a_sheet_that_cannot_be_attendance_is_refused_line_by_line(front: Front, ask: Ask) -> None:
    session, *_ = await running(front, modules=MODULES)
    path = of(session, "attendance.csv")
    refused = {sheet: by_line(await send_sheet(ask, "POST", path, sheet)) for sheet in BAD_SHEETS}
    assert refused == BAD_SHEETS
    assert [entry["attendance"] for entry in await listed(ask, session)] == [[], []]


async def test_a_session_without_modules_needs_none_in_its_sheet_and_certifies_at_once(
    front: Front, ask: Ask
) -> None:
    session, _, ids = await running(front)
    certificate = f"/api/v1/enrolments/{ids[0]}/certificate.pdf"
    problem(await ask("GET", certificate, by=BRETAGNE), 409)
    await send_sheet(ask, "POST", of(session, "attendance.csv"), "agent_id,attendance\nA-0,attended\n")
    assert [entry["state"] for entry in await listed(ask, session)] == ["certified", "enrolled"]
    assert (await ask("GET", certificate, by=BRETAGNE)).content.startswith(b"%PDF-")


# ------------------------------------------------------------------------------------- the form


async def test_the_form_records_its_changes_at_the_module_of_its_address(
    front: Front, organiser: OrganiserClient, rows: SelectRows
) -> None:
    session, _, (first, second) = await running(front, modules=MODULES)
    path = page_of(session, "/presence?seance=2")
    form = marks("", "attended", first) | {f"avant-{second}": ""}
    done = await send(organiser, path, **form)
    assert done.headers["location"] == f"{path}&fait=presences"
    [event] = await published_events(rows, "AttendanceRecorded")
    assert (event["agent"]["agent_id"], event["module"]) == ("A-0", "Pratiquer")
    assert (await send(organiser, path, **marks("attended", "attended", first))).status_code == 422
    assert (await send(organiser, path, **marks("attended", "absent_justified", first))).status_code == 303
    assert await rows("SELECT module, attendance FROM attendance") == [(1, "absent_justified")]


async def test_a_form_changes_nothing_that_somebody_else_recorded_since_it_was_shown(
    front: Front, organiser: OrganiserClient
) -> None:
    session, agents, ids = await running(front)
    path = page_of(session, "/presence")
    await send(organiser, path, **marks("", "absent", ids[0]))
    late = await send(organiser, path, **marks("", "attended", *ids))
    assert late.status_code == 409
    assert hidden(late.text, f"avant-{ids[0]}") == "absent", "sent again, it replaces"
    assert await front.states(session, *agents) == ["absent", "enrolled"]


async def test_a_form_records_nothing_if_one_of_its_people_has_no_seat_any_more(
    front: Front, organiser: OrganiserClient
) -> None:
    session, agents, ids = await running(front)
    earlier = session.starts_at - timedelta(hours=1)
    await front.answer(Withdrawal(uuid4(), earlier, session.session_id, agents[0].key, None))
    late = await send(organiser, page_of(session, "/presence"), **marks("", "attended", *ids))
    assert late.status_code == 409
    assert f'name="p-{ids[1]}" value="attended" checked' in late.text
    assert await front.states(session, *agents) == ["withdrawn", "enrolled"]


async def test_a_form_neither_shows_nor_changes_attendance_in_another_session(
    front: Front, organiser: OrganiserClient
) -> None:
    session, _, (first, _) = await running(front)
    other = await front.open(starts_at=from_now(hours=-1))
    await send(organiser, page_of(session, "/presence"), **marks("", "absent", first))
    refused = await send(organiser, page_of(other, "/presence"), **marks("", "attended", first))
    assert (refused.status_code, first in refused.text) == (409, False)


@pytest.mark.parametrize("fields", [["p-x"], [f"p-{'a' * 32}", f"p-{'A' * 32}"]])
def test_a_form_of_nobody_or_of_one_enrolment_in_two_spellings_is_none_of_ours(fields: list[str]) -> None:
    with pytest.raises(HTTPException):
        changes_in(Form([(field, "attended") for field in fields]), 0)


async def test_one_button_chooses_for_all_for_whom_nothing_is_recorded_noted_or_chosen(
    front: Front, organiser: OrganiserClient
) -> None:
    session, agents, (recorded, noted, by_hand, *_) = await running(front, *(an_agent() for _ in range(5)))
    path = page_of(session, "/presence")
    await send(organiser, path, **marks("", "absent_justified", recorded))
    await send(organiser, page_of(session, "/pointage"), present=noted)
    page = await send(organiser, path, **{f"p-{by_hand}": "absent_justified", "reste": "absent"})
    chosen = dict(re.findall(r'name="p-([^"]+)" value="(\w+)" checked', page.text))
    kept = [chosen.pop(each) for each in (recorded, noted, by_hand)]
    assert kept == ["absent_justified", "attended", "absent_justified"]
    assert [*chosen.values()] == ["absent", "absent"]
    assert await front.states(session, *agents[1:]) == ["enrolled"] * 4, "nothing is recorded yet"


async def test_a_module_that_has_begun_is_incomplete_until_everybodys_attendance_is_recorded(
    front: Front, organiser: OrganiserClient, database: Database
) -> None:
    session, _, ids = await running(front, modules=MODULES)
    found = []
    for recorded in ([], [(2, ids[:1])], [(2, ids[1:])], [(1, ids)]):
        for module, people in recorded:
            form = marks("", "attended", *people)
            await send(organiser, page_of(session, f"/presence?seance={module}"), **form)
        async with database.quiet_transaction() as tx:
            found.append(await incomplete_modules(tx, session, clock.now()))
    assert found == [{0, 1}, {0, 1}, {0}, set()]


# ------------------------------------------------------------------------------------- at the door


async def arrived(rows: SelectRows) -> list[str]:
    return [str(row.enrolment_id) for row in await rows("SELECT enrolment_id FROM arrival ORDER BY at")]


async def test_an_arrival_is_noted_once_by_a_tap_can_be_undone_and_certifies_nobody(
    front: Front, organiser: OrganiserClient, rows: SelectRows
) -> None:
    session, agents, (first, second) = await running(front)
    path = page_of(session, "/pointage")
    taps = [await send(organiser, path, present=each) for each in (first, second, second)]
    assert taps[0].headers["location"] == f"{path}?seance=1&fait=pointee-{first}#p-{first}"
    page = text_of(await organiser.get(path))
    assert "Pointage : 2 sur 2" in page
    assert page.index("Élie Zoé") < page.index("Riou Zoé")
    await send(organiser, path, annuler=first)
    assert await arrived(rows) == [second]
    assert await front.states(session, *agents) == ["enrolled", "enrolled"]
    sheet = (await organiser.get(page_of(session, "/presence"))).text
    assert re.findall(r'name="p-([^"]+)" value="attended" checked', sheet) == [second]


async def test_an_arrival_is_noted_by_the_reference_of_a_letter_or_the_address_that_a_camera_reads(
    front: Front, organiser: OrganiserClient, rows: SelectRows
) -> None:
    session, _, ids = await running(front)
    other = await front.open()
    codes = [reference_of(UUID(ids[0])).lower(), f"https://parcours.example{ARRIVAL}/{ids[1]}"]
    for code in codes:
        await send(organiser, page_of(session, "/pointage"), code=code)
    assert await arrived(rows) == ids
    for wrong in ("", "ZZZZ-ZZZZ", "x", ids[0]):
        refused = await send(organiser, page_of(other, "/pointage"), code=wrong)
        assert refused.status_code == 422
        assert re.search(rf'name="code"[^>]* value="{wrong}"', refused.text), "to be corrected"


async def test_a_tap_without_a_network_is_noted_for_when_it_was_and_answered_without_a_page(
    front: Front, organiser: OrganiserClient, rows: SelectRows
) -> None:
    session, _, (first, _) = await running(front)
    path, now = page_of(session, "/pointage"), clock.now()
    answers = [
        await send(organiser, path, present=code, differe=at.isoformat().replace("+00:00", "Z"))
        for code, at in ((first, now - A_MINUTE), (first, now), (str(session.session_id), now))
    ]
    assert [(answer.status_code, answer.content) for answer in answers] == [
        (204, b""),
        (204, b""),
        (422, b""),
    ]
    assert [row.at for row in await rows("SELECT at FROM arrival")] == [now - A_MINUTE]


@pytest.mark.parametrize("typed", ["", "hier", "2025-03-19T09:59:59Z", "2025-03-20T10:00:01Z", "9" * 30])
def test_a_moment_that_cannot_be_believed_is_the_present_one(typed: str) -> None:
    assert tapped_at(typed, DURING) == DURING
    assert tapped_at("2025-03-19T10:00:00Z", DURING) == DURING - timedelta(days=1)


async def test_the_code_that_a_person_shows_leads_an_organiser_of_the_session_to_one_tap(
    front: Front, visitor: OrganiserClient, rows: SelectRows
) -> None:
    _, (agent, _), (first, _) = await running(front)
    full = await front.open(agent, capacity=0)
    path, waiting = f"{ARRIVAL}/{first}", f"{ARRIVAL}/{(await front.of(full, agent)).enrolment_id}"
    assert (await visitor.get(path)).headers["location"].startswith(f"{MANAGE}/connexion?")
    await log_in(visitor, CORSE)
    assert (await visitor.get(path)).status_code == 404
    await log_in(visitor)
    await send(visitor, path, waiting)
    assert await arrived(rows) == [], "the code was opened, and the other one has no seat"
    await send(visitor, path)
    assert await arrived(rows) == [first]
    await send(visitor, path, annuler="oui")
    assert await arrived(rows) == []


async def test_pages_that_show_a_part_of_the_people_count_all(
    front: Front, organiser: OrganiserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, _, (first, _) = await running(front)
    for most in ("EXPECTED", "SHOWN"):
        monkeypatch.setattr(f"{PAGES}.{most}", 1)
    await send(organiser, page_of(session, "/pointage"), code=first)
    door = text_of(await organiser.get(page_of(session, "/pointage")))
    assert [each in door for each in ("1 sur 2", "Élie Zoé", "Riou Zoé")] == [True, True, False]
    assert "Voici 1" in text_of(await organiser.get(page_of(session, "/presence")))


# ------------------------------------------------------------------------------------- on paper


def pdf_text(content: bytes) -> str:
    return "\n".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(content)).pages)


async def test_the_printed_sheet_names_the_people_with_a_seat_at_each_module(
    front: Front, organiser: OrganiserClient
) -> None:
    people = [an_agent(family_name=name) for name in ("Riou", "Élie", "#let 测试 $x$", "*Zoé*")]
    session, *_ = await running(front, *people, modules=MODULES)
    printed = pdf_text((await organiser.get(page_of(session, "/emargement.pdf"))).content)
    expected = ["#let", "*Zoé*", "Élie", "Riou", "Pratiquer"]
    assert sorted(expected, key=printed.index) == expected


async def test_a_sheet_that_would_be_too_long_has_the_chosen_seance_alone(
    front: Front, organiser: OrganiserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, *_ = await running(front, modules=MODULES)
    sheet = page_of(session, "/emargement.pdf?seance=2")
    titles = [module["title"] for module in MODULES]
    for most, shown in ((4, titles), (2, titles[1:])):
        monkeypatch.setattr("services.enrolment.render.attendance_sheets.MOST_LINES", most)
        printed = pdf_text((await organiser.get(sheet)).content)
        assert [title for title in titles if title in printed] == shown
    monkeypatch.setattr("services.enrolment.render.attendance_sheets.MOST_LINES", 1)
    assert (await organiser.get(sheet)).status_code == 409


@pytest.mark.parametrize(
    ("most", "files"),
    [
        (1, {"1": ["Riou"], "2": ["Élie"], "3": ["Abel"]}),
        (2, {"1 à 2": ["Riou", "Élie"], "3": ["Abel"]}),
        (3, {"Attestations (ZIP)": ["Riou", "Élie", "Abel"]}),
    ],
)
async def test_certificates_are_read_in_as_many_files_as_they_take(
    front: Front,
    organiser: OrganiserClient,
    monkeypatch: pytest.MonkeyPatch,
    most: int,
    files: dict[str, list[str]],
) -> None:
    people = [an_agent(family_name=name) for name in ("Riou", "Élie", "Abel")]
    session, _, ids = await running(front, *people)
    presence, zip_file = page_of(session, "/presence"), page_of(session, "/attestations.zip")
    assert (await organiser.get(zip_file)).status_code == 404
    await send(organiser, presence, **marks("", "attended", *ids))
    monkeypatch.setattr(f"{PAGES}._CERTIFICATES", most)
    page = re.sub(r'<span class="hidden">[^<]*</span>', "", (await organiser.get(presence)).text)
    found = {}
    for address, label in re.findall(rf'href="({zip_file}[^"]*)">([^<]+)</a>', page):
        with zipfile.ZipFile(io.BytesIO((await organiser.get(address)).content)) as zipped:
            texts = " ".join(pdf_text(zipped.read(each)) for each in zipped.namelist())
        found[label] = [name for name in ("Riou", "Élie", "Abel") if name in texts]
    assert found == files
