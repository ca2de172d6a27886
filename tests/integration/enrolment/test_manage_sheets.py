"""Sheets on pages: exported as CSV and workbooks, imported once each change was shown."""

import asyncio
import csv
import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from services.enrolment.rules.policy import Policy
from services.enrolment.rules.ranking import DraftChange
from services.enrolment.rules.requests import SeatRequest, Withdrawal
from services.enrolment.service import ranking_drafts
from services.enrolment.service.acting import Acting
from services.enrolment.service.sessions import lock_own
from shared import clock
from shared.auth import Principal, Role
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.portal import QuestionAnswer
from shared.events.vocabulary import Agent
from shared.limits import Rate
from shared.web import sheet_queue, workbooks
from tests.conftest import Ask, Eventually
from tests.integration.enrolment.conftest import Front, SelectRows
from tests.integration.enrolment.manage import OrganiserClient, hidden, page_of, send, text_of
from tests.integration.enrolment.organising import BRETAGNE, CSV
from tests.support.builders import a_question, an_agent, open_now


async def running(front: Front) -> tuple[SessionState, list[Agent]]:
    """A session that has begun, with two people."""
    session = open_now(starts_at=datetime.now(UTC) - timedelta(hours=1))
    agents = [an_agent("A-1", family_name="Riou"), an_agent("A-2", family_name="Élie")]
    await front.publish(session)
    await front.enrol(session, *agents)
    return session, agents


async def upload(
    organiser: OrganiserClient, session: SessionState, content: bytes, quoi: str = "presences"
) -> httpx.Response:
    path = page_of(session, "/fichiers")
    form = {"cle": hidden((await organiser.get(path)).text, "cle"), "quoi": quoi}
    return await organiser.post(path, data=form, files={"fichier": ("a.xlsx", content)})


async def confirm_ranking(
    organiser: OrganiserClient, session: SessionState, tried: httpx.Response
) -> httpx.Response:
    """Confirm a ranking that was shown, as a browser does."""
    assert tried.status_code == 200, tried.text
    form = {name: hidden(tried.text, name) for name in ("cle", "version", "classees", "non-retenues")}
    return await organiser.post(page_of(session, "/fichiers"), data=form | {"confirmer": "classement"})


@pytest.mark.parametrize("form", ["csv", "xlsx"])
async def test_attendance_is_exported_filled_in_tried_and_recorded(
    front: Front, organiser: OrganiserClient, form: str
) -> None:
    session, agents = await running(front)
    exported = await organiser.get(page_of(session, f"/fichiers/presences.{form}"))
    assert exported.headers["content-disposition"].endswith(f'.{form}"')
    content = exported.content if form == "csv" else workbooks.as_csv(exported.content)
    heading, *lines = content.decode("utf-8-sig").splitlines()
    filled = "\n".join([heading, *(f"présence{line}" for line in lines)]).encode()
    tried = await upload(organiser, session, filled if form == "csv" else workbooks.of_csv(filled))
    said = text_of(tried)
    assert "2 changements" in said
    assert "Riou Zoé" in said
    assert await front.states(session, *agents) == ["enrolled", "enrolled"]
    changes = re.findall(r'name="change" value="([^"]+)"', tried.text)
    confirm = {"cle": hidden(tried.text, "cle"), "confirmer": "oui", "change": changes}
    done = await organiser.post(page_of(session, "/fichiers"), data=confirm)
    assert done.headers["location"] == page_of(session, "/presence?fait=presences")
    assert await front.states(session, *agents) == ["certified", "certified"]
    again = await upload(organiser, session, filled)
    assert "rien à changer" in text_of(again)
    late = await organiser.post(page_of(session, "/fichiers"), data=confirm)
    assert "Des présences ont changé depuis l’essai" in text_of(late, 409)


async def test_what_is_wrong_is_said_by_line_and_the_rest_can_be_taken(
    front: Front, organiser: OrganiserClient
) -> None:
    session, _ = await running(front)
    sheet = "Identifiant;Présence;Prénom;Nom\nA-1;absence;;\nA-9;présence;;\nA-2;peut-être;Zoé;Riou\n"
    said = text_of(await upload(organiser, session, sheet.encode())).replace("\u00a0", " ")
    assert "1 changement" in said
    assert "Ligne 3 « A-9 » : L’identifiant n’est celui de personne qui a une place" in said
    wrong = "Ligne 4, Présence « peut-être » (Riou Zoé) : Écrivez présence, absence ou absence justifiée."
    assert wrong in said
    for nonsense, why in (
        (b"PK\x03\x04", "Ligne 1 : Ce fichier est un classeur"),
        (b"Nom;Rang\n", "Ligne 1, Identifiant : Cette colonne manque."),
        (b"\n\n", "Ligne 1 : La première ligne est vide"),
        (b"", "Choisissez un fichier."),
    ):
        assert why in text_of(await upload(organiser, session, nonsense), 422).replace("\u00a0", " ")
    assert 'value="classement" selected' in (await upload(organiser, session, b"", "classement")).text


