"""What an organiser does with one person, on their page."""

import asyncio
import re
from datetime import timedelta
from html import unescape
from uuid import uuid4

import pytest
from sqlalchemy import text

from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import GroupRequest
from services.enrolment.service import corrections, people
from services.enrolment.service.acting import Acting
from services.enrolment.service.commands import AgentCorrection
from shared import clock
from shared.auth import Principal, Role
from shared.database import Database
from tests.conftest import Eventually
from tests.integration.enrolment.conftest import Front, SelectRows
from tests.integration.enrolment.manage import (
    MANAGE,
    OrganiserClient,
    from_now,
    full,
    hidden,
    page_of,
    person_page,
    send,
    text_of,
)
from tests.support.builders import a_question, an_agent, open_now


@pytest.mark.parametrize(
    "path",
    ["?etat=attente&tri=nom", "/attente", "/candidatures", "/groupes", "/presence?seance=1", "/historique"],
)
async def test_the_page_of_a_person_leads_back_to_the_list_one_came_from_also_after_an_action(
    front: Front, organiser: OrganiserClient, path: str
) -> None:
    session, (agent, *_) = await full(front, approval="employer" if path == "/candidatures" else "none")
    together = GroupRequest(uuid4(), clock.now(), session.session_id, (an_agent(),), all_or_nothing=False)
    await front.answer(together)
    await front.withdraw(session, agent)
    listed = page_of(session, path)
    link = unescape(
        re.findall(rf'href="({MANAGE}/inscriptions/[^"#]+)"', (await organiser.get(listed)).text)[0]
    )
    page = (await organiser.get(link)).text
    note = unescape(re.findall(r'action="([^"]+/note[^"]*)"', page)[0])
    done = await send(organiser, link, note, note="À rappeler")
    for each in (page, (await organiser.get(done.headers["location"])).text):
        trail = each.partition('aria-label="Fil d’Ariane"')[2].partition("</nav>")[0]
        assert f'href="{listed}"' in unescape(trail)


@pytest.mark.parametrize("gone", ["UPDATE request SET outcome = 'mixed'", "DELETE FROM request"])
async def test_what_the_first_answer_was_is_not_said_where_it_is_not_known(
    front: Front, organiser: OrganiserClient, database: Database, gone: str
) -> None:
    session, agents = await full(front)
    path = await person_page(front, session, agents[0])
    await send(organiser, path, f"{path}/desistement", by="agent")
    async with database.transaction() as tx:
        await tx.execute(text(gone))
    page = text_of(await organiser.get(path))
    assert "Demande reçue" in page
    assert "Demande reçue :" not in page


"""The parts of a page that are folded at first."""


async def test_where_somebody_may_not_leave_any_more_the_page_offers_neither_that_nor_another_session(
    front: Front, organiser: OrganiserClient
) -> None:
    running, to_come = open_now(starts_at=from_now(hours=-1)), open_now()
    agent = an_agent()
    await front.publish(running, to_come, open_now(venue="Brest"))
    await front.enrol(running, agent)
    await front.enrol(to_come, agent)
    for session, offers in ((to_come, True), (running, False)):
        page = (await organiser.get(await person_page(front, session, agent))).text
        assert ['/desistement"' in page, '/deplacement"' in page] == [offers, offers]


async def test_the_sessions_to_move_to_are_those_that_have_a_seat(
    front: Front, organiser: OrganiserClient
) -> None:
    session, agents = await full(front)
    await front.publish(
        open_now(venue="Brest"),
        open_now(venue="Quimper", capacity=0),
        open_now(venue="Vannes", status="cancelled"),
        open_now(venue="Lorient", enrolment_opens_at=from_now(days=2)),
        open_now(venue="Dinan", approval="employer"),
        open_now(venue="Ajaccio", organiser="corse"),
    )
    has_seat, waits = [await person_page(front, session, agent) for agent in (agents[0], agents[3])]
    choices = (await organiser.get(has_seat)).text.partition('name="to_session_id"')[2].partition("</select>")
    assert re.findall(r"<option[^>]*>([^,<]+)", choices[0]) == ["Choisissez", "Brest"]
    assert 'name="to_session_id"' not in (await organiser.get(waits)).text


