"""The page of a person, for organisers: where they may move, notes, history; and who came together."""

import asyncio
import itertools
import re
from datetime import timedelta
from functools import partial
from uuid import uuid4

import pytest
from sqlalchemy import text

from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import GroupRequest, Nomination
from services.enrolment.service import links
from services.enrolment.service.links import AgentLink
from shared import clock
from shared.database import Database
from tests.conftest import Ask
from tests.integration.enrolment.conftest import Front, SelectRows
from tests.integration.enrolment.manage import (
    PERSON,
    OrganiserClient,
    from_now,
    full,
    hidden,
    log_in,
    page_of,
    person_page,
    send,
    text_of,
    walk,
)
from tests.integration.enrolment.organising import BRETAGNE
from tests.support.builders import a_question, an_agent, open_now


async def test_a_person_with_a_seat_is_led_to_the_sessions_that_have_one_until_theirs_begins(
    front: Front, organiser: OrganiserClient
) -> None:
    session, agents = await full(front)
    running = await front.open(late := an_agent(), capacity=1, starts_at=from_now(hours=-1))
    others = (
        open_now(venue="Brest"),
        open_now(venue="Quimper", capacity=0),
        open_now(venue="Vannes", status="cancelled"),
        open_now(venue="Lorient", enrolment_opens_at=from_now(days=2)),
        open_now(venue="Dinan", approval="employer"),
        open_now(venue="Ajaccio", organiser="corse"),
    )
    await front.publish(*others)
    has_seat, waits, has_begun = [
        (await organiser.get(await person_page(front, there, agent))).text
        for there, agent in ((session, agents[0]), (session, agents[3]), (running, late))
    ]
    choices = has_seat.partition('name="to_session_id"')[2].partition("</select>")[0]
    assert re.findall(r"<option[^>]*>([^,<]+)", choices) == ["Choisissez", "Brest"]
    assert ['name="to_session_id"' in page for page in (waits, has_begun)] == [False, False]
    assert ['/desistement"' in page for page in (waits, has_begun)] == [True, False]


async def test_a_move_to_a_session_that_asks_questions_asks_them_first(
    front: Front, organiser: OrganiserClient, rows: SelectRows
) -> None:
    session, (agent, *_) = await full(front)
    asked = [
        a_question("repas", "choice", required=True),
        a_question("maire", "text", required=True, functions=["dirigeant"]),
    ]
    there = await front.open(venue="Brest", questions=asked)
    path = await person_page(front, session, agent)
    fields = {"to_session_id": str(there.session_id)}
    forms: list[dict[str, str]] = [{}, {"repondu": "oui"}, {"repondu": "oui", "question-repas": "végétarien"}]
    answers = [await send(organiser, path, f"{path}/deplacement", **fields, **more) for more in forms]
    assert [answer.status_code for answer in answers] == [200, 422, 303]
    assert ["question-repas" in answers[0].text, "question-maire" in answers[0].text] == [True, False]
    assert agent.family_name in answers[0].text
    [read] = await rows("SELECT count(*) AS lines FROM read_log WHERE agent_id = :id", id=agent.agent_id)
    assert read.lines == 5, "of each page that names the person: three before the forms, two that ask"
    assert await front.states(session, agent) == ["withdrawn"]
    assert "végétarien" in text_of(await organiser.get(answers[2].headers["location"]))


async def test_a_note_is_kept_once_a_day_counted_in_the_roster_and_leads_back_to_the_list(
    front: Front, organiser: OrganiserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, (agent, *_) = await full(front)
    path, now = await person_page(front, session, agent), clock.now()
    ticks = itertools.count()  # of one second: midnight may come between two clicks otherwise
    monkeypatch.setattr(clock, "now", lambda: now.replace(microsecond=next(ticks)))
    note, text_there = f"{path}/note?etat=attente&tri=nom", "En fauteuil <b>"
    done = await asyncio.gather(*(send(organiser, path, note, note=text_there) for _ in range(5)))
    assert {answer.headers["location"] for answer in done} == {f"{path}?etat=attente&tri=nom&fait=notee"}
    assert (await send(organiser, path, note, note=" ")).status_code == 422
    assert (await organiser.get(path)).text.count("En fauteuil &lt;b&gt;") == 1
    assert "1 note" in text_of(await organiser.get(page_of(session)))
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(days=1))
    await log_in(organiser)
    await send(organiser, path, note, note=text_there)
    assert (await organiser.get(path)).text.count("En fauteuil &lt;b&gt;") == 2


