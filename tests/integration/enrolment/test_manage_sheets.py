"""Sheets on pages: exported as CSV and workbooks, imported once each change was shown."""

import asyncio
import re
from typing import Any
from uuid import uuid4

import httpx
import pytest

from services.enrolment.rules.policy import Policy
from services.enrolment.rules.ranking import DraftChange
from services.enrolment.rules.requests import Withdrawal
from services.enrolment.service import ranking_drafts
from services.enrolment.service.acting import Acting
from services.enrolment.service.sessions import lock_own
from shared import clock
from shared.auth import Principal
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Agent
from shared.permissions import Permission, Role
from shared.rates import Rate
from shared.web import sheet_queue, workbooks
from shared.web.logins.keeping import KeptLogins
from tests.conftest import Ask
from tests.integration.enrolment.conftest import Front, SelectRows
from tests.integration.enrolment.manage import OrganiserClient, from_now, hidden, page_of, text_of
from tests.integration.enrolment.organising import BRETAGNE, CSV, of
from tests.support.builders import a_question, an_agent
from tests.support.locks import locks_awaited

ATTENDANCE = "Identifiant;Présence\nA-1;absence\nA-2;présence\n"


async def session_of(
    front: Front, *agents: Agent, **changes: Any
) -> tuple[SessionState, list[Agent], list[str]]:
    """A session that has begun, with A-1 Riou and A-2 Élie unless others are named, and their enrolments."""
    people = [*agents] or [an_agent("A-1", family_name="Riou"), an_agent("A-2", family_name="Élie")]
    session = await front.open(*people, **{"starts_at": from_now(hours=-1)} | changes)
    return session, people, [str((await front.of(session, agent)).enrolment_id) for agent in people]


SELECTION = {"approval": "selection", "starts_at": from_now(days=30)}


def filled(sheet: bytes, form: str) -> bytes:
    """A sheet as CSV or as a workbook."""
    return sheet if form == "csv" else workbooks.of_csv(sheet)


async def export(organiser: OrganiserClient, session: SessionState, kind: str, form: str) -> list[str]:
    """The lines of an exported sheet."""
    answer = await organiser.get(page_of(session, f"/fichiers/{kind}.{form}"))
    assert answer.headers["content-disposition"].endswith(f'.{form}"')
    content = answer.content if form == "csv" else workbooks.as_csv(answer.content)
    return content.decode("utf-8-sig").splitlines()


async def upload(
    organiser: OrganiserClient, session: SessionState, content: bytes | str, what: str = "presences"
) -> httpx.Response:
    path = page_of(session, "/fichiers")
    form = {"cle": hidden((await organiser.get(path)).text, "cle"), "quoi": what}
    sent = content.encode() if isinstance(content, str) else content
    return await organiser.post(path, data=form, files={"fichier": ("a.xlsx", sent)})


async def confirm(
    organiser: OrganiserClient, session: SessionState, tried: httpx.Response, **fields: Any
) -> httpx.Response:
    """Confirm the changes or the ranking that a page shows, as a browser does."""
    assert tried.status_code == 200, tried.text
    form: dict[str, Any] = {"cle": hidden(tried.text, "cle")}
    if 'name="classees"' in tried.text:
        form |= {name: hidden(tried.text, name) for name in ("version", "classees", "non-retenues")}
        form["confirmer"] = "classement"
    else:
        form |= {"confirmer": "oui", "change": re.findall(r'name="change" value="([^"]+)"', tried.text)}
    return await organiser.post(page_of(session, "/fichiers"), data=form | fields)


# ------------------------------------------------------------------------------------- attendance


@pytest.mark.parametrize("form", ["csv", "xlsx"])
async def test_attendance_is_exported_filled_in_tried_and_recorded_once(
    front: Front, organiser: OrganiserClient, form: str
) -> None:
    session, agents, _ = await session_of(front)
    heading, *lines = await export(organiser, session, "presences", form)
    sheet = filled("\n".join([heading, *(f"présence{line}" for line in lines)]).encode(), form)
    tried = await upload(organiser, session, sheet)
    assert "2 changements" in text_of(tried)
    assert await front.states(session, *agents) == ["enrolled", "enrolled"]
    done = await confirm(organiser, session, tried)
    assert done.headers["location"] == page_of(session, "/presence?fait=presences")
    assert await front.states(session, *agents) == ["certified", "certified"]
    assert (await confirm(organiser, session, tried)).status_code == 409
    assert "rien à changer" in text_of(await upload(organiser, session, sheet))