async def test_a_move_to_a_session_that_asks_questions_asks_them_first(
    front: Front, organiser: OrganiserClient
) -> None:
    session, (agent, *_) = await full(front)
    asked = [
        a_question("repas", "choice", label="Quel repas ?", required=True),
        a_question("maire", "text", label="Depuis quand ?", required=True, functions=["dirigeant"]),
    ]
    there = open_now(venue="Brest", questions=asked)
    await front.publish(there)
    path = await person_page(front, session, agent)
    to = {"to_session_id": str(there.session_id)}
    page = await send(organiser, path, f"{path}/deplacement", **to)
    assert "Quel repas ?" in text_of(page)
    assert "Depuis quand ?" not in page.text  # asked of others
    assert await front.states(session, agent) == ["enrolled"]
    unanswered = await send(organiser, path, f"{path}/deplacement", repondu="oui", **to)
    assert text_of(unanswered, 422).count("Répondez à cette question.") == 2, "above the form and beside it"
    assert "<title>Erreur – " in unanswered.text
    assert 'href="#question-repas"' in unanswered.text
    answer = {"question-repas": "végétarien", "repondu": "oui"}
    done = await send(organiser, path, f"{path}/deplacement", **to, **answer)
    assert done.status_code == 303
    assert "végétarien" in text_of(await organiser.get(done.headers["location"]))
    assert await front.states(session, agent) == ["withdrawn"]