async def test_all_who_have_a_seat_can_be_in_a_sheet(
    front: Front, organiser: OrganiserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, _ = await running(front)
    monkeypatch.setattr("services.enrolment.pages.manage.presence.SHOWN", 1)
    sheet = "Identifiant;Présence\nA-1;absence\nA-2;présence\n"
    assert "2 changements" in text_of(await upload(organiser, session, sheet.encode()))


async def test_who_has_lost_their_seat_since_the_trial_is_told_and_nothing_is_recorded(
    front: Front, organiser: OrganiserClient
) -> None:
    session, agents = await running(front)
    tried = await upload(organiser, session, "Identifiant;Présence\nA-1;absence\nA-2;présence\n".encode())
    changes = re.findall(r'name="change" value="([^"]+)"', tried.text)
    earlier = session.starts_at - timedelta(hours=1)
    await front.answer(Withdrawal(uuid4(), earlier, session.session_id, agents[0].key, None))
    confirm = {"cle": hidden(tried.text, "cle"), "confirmer": "oui", "change": changes}
    late = await organiser.post(page_of(session, "/fichiers"), data=confirm)
    assert "Entre-temps une personne a perdu sa place" in text_of(late, 409)
    assert await front.states(session, *agents) == ["withdrawn", "enrolled"]
    for nonsense in ("x", f"{agents[0].agent_id} 0 - attended", f"{uuid4()} x - attended"):
        answer = await organiser.post(page_of(session, "/fichiers"), data=confirm | {"change": [nonsense]})
        assert answer.status_code == 400, nonsense


async def test_so_much_of_a_delegation_is_read_in_an_hour_by_api_and_page(
    front: Front, organiser: OrganiserClient, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, _ = await running(front)
    monkeypatch.setattr(sheet_queue, "SENT", Rate(2, 3600))
    sheet = "Identifiant;Présence\nA-1;absence\n"
    by_api = ("POST", f"/api/v1/sessions/{session.session_id}/attendance.csv")
    sent: dict[str, Any] = {"by": BRETAGNE, "content": sheet.encode(), "headers": CSV}
    assert (await ask(*by_api, **sent)).status_code == 200
    assert (await upload(organiser, session, sheet.encode())).status_code == 200
    refused = await upload(organiser, session, sheet.encode())
    assert "dépassent ensemble ce que nous lisons en une heure" in text_of(refused, 429)
    assert 3000 <= int(refused.headers["retry-after"]) <= 3600
    assert (await ask(*by_api, **sent)).status_code == 429


@pytest.mark.parametrize("form", ["csv", "xlsx"])
async def test_a_ranking_becomes_the_draft_and_decides_nothing(
    front: Front, organiser: OrganiserClient, form: str
) -> None:
    session = open_now(approval="selection", capacity=1)
    agents = [an_agent("A-1", family_name="Riou"), an_agent("A-2", family_name="Élie"), an_agent("A-3")]
    await front.publish(session)
    await front.enrol(session, *agents)
    wrong = await upload(organiser, session, b"Identifiant;Rang\nA-9;1\n", "classement")
    assert wrong.status_code == 422
    sheet = b"Identifiant;Rang\nA-1;2\nA-2;1\nA-3;non retenu\n"
    sheet = workbooks.of_csv(sheet) if form == "xlsx" else sheet
    tried = await upload(organiser, session, sheet, "classement")
    assert "3 changements" in text_of(tried)
    assert "Sans rang" in text_of(await organiser.get(page_of(session, "/candidatures")))
    done = await confirm_ranking(organiser, session, tried)
    assert done.headers["location"] == page_of(session, "/candidatures?fait=brouillon")
    page = text_of(await organiser.get(page_of(session, "/candidatures"))).partition("Classées")[2]
    assert page.index("Élie Zoé") < page.index("Riou Zoé") < page.index("Non retenues")
    assert set(await front.states(session, *agents)) == {"pending_selection"}
    again = text_of(await upload(organiser, session, sheet, "classement"))
    assert "Le fichier dit ce qui est déjà dans le brouillon" in again


async def test_a_ranking_is_shown_with_each_change_before_it_replaces_the_draft(
    front: Front, organiser: OrganiserClient
) -> None:
    session = open_now(approval="selection")
    names = ("Riou", "Élie", "Abel", "Bernard")
    agents = [an_agent(f"A-{number}", family_name=name) for number, name in enumerate(names, 1)]
    await front.publish(session)
    await front.enrol(session, *agents)
    ids = [(await front.of(session, agent)).enrolment_id for agent in agents]
    ranks = {f"rang-{each}": str(rank) for rank, each in enumerate(ids, 1)}
    await send(organiser, page_of(session, "/candidatures"), **ranks, brouillon="")
    sheet = "Identifiant;Rang\nA-1;1\nA-3;2\nA-2;non retenu\n"
    tried = await upload(organiser, session, sheet.encode(), "classement")
    said = text_of(tried)
    assert "Ce classement remplacerait le brouillon, enregistré par advisor-bretagne" in said
    assert "Abel Zoé 3 2 Élie Zoé 2 Non retenue Bernard Zoé 4 – Enregistrer" in said
    assert "3 changements" in said
    await send(organiser, page_of(session, "/candidatures"), **ranks, brouillon="")  # a colleague
    late = await confirm_ranking(organiser, session, tried)
    assert "Le brouillon a changé depuis l’essai" in text_of(late, 409)
    tried = await upload(organiser, session, sheet.encode(), "classement")
    assert (await confirm_ranking(organiser, session, tried)).status_code == 303
    page = text_of(await organiser.get(page_of(session, "/candidatures"))).partition("Classées")[2]
    places = [page.index(each) for each in ("Riou", "Abel", "Sans rang", "Bernard", "Non retenues", "Élie")]
    assert places == sorted(places)


async def test_a_ranking_that_no_form_could_confirm_is_not_shown(
    front: Front, organiser: OrganiserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = open_now(approval="selection")
    await front.publish(session)
    await front.enrol(session, an_agent("A-1"), an_agent("A-2"))
    monkeypatch.setattr("services.enrolment.pages.manage.sheets.MOST_RANKED", 1)
    sheet = b"Identifiant;Rang\nA-1;1\nA-2;non\n"
    said = text_of(await upload(organiser, session, sheet, "classement"), 422)
    assert "Plus de 1 candidatures" in said


async def test_what_is_wrong_with_a_ranking_is_said_by_line(front: Front, organiser: OrganiserClient) -> None:
    session = open_now(approval="selection")
    twins = [an_agent("A-1", issuer=issuer) for issuer in ("portail-bretagne", "portail-deux")]
    await front.publish(session)
    await front.enrol(session, *twins, an_agent("A-2", issuer="portail-deux"))
    sheet = "Identifiant;Émetteur;Rang\nA-1;;1\nA-9;;2\nA-2;;3\nA-2;portail-deux;4\n"
    said = text_of(await upload(organiser, session, sheet.encode(), "classement"), 422).replace("\u00a0", " ")
    assert "Ligne 2 « A-1 » : L’identifiant est celui de deux personnes : indiquez aussi l’émetteur." in said
    assert "Ligne 3 « A-9 » : L’identifiant n’est celui de personne dont la candidature attend" in said
    assert "Ligne 5 « A-2 » : Une ligne précédente porte déjà sur cette personne." in said
    named = "Identifiant;Émetteur;Rang\nA-1;portail-deux;1\nA-1;portail-bretagne;2\nA-2;;non\n"
    tried = await upload(organiser, session, named.encode(), "classement")
    assert (await confirm_ranking(organiser, session, tried)).status_code == 303
    page = (await organiser.get(page_of(session, "/candidatures"))).text
    for rank, agent in ((2, twins[0]), (1, twins[1])):
        field = f"rang-{(await front.of(session, agent)).enrolment_id}"
        assert re.search(rf'id="{field}"[^>]* value="{rank}"', page), field


async def test_a_ranking_is_not_taken_over_a_draft_that_is_saved_meanwhile(
    *, front: Front, organiser: OrganiserClient, database: Database, rows: SelectRows, eventually: Eventually
) -> None:
    session, agent = open_now(approval="selection"), an_agent("A-1")
    await front.publish(session)
    await front.enrol(session, agent)
    colleague = Principal(name="colleague", role=Role.ORGANISER, delegation="bretagne")
    rank = DraftChange(0, None, {(await front.of(session, agent)).enrolment_id: 7}, frozenset())

    async def it_waits() -> bool:
        return bool(
            await rows(
                "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() "
                "AND wait_event_type = 'Lock'"
            )
        )

    tried = await upload(organiser, session, b"Identifiant;Rang\nA-1;1\n", "classement")
    async with database.transaction() as tx:
        await lock_own(tx, session.session_id, colleague)
        imported = asyncio.create_task(confirm_ranking(organiser, session, tried))
        await eventually(it_waits, "the import waits for the colleague")
        acting = Acting(tx, colleague, Policy(), clock.now())
        await ranking_drafts.save(acting, session.session_id, rank)
    assert "Le brouillon a changé depuis l’essai" in text_of(await imported, 409)
    assert 'value="7"' in (await organiser.get(page_of(session, "/candidatures"))).text


@pytest.mark.parametrize("name", ["participants.csv", "participants.xlsx"])
async def test_everybody_is_exported(front: Front, organiser: OrganiserClient, name: str) -> None:
    session, agents = await running(front)
    await front.answer(Withdrawal(uuid4(), session.starts_at, session.session_id, agents[0].key, None))
    exported = await organiser.get(page_of(session, f"/fichiers/{name}"))
    content = exported.content if name.endswith("csv") else workbooks.as_csv(exported.content)
    heading, *lines = content.decode("utf-8-sig").splitlines()
    assert heading.startswith("Situation;")
    assert ";Demande reçue le (heure de Paris);Réponse attendue avant le (heure de Paris);" in heading
    assert sorted(line.split(";")[5] for line in lines) == ["Riou", "Élie"]


@pytest.mark.parametrize("form", ["csv", "xlsx"])
async def test_candidates_are_exported_alone_with_times_by_the_sessions_clocks(
    front: Front, organiser: OrganiserClient, form: str
) -> None:
    session = open_now(approval="selection", timezone="Indian/Reunion")
    await front.publish(session)
    await front.enrol(session, an_agent("A-1", family_name="Riou"))
    exported = await organiser.get(page_of(session, f"/fichiers/candidatures.{form}"))
    content = exported.content if form == "csv" else workbooks.as_csv(exported.content)
    heading, line = content.decode("utf-8-sig").splitlines()
    assert heading.startswith("Rang;Identifiant;")
    assert heading.endswith(";Candidature reçue le (heure de La Réunion)")
    assert line.startswith(";A-1;")
    ranked = f"{heading}\n1{line}".encode()
    sheet = ranked if form == "csv" else workbooks.of_csv(ranked)
    tried = await upload(organiser, session, sheet, "classement")
    done = await confirm_ranking(organiser, session, tried)
    assert done.headers["location"] == page_of(session, "/candidatures?fait=brouillon")
    empty = await organiser.get(page_of(session, "/fichiers/presences.csv"))
    assert len(empty.content.decode().splitlines()) == 1


async def test_candidates_are_exported_with_their_answers_and_the_draft_which_is_unchanged_by_its_own_sheet(
    front: Front, organiser: OrganiserClient
) -> None:
    session = open_now(approval="selection", questions=[a_question("projet", "text", label="Votre projet ?")])
    agents = [an_agent(f"A-{number}") for number in range(3)]
    await front.publish(session)
    answers = (QuestionAnswer(question_id="projet", value="Une carte"),)
    await front.answer(
        *(
            SeatRequest(uuid4(), clock.now(), session.session_id, agent, approved=False, answers=answers)
            for agent in agents
        )
    )
    first, second, third = [(await front.of(session, agent)).enrolment_id for agent in agents]
    draft = {f"rang-{first}": "2", f"rang-{second}": "1", f"rang-{third}": "", f"non-{third}": "oui"}
    await send(organiser, page_of(session, "/candidatures"), **draft, brouillon="")
    exported = (await organiser.get(page_of(session, "/fichiers/candidatures.csv"))).content
    heading, *lines = list(csv.reader(io.StringIO(exported.decode("utf-8-sig"), ""), delimiter=";"))
    assert [line[0] for line in lines] == ["2", "1", "non retenu"]
    assert heading[-1].startswith("Question")
    assert {line[-1] for line in lines} == {"Une carte"}
    tried = await upload(organiser, session, exported, "classement")
    assert "Le fichier dit ce qui est déjà dans le brouillon" in text_of(tried)


@pytest.mark.parametrize("name", ["autre.csv", "participants.pdf", "participants"])
async def test_there_is_no_other_file(front: Front, organiser: OrganiserClient, name: str) -> None:
    session, _ = await running(front)
    assert (await organiser.get(page_of(session, f"/fichiers/{name}"))).status_code == 404