async def test_a_file_about_more_people_needs_a_stronger_log_in(
    front: Front, organiser: OrganiserClient, rows: SelectRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that was not given out leaves no line of a read."""
    session, *_ = await session_of(front)
    monkeypatch.setattr(KeptLogins, "is_enough_for", lambda *args: args[-1] is not Permission.EXPORT_MANY)
    for many, status in ((2, 200), (1, 403)):
        monkeypatch.setattr("services.enrolment.pages.manage.frame.MANY", many)
        for file in ("/fichiers/participants.csv", "/emargement.pdf"):
            assert (await organiser.get(page_of(session, file))).status_code == status, (many, file)
    assert len(await rows("SELECT 1 FROM read_log")) == 2


async def test_certificates_of_more_people_need_a_stronger_log_in_for_each_part_too(
    front: Front, organiser: OrganiserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, *_ = await session_of(front)
    sheet = ATTENDANCE.replace("absence", "présence")
    await confirm(organiser, session, await upload(organiser, session, sheet))
    monkeypatch.setattr("services.enrolment.pages.manage.presence._CERTIFICATES", 1)
    monkeypatch.setattr(KeptLogins, "is_enough_for", lambda *args: args[-1] is not Permission.EXPORT_MANY)
    for many, status in ((2, 200), (1, 403)):
        monkeypatch.setattr("services.enrolment.pages.manage.frame.MANY", many)
        assert (await organiser.get(page_of(session, "/attestations.zip"))).status_code == status, many


async def test_the_lines_of_people_with_a_seat_can_be_taken_and_what_is_wrong_is_said_by_line(
    front: Front, organiser: OrganiserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.enrolment.pages.manage.presence.SHOWN", 1)  # people on a page
    session, *_ = await session_of(front)
    sheet = f"{ATTENDANCE}A-9;présence\nA-1;peut-être\n"
    said = text_of(await upload(organiser, session, sheet)).replace("\u00a0", " ")
    assert "2 changements" in said
    assert "Ligne 4 « A-9 » : " in said
    assert "Ligne 5, Présence « peut-être » : " in said


async def test_a_sheet_records_nothing_if_one_of_its_people_has_lost_the_seat_since_it_was_shown(
    front: Front, organiser: OrganiserClient
) -> None:
    session, agents, _ = await session_of(front)
    tried = await upload(organiser, session, ATTENDANCE)
    earlier = from_now(hours=-2)
    await front.answer(Withdrawal(uuid4(), earlier, session.session_id, agents[0].key, None))
    assert (await confirm(organiser, session, tried)).status_code == 409
    assert await front.states(session, *agents) == ["withdrawn", "enrolled"]
    for nonsense in ("x", f"{agents[0].agent_id} 0 - attended", f"{uuid4()} x - attended"):
        assert (await confirm(organiser, session, tried, change=[nonsense])).status_code == 400, nonsense


async def test_so_much_of_a_delegation_is_read_in_an_hour_by_api_and_page(
    front: Front, organiser: OrganiserClient, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, *_ = await session_of(front)
    monkeypatch.setattr(sheet_queue, "SENT", Rate(2, 3600))

    async def by_api() -> int:
        sent: dict[str, Any] = {"content": ATTENDANCE.encode(), "headers": CSV}
        return (await ask("POST", of(session, "attendance.csv"), by=BRETAGNE, **sent)).status_code

    answers = [await by_api()]
    answers.append((await upload(organiser, session, ATTENDANCE)).status_code)
    refused = await upload(organiser, session, ATTENDANCE)
    assert [*answers, refused.status_code, await by_api()] == [200, 200, 429, 429]
    assert 3000 <= int(refused.headers["retry-after"]) <= 3600


# ------------------------------------------------------------------------------------- rankings


async def ranks_on(organiser: OrganiserClient, session: SessionState, ids: list[str]) -> list[str]:
    """The rank of each candidate in the draft, "non" for those who are not selected."""
    page = (await organiser.get(page_of(session, "/candidatures"))).text
    ranks = dict(re.findall(r'id="rang-([^"]+)"[^>]* value="(\d*)"', page))
    out = re.findall(r'name="non-([^"]+)"[^>]* checked', page)
    return ["non" if each in out else ranks[each] for each in ids]


async def test_a_ranking_is_exported_filled_in_and_becomes_the_draft_which_decides_nothing(
    front: Front, organiser: OrganiserClient
) -> None:
    agents = [an_agent(f"A-{number}") for number in range(3)]
    asked = {"questions": [a_question("projet", "text", label="Lequel ?")], "timezone": "Indian/Reunion"}
    session, _, ids = await session_of(front, *agents, **SELECTION, **asked)
    heading, *lines = await export(organiser, session, "candidatures", "csv")
    assert heading.endswith(";Candidature reçue le (heure de La Réunion);Question : Lequel ?")
    ranked = [f"{rank}{line}" for rank, line in zip(("2", "1", "non retenu"), lines, strict=True)]
    sheet = "\n".join([heading, *ranked])
    tried = await upload(organiser, session, sheet, "classement")
    before = await ranks_on(organiser, session, ids)
    done = await confirm(organiser, session, tried)
    assert done.headers["location"] == page_of(session, "/candidatures?fait=brouillon")
    assert (before, await ranks_on(organiser, session, ids)) == (["", "", ""], ["2", "1", "non"])
    assert set(await front.states(session, *agents)) == {"pending_selection"}
    assert await export(organiser, session, "candidatures", "csv") == [heading, *ranked]
    assert 'name="classees"' not in (await upload(organiser, session, sheet, "classement")).text


async def test_a_ranking_is_not_taken_over_a_draft_that_is_saved_at_the_same_moment(
    front: Front, organiser: OrganiserClient, database: Database
) -> None:
    session, (agent,), ids = await session_of(front, an_agent("A-1"), **SELECTION)
    colleague = Principal(name="colleague", role=Role.ORGANISER, delegation="bretagne")
    rank = DraftChange(0, None, {(await front.of(session, agent)).enrolment_id: 7}, frozenset())
    tried = await upload(organiser, session, "Identifiant;Rang\nA-1;1\n", "classement")
    async with database.transaction() as tx:
        await lock_own(tx, session.session_id, colleague)
        imported = asyncio.create_task(confirm(organiser, session, tried))
        await locks_awaited(database)
        await ranking_drafts.save(Acting(tx, colleague, Policy(), clock.now()), session.session_id, rank)
    assert (await imported).status_code == 409
    assert await ranks_on(organiser, session, ids) == ["7"]


async def test_what_is_wrong_with_a_ranking_is_said_by_line_and_the_issuer_tells_twins_apart(
    front: Front, organiser: OrganiserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [an_agent("A-1", issuer="portail-bretagne"), an_agent("A-1", issuer="portail-deux")]
    people.append(an_agent("A-2", issuer="portail-deux"))
    session, _, ids = await session_of(front, *people, **SELECTION)
    sheet = "Identifiant;Émetteur;Rang\nA-1;;1\nA-9;;2\nA-2;;3\nA-2;portail-deux;4\n"
    said = text_of(await upload(organiser, session, sheet, "classement"), 422).replace("\u00a0", " ")
    assert re.findall("Ligne (. « .*? » : .{12})", said) == [
        "2 « A-1 » : L’identifian",
        "3 « A-9 » : L’identifian",
        "5 « A-2 » : Une ligne pr",
    ]
    named = "Identifiant;Émetteur;Rang\nA-1;portail-deux;1\nA-1;portail-bretagne;2\nA-2;;non\n"
    await confirm(organiser, session, await upload(organiser, session, named, "classement"))
    assert await ranks_on(organiser, session, ids) == ["2", "1", "non"]
    monkeypatch.setattr("services.enrolment.pages.manage.sheets.MOST_RANKED", 1)
    assert (await upload(organiser, session, named, "classement")).status_code == 422


# ------------------------------------------------------------------------------------- exports


async def test_everybody_is_exported_and_only_people_with_a_seat_in_the_sheet_of_attendance(
    front: Front, organiser: OrganiserClient
) -> None:
    session, agents, _ = await session_of(front)
    earlier = from_now(hours=-2)
    await front.answer(Withdrawal(uuid4(), earlier, session.session_id, agents[0].key, None))
    heading, *lines = await export(organiser, session, "participants", "xlsx")
    assert heading.startswith("Situation;")
    assert ";Demande reçue le (heure de Paris);Réponse attendue avant le (heure de Paris);" in heading
    assert sorted(line.split(";")[5] for line in lines) == ["Riou", "Élie"]
    _, *seated = await export(organiser, session, "presences", "xlsx")
    assert [line.split(";")[3] for line in seated] == ["A-2"]


async def test_there_is_no_other_file(front: Front, organiser: OrganiserClient) -> None:
    session, *_ = await session_of(front)
    for name in ("autre.csv", "participants.pdf", "participants"):
        assert (await organiser.get(page_of(session, f"/fichiers/{name}"))).status_code == 404, name