async def test_the_text_of_a_note_is_removed_and_the_history_says_by_whom(
    front: Front, organiser: OrganiserClient, rows: SelectRows
) -> None:
    session, (agent, other, *_) = await full(front)
    path, elsewhere = [await person_page(front, session, each) for each in (agent, other)]
    await send(organiser, path, f"{path}/note", note="06 12 34 56 78")
    which, kept = hidden((await organiser.get(path)).text, "laquelle"), []
    for page in (elsewhere, path):
        await send(organiser, path, f"{page}/note/retrait", laquelle=which)
        kept += [tuple(note) for note in await rows("SELECT text, removed_by FROM note")]
    assert kept == [("06 12 34 56 78", None), ("", BRETAGNE)]
    assert "Note retirée" in text_of(await organiser.get(path))
    assert "1 note" not in text_of(await organiser.get(page_of(session)))
    await send(organiser, path, f"{path}/note", note="06 12 34 56 78")
    assert "06 12 34 56 78" in text_of(await organiser.get(path)), "written again"


# ------------------------------------------------------------------------------------------- history


async def past_of(organiser: OrganiserClient, path: str) -> str:
    return text_of(await organiser.get(path)).replace("\u00a0", " ")


async def test_the_history_says_who_moved_or_withdrew_a_person_where_to_and_why(
    front: Front, organiser: OrganiserClient
) -> None:
    session, agents = await full(front, venue="Mairie, 29000 Quimper")
    there = await front.open(venue="Quartz, 29200 Brest")
    moved, left, other = [await person_page(front, session, agent) for agent in agents[:3]]
    await send(organiser, moved, f"{moved}/deplacement", to_session_id=str(there.session_id))
    await send(organiser, left, f"{left}/desistement", by="agent", reason="Souffrante")
    for path in (moved, page_of(session, "/historique")):
        assert "Changement pour Brest, " in await past_of(organiser, path)
    arrived = await past_of(organiser, await person_page(front, there, agents[0]))
    assert re.search(f"Changement depuis Quimper, .* · {BRETAGNE}", arrived)
    said = [f"{BRETAGNE} : Souffrante" in await past_of(organiser, path) for path in (left, other)]
    assert said == [True, False]


async def test_the_history_of_a_session_begins_with_first_decisions_and_additions_by_hand(
    front: Front, organiser: OrganiserClient
) -> None:
    asked, refused = an_agent(family_name="Durand"), an_agent(family_name="Martin")
    session = await front.open(asked, capacity=1, waiting_list="none")
    await front.enrol(session, refused)
    await send(
        organiser, page_of(session, "/ajout"), **PERSON, above_capacity="Une chaise de plus", approved="oui"
    )
    await front.withdraw(session, asked)
    page = (await organiser.get(page_of(session, "/historique"))).text
    past = [
        " ".join(re.sub("<[^>]+>", " ", entry).replace("\u00a0", " ").split())
        for entry in re.findall("<li><p><strong>(<a .*?)</li>", page)
    ]
    assert [re.sub(r" \S+ \d+ \S+ \d{4} à .*?, heure de Paris", "", entry) for entry in past] == [
        "Durand Zoé · Désistement à la demande de l’agente ou de l’agent",
        f"Riou Anne · Ajout à la main : inscription confirmée · {BRETAGNE} : Une chaise de plus",
        "Martin Zoé · Demande reçue : refus",
        "Durand Zoé · Demande reçue : inscription confirmée",
    ]