async def test_a_name_that_is_corrected_while_a_form_waits_stays(
    *, front: Front, organiser: OrganiserClient, database: Database, rows: SelectRows, eventually: Eventually
) -> None:
    session, (agent, *_) = await full(front)
    path = await person_page(front, session, agent)
    enrolment_id = (await front.of(session, agent)).enrolment_id
    colleague = Principal(name="colleague", role=Role.ORGANISER, delegation="bretagne")
    form = {f"avant-{field}": getattr(agent, field) for field in ("given_name", "family_name", "email")}
    form |= {"given_name": "Zoe", "family_name": agent.family_name, "email": agent.email}

    async def it_waits() -> bool:
        waiting = (
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(await rows(waiting))

    async with database.transaction() as tx:
        acting = Acting(tx, colleague, Policy(), clock.now())
        await corrections.correct_by_organiser(acting, enrolment_id, AgentCorrection(given_name="Zoë"))
        late = asyncio.create_task(send(organiser, path, f"{path}/correction", **form))
        await eventually(it_waits, "the form waits for the colleague")
    assert "ont été corrigés entre-temps" in text_of(await late, 409)
    assert "Durand Zoë" in text_of(await organiser.get(path))


async def test_one_person_under_two_issuers_is_joined(front: Front, organiser: OrganiserClient) -> None:
    session = open_now()
    first = an_agent(issuer="portail-bretagne", email="zoe@ville.fr")
    second = an_agent(issuer="portail-deux", email="zoe@ville.fr")
    await front.publish(session)
    await front.enrol(session, first, second)
    path = await person_page(front, session, first)
    page = (await organiser.get(path)).text
    assert "Peut-être la même personne" in page
    asked = await send(organiser, path, f"{path}/reunion", autre=hidden(page, "autre"))
    assert "La seconde inscription prend fin" in text_of(asked)
    assert await front.states(session, first, second) == ["enrolled", "enrolled"]
    pair = {name: hidden(asked.text, name) for name in ("autre", "version-autre", "confirmer")}
    done = await send(organiser, path, f"{path}/reunion", **pair)
    assert done.headers["location"] == f"{path}?fait=reunie"
    assert await front.states(session, first, second) == ["enrolled", "withdrawn"]


async def test_two_enrolments_are_joined_only_from_the_page_of_the_one_that_can_stay(
    front: Front, organiser: OrganiserClient
) -> None:
    session, agents = await full(front)
    twin = an_agent(issuer="portail-deux", given_name="Zoé", family_name="Durand")
    await front.enrol(session, twin)
    seated, waiting = [await person_page(front, session, agent) for agent in (agents[0], twin)]
    assert f"{seated}/reunion" in (await organiser.get(seated)).text
    page = await organiser.get(waiting)
    assert "L’autre inscription a une place, celle-ci n’en a pas" in text_of(page)
    assert f"{waiting}/reunion" not in page.text


async def test_a_note_is_kept_with_its_author_and_counted_in_the_roster(
    front: Front, organiser: OrganiserClient
) -> None:
    session, (agent, *_) = await full(front)
    path = await person_page(front, session, agent)
    assert "Écrivez une note" in text_of(await send(organiser, path, f"{path}/note", note=" "), 422)
    assert (await send(organiser, path, f"{path}/note", note="Vient en fauteuil <b>")).status_code == 303
    assert "advisor-bretagne" in text_of(await organiser.get(path))
    assert "Vient en fauteuil &lt;b&gt;" in (await organiser.get(path)).text
    assert "1 note" in text_of(await organiser.get(page_of(session)))


async def test_a_note_that_is_sent_again_is_kept_once_a_day(
    front: Front, organiser: OrganiserClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, (agent, *_) = await full(front)
    path, now = await person_page(front, session, agent), clock.now()
    monkeypatch.setattr(clock, "now", lambda: now)  # or midnight may come between two clicks
    async with asyncio.TaskGroup() as clicks:
        for _ in range(5):
            clicks.create_task(send(organiser, path, f"{path}/note", note="À rappeler"))
    await send(organiser, path, f"{path}/note", note="Rappelé")
    page = (await organiser.get(path)).text
    assert (page.count("À rappeler"), page.count("Rappelé")) == (1, 1)
    author = Principal(name="advisor-bretagne", role=Role.ORGANISER, delegation="bretagne")
    async with database.transaction() as tx:
        acting = Acting(tx, author, Policy(), now + timedelta(days=1))
        await people.add_note(acting, (await front.of(session, agent)).enrolment_id, "À rappeler")
    assert (await organiser.get(path)).text.count("À rappeler") == 2


async def test_a_form_without_its_key_does_nothing(front: Front, organiser: OrganiserClient) -> None:
    session, (agent, *_) = await full(front)
    path = await person_page(front, session, agent)
    answer = await organiser.post(f"{path}/desistement", data={"cle": "x", "version": "1", "by": "agent"})
    assert answer.status_code == 403
    assert await front.states(session, agent) == ["enrolled"]


async def test_the_history_of_a_session_is_read_page_by_page(
    front: Front, organiser: OrganiserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, agents = await full(front)
    for agent in agents:
        await front.withdraw(session, agent)
    path = page_of(session, "/historique")

    def entries_of(page: str) -> list[str]:
        """What is told, without the page that each person leads back to."""
        return [re.sub(r'\?[^"]*"', '"', found) for found in re.findall(r"<li><p><strong>.*?</li>", page)]

    whole = entries_of((await organiser.get(path)).text)
    assert len(whole) > len(agents)
    monkeypatch.setattr("services.enrolment.pages.manage.roster.HISTORY", 2)
    parts, page = [whole[first : first + 2] for first in range(0, len(whole), 2)], ""
    for way, expected in (("next", parts), ("prev", parts[-2::-1])):
        for part in expected:
            page = (await organiser.get(path)).text
            assert entries_of(page) == part
            path = unescape("".join(re.findall(rf'rel="{way}" href="([^"]+)"', page)))
        assert path == ""
        path = unescape("".join(re.findall(r'rel="prev" href="([^"]+)"', page)))
