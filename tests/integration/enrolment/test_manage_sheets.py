"""Sheets on pages: exported as CSV and workbooks, imported once each change was shown."""

import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from shared.events.catalogue import SessionState
from shared.events.vocabulary import Agent
from shared.web import workbooks
from tests.integration.enrolment.conftest import Front
from tests.integration.enrolment.manage import OrganiserClient, hidden, organiser, page_of, text_of, visitor
from tests.support.builders import an_agent, open_now

__all__ = ["organiser", "visitor"]


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
    sheet = "Identifiant;Présence\nA-1;absence\nA-9;présence\nA-2;peut-être\n"
    said = text_of(await upload(organiser, session, sheet.encode()))
    assert "1 changement" in said
    assert "La ligne 3 ne désigne personne qui a une place" in said
    assert "La ligne 4 n’a ni présence, ni absence" in said
    for nonsense in (b"PK\x03\x04", b"Nom;Rang\n", b""):
        answer = await upload(organiser, session, nonsense)
        assert answer.status_code == 422, nonsense


async def test_a_ranking_becomes_the_draft_and_decides_nothing(
    front: Front, organiser: OrganiserClient
) -> None:
    session = open_now(approval="selection", capacity=1)
    agents = [an_agent("A-1", family_name="Riou"), an_agent("A-2", family_name="Élie"), an_agent("A-3")]
    await front.publish(session)
    await front.enrol(session, *agents)
    wrong = await upload(organiser, session, b"Identifiant;Rang\nA-9;1\n", "classement")
    assert wrong.status_code == 422
    sheet = "Identifiant;Rang\nA-1;2\nA-2;1\nA-3;non retenu\n"
    done = await upload(organiser, session, sheet.encode(), "classement")
    assert done.headers["location"] == page_of(session, "/candidatures?fait=brouillon")
    page = text_of(await organiser.get(page_of(session, "/candidatures"))).partition("Classées")[2]
    assert page.index("Élie Zoé") < page.index("Riou Zoé") < page.index("Non retenues")
    assert set(await front.states(session, *agents)) == {"pending_selection"}


@pytest.mark.parametrize("name", ["participants.csv", "participants.xlsx", "candidatures.csv"])
async def test_everybody_is_exported(front: Front, organiser: OrganiserClient, name: str) -> None:
    session, _ = await running(front)
    assert (await organiser.get(page_of(session, f"/fichiers/{name}"))).status_code == 200
    assert (await organiser.get(page_of(session, "/fichiers/autre.csv"))).status_code == 404
    assert (await organiser.get(page_of(session, "/fichiers/participants.pdf"))).status_code == 404