@pytest.mark.parametrize("gone", ["UPDATE request SET outcome = 'mixed'", "DELETE FROM request"])
async def test_the_history_does_not_say_a_first_answer_that_is_not_known(
    front: Front, organiser: OrganiserClient, database: Database, gone: str
) -> None:
    session, agents = await full(front)
    await front.withdraw(session, agents[0])
    async with database.transaction() as tx:
        await tx.execute(text(gone))
    past = await past_of(organiser, await person_page(front, session, agents[0]))
    assert ("Demande reçue" in past, "Demande reçue :" in past) == (True, False)


@pytest.mark.parametrize("act", ["withdraw", "move"])
async def test_the_history_of_what_a_link_did_says_who_corrected_the_address_before(
    *, front: Front, organiser: OrganiserClient, ask: Ask, database: Database, act: str
) -> None:
    session, (agent, *_) = await full(front)
    there = await front.open(venue="Quartz, 29200 Brest")
    enrolment_id = (await front.of(session, agent)).enrolment_id
    right = {"email": "autre@exemple.fr"}
    await ask("PATCH", f"/api/v1/enrolments/{enrolment_id}/agent", by=BRETAGNE, json=right)
    held_no_more = clock.now() + timedelta(hours=25)
    link, pasts = AgentLink(enrolment_id, lambda _address: True), [page_of(session, "/historique")]
    pasts.append(await person_page(front, session, agent))
    async with database.transaction() as tx:
        if act == "move":
            await links.move_to(tx, link, there.session_id, (), policy=Policy(), now=held_no_more)
        else:
            await links.withdraw(tx, link, Policy(), held_no_more)
    if act == "move":
        pasts.append(await person_page(front, there, agent))
    for past in pasts:
        assert re.search(
            f"par un lien envoyé à .*, adresse corrigée le .*, par {BRETAGNE}", await past_of(organiser, past)
        )


async def test_the_history_of_a_session_is_read_page_by_page_forwards_and_backwards(
    front: Front, organiser: OrganiserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, agents = await full(front)
    for agent in agents:
        await front.withdraw(session, agent)
    path = page_of(session, "/historique")
    # Without the list to which the page of each person leads back.
    entries = partial(re.findall, r'<li><p><strong>(.*?)\?[^"]*"(.*?)</li>')
    whole = entries((await organiser.get(path)).text)
    assert len(whole) > len(agents)
    monkeypatch.setattr("services.enrolment.pages.manage.roster.HISTORY", 1)
    forwards, last = await walk(organiser, path, "next", entries)
    backwards, _ = await walk(organiser, last, "prev", entries)
    assert forwards == backwards[::-1] == whole


# ------------------------------------------------------------------------------------------- together


async def test_a_group_is_shown_together_and_a_list_with_the_people_it_replaced(
    front: Front, organiser: OrganiserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoe, loic = an_agent(family_name="Durand"), an_agent(family_name="Le Goff")
    siret = zoe.employer.siret
    by_list = await front.open(format="bespoke", audience={"sirets": [siret]})
    by_group = await front.open(an_agent(family_name="Bernard"))
    for named in ((zoe,), (loic,)):
        await front.answer(Nomination(uuid4(), clock.now(), by_list.session_id, named, siret))
    together = uuid4(), clock.now(), by_group.session_id
    await front.answer(GroupRequest(*together, (zoe, loic), all_or_nothing=False))
    shown = {}
    for most in (2, 1):
        monkeypatch.setattr("services.enrolment.pages.manage.roster.TOGETHER", most)
        for name, session in (("list", by_list), ("group", by_group)):
            page = text_of(await organiser.get(page_of(session, "/groupes")))
            persons = "Durand Zoé|Le Goff Zoé|Bernard|Remplacée|certaines manquent"
            shown[name, most] = re.findall(persons, page)
    assert shown["list", 2] == ["Le Goff Zoé", "Remplacée", "Durand Zoé", "Durand Zoé"]
    assert shown["group", 2] == ["Durand Zoé", "Le Goff Zoé"]
    assert "certaines manquent" in shown["group", 1]
