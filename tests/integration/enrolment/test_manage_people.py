"""The roster as a page, and what an organiser does with one person there."""

import asyncio
import base64
import itertools
import json
import re
from datetime import datetime, timedelta
from html import unescape
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from starlette.routing import Route

from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import GroupRequest
from services.enrolment.rules.states import State
from services.enrolment.service import corrections, people
from services.enrolment.service.by_organiser import ByOrganiser
from shared import clock
from shared.auth import Principal, Role
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Agent
from tests.conftest import Eventually
from tests.integration.enrolment.conftest import Front, SelectRows, ToApplication
from tests.integration.enrolment.manage import MANAGE, OrganiserClient, hidden, log_in, page_of, send, text_of
from tests.integration.enrolment.organising import CORSE, MODULES
from tests.support.builders import a_question, an_agent, open_now


async def person_page(front: Front, session: SessionState, agent: Agent) -> str:
    return f"{MANAGE}/inscriptions/{(await front.of(session, agent)).enrolment_id}"


async def full(front: Front, **changes: Any) -> tuple[SessionState, list[Agent]]:
    """Two seats, two agents who have one, two who wait."""
    session = open_now(capacity=2, **changes)
    names = (("Zoé", "Durand"), ("Loïc", "Le Goff"), ("Élise", "Martin"), ("Yann", "Bernard"))
    agents = [an_agent(given_name=given, family_name=family) for given, family in names]
    await front.publish(session)
    await front.enrol(session, *agents)
    return session, agents


# ------------------------------------------------------------------------------------------- the roster


async def test_the_roster_names_everybody_with_state_place_and_answers(
    front: Front, organiser: OrganiserClient
) -> None:
    session, _ = await full(front)
    page = text_of(await organiser.get(page_of(session)))
    assert all(name in page for name in ("Durand Zoé", "Le Goff Loïc", "Martin Élise", "Bernard Yann"))
    assert page.index("Durand Zoé") < page.index("Martin Élise") < page.index("Bernard Yann")
    assert "1re de la liste" in page
    assert "2e de la liste" in page


async def test_the_roster_has_the_answers_of_each(front: Front, organiser: OrganiserClient) -> None:
    session = open_now(questions=[a_question("repas", "choice"), a_question("parking")])
    await front.publish(session)
    answers = {"question-repas": "sans gluten", "question-parking": "non"}
    await send(organiser, page_of(session, "/ajout"), **PERSON, **answers)
    await front.enrol(session, an_agent(family_name="Durand"))
    page = (await organiser.get(page_of(session))).text
    of_anne, of_zoe = (
        re.search(rf"<tr[^>]*>(?:(?!</tr>).)*{name}.*?</tr>", page, re.DOTALL) for name in ("Riou", "Durand")
    )
    assert of_anne
    assert of_zoe
    assert "« repas » ?</span> sans gluten</td>" in of_anne[0].replace("\u00a0", " ")
    assert "« parking » ?</span> non" in of_anne[0].replace("\u00a0", " ")
    assert "sans gluten" not in of_zoe[0]


EVERY_FIELD = {
    "version": "1",
    "by": "agent",
    "answer": "yes",
    "heard": "x",
    "priority": "1",
    "reason": "x",
    "note": "x",
    "email": "a@b.fr",
    "texte": "x",
    "audience": "enrolled",
    "envoyer": "oui",
    "code": "x",
    "brouillon": "",
    "action": "withdraw",
    "confirmer": "oui",
}
"""What the forms of all pages ask for; ids are added."""


async def test_a_session_of_others_does_not_exist(
    front: Front, visitor: OrganiserClient, application: ToApplication, rows: SelectRows
) -> None:
    session, (agent, *_) = await full(front)
    enrolment_id = str((await front.of(session, agent)).enrolment_id)
    await log_in(visitor, CORSE)
    key = hidden((await visitor.get(MANAGE)).text, "cle")
    form = EVERY_FIELD | {"cle": key, "message": enrolment_id, "choix": enrolment_id, "autre": enrolment_id}
    form |= {
        "to_session_id": str(session.session_id),
        f"p-{enrolment_id}": "attended",
        "laquelle": enrolment_id,
    }
    form |= {"change": f"{enrolment_id} 0 - attended"}
    before = await rows("SELECT count(*) AS number FROM outbox")
    pages = [
        route
        for route in application().routes
        if isinstance(route, Route) and route.path.startswith(f"{MANAGE}/") and "uuid" in route.path
    ]
    assert len(pages) > 20
    for page in pages:
        path = page.path.replace("{session_id:uuid}", str(session.session_id))
        path = path.replace("{enrolment_id:uuid}", enrolment_id).replace("{file}", "participants.csv")
        if "GET" in (page.methods or ()):
            assert (await visitor.get(path)).status_code == 404, path
        if "POST" in (page.methods or ()):
            assert (await visitor.post(path, data=form)).status_code == 404, path
    assert await front.states(session, agent) == ["enrolled"]
    assert await rows("SELECT count(*) AS number FROM outbox") == before


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("elise", {"Martin Élise"}),
        ("LE GOFF", {"Le Goff Loïc"}),
        ("goff loic", {"Le Goff Loïc"}),
        ("ville de rennes", {"Durand Zoé", "Le Goff Loïc", "Martin Élise", "Bernard Yann"}),
        ("%", set()),
        ("_", set()),
        ("\\", set()),
    ],
)
async def test_a_person_is_found_by_name_address_or_employer_however_it_is_written(
    front: Front, organiser: OrganiserClient, typed: str, found: set[str]
) -> None:
    session, _ = await full(front)
    answer = await send(organiser, page_of(session), recherche=typed)
    page = text_of(answer)
    names = {"Durand Zoé", "Le Goff Loïc", "Martin Élise", "Bernard Yann"}
    assert {name for name in names if name in page} == found
    assert typed not in str(answer.url)


async def test_a_search_finds_in_the_whole_session_whatever_the_list_is_filtered_by(
    front: Front, organiser: OrganiserClient
) -> None:
    session, _ = await full(front)
    page = (await organiser.get(page_of(session, "?etat=attente"))).text
    (path,) = re.findall(r'<form class="search" action="([^"]+)"', page)
    assert "Durand Zoé" not in page
    assert "Durand Zoé" in text_of(await send(organiser, path, recherche="durand"))


@pytest.mark.parametrize("order", ["", "&tri=nom", "&tri=nom&sens=inverse", "&tri=employeur", "&tri=depuis"])
@pytest.mark.parametrize(
    ("group", "states"),
    [
        ("place", "enrolled attended absent absent_justified certified"),
        ("proposee", "offered"),
        ("attente", "waitlisted"),
        ("accord", "pending_approval"),
        ("candidature", "pending_selection"),
        ("fin", "refused lapsed not_obtained withdrawn session_cancelled"),
    ],
)
async def test_the_roster_is_filtered_by_state_in_each_order(
    *, front: Front, organiser: OrganiserClient, database: Database, group: str, states: str, order: str
) -> None:
    session, names = open_now(), {}
    agents = [an_agent(family_name=f"Nom{number:02d}") for number in range(len(State))]
    await front.publish(session)
    await front.enrol(session, *agents)
    async with database.transaction() as tx:
        for agent, state in zip(agents, State, strict=True):
            names[state] = f"{agent.family_name} "
            await tx.execute(
                text(
                    "UPDATE enrolment SET state = :state, hold_until = now(), ticket = 1 "
                    "WHERE agent_id = :agent_id"
                ),
                {"state": state, "agent_id": agent.agent_id},
            )
    page = text_of(await organiser.get(page_of(session, f"?etat={group}{order}")))
    found = sorted((name for name in names.values() if name in page), key=page.index)
    assert sorted(found) == sorted(names[State(state)] for state in states.split())
    if "tri=nom" in order:
        assert found == sorted(found, reverse="inverse" in order)


async def test_the_ways_to_a_part_of_the_roster_say_how_many_are_there_and_lead_nowhere_in_vain(
    front: Front, organiser: OrganiserClient
) -> None:
    session, _ = await full(front)
    page = (await organiser.get(page_of(session))).text
    ways = re.findall(r"<a href=\"[^\"]*\?etat=\w+\">([^<]+)</a>", page.replace("\u00a0", " "))
    assert ways == ["Avec une place (2)", "En attente (2)", "Terminées"]
    empty_part = (await organiser.get(page_of(session, "?etat=accord"))).text.replace("\u00a0", " ")
    assert "Accord attendu (0)</a>" in empty_part  # where one is


async def test_whose_mails_come_back_are_a_list_of_their_own_that_says_where_it_is_cut(
    front: Front, organiser: OrganiserClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, agents = await full(front)
    label = "Courriel à vérifier"
    assert label not in text_of(await organiser.get(page_of(session)))
    async with database.transaction() as tx:
        for agent in (agents[3], agents[1]):
            await tx.execute(
                text("INSERT INTO bad_address VALUES (:issuer, :agent_id, now())"), agent.key._asdict()
            )
    (path,) = re.findall(rf'href="([^"]+)">{label}\W', (await organiser.get(page_of(session))).text)
    assert f'href="{path}">Corriger' in (await organiser.get(MANAGE)).text
    page = text_of(await organiser.get(path))
    assert [
        name for name in ("Durand Zoé", "Le Goff Loïc", "Martin Élise", "Bernard Yann") if name in page
    ] == [
        "Le Goff Loïc",
        "Bernard Yann",
    ]
    assert "de plus" not in page
    with monkeypatch.context() as patched:
        patched.setattr("services.enrolment.pages.manage.roster.FOUND", 1)
        assert "1 personne de plus" in text_of(await organiser.get(path)).replace("\u00a0", " ")
    await front.withdraw(session, agents[1])
    assert "Le Goff Loïc" not in text_of(await organiser.get(path))


async def test_the_roster_is_read_page_by_page(
    front: Front, organiser: OrganiserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, _ = await full(front)
    monkeypatch.setattr("services.enrolment.pages.manage.roster.PAGE", 3)
    first = await organiser.get(page_of(session))
    (address,) = re.findall(r'rel="next" href="([^"]+)"', first.text)
    second = text_of(await organiser.get(address))
    assert "Bernard Yann" in second
    assert "Durand Zoé" not in second


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?etat=attente",
        "?tri=nom",
        "?tri=nom&sens=inverse",
        "?tri=employeur",
        "?tri=depuis",
        "?tri=depuis&sens=inverse",
    ],
)
async def test_the_roster_is_read_backwards_as_it_was_forwards(
    front: Front, organiser: OrganiserClient, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    session, agents = await full(front)
    await front.withdraw(session, agents[3])
    await front.enrol(session, *(an_agent(family_name=name) for name in ("Petit", "Robert")))
    everybody = ids_on((await organiser.get(page_of(session, query))).text)
    monkeypatch.setattr("services.enrolment.pages.manage.roster.PAGE", 1)
    forwards, last = await walk(organiser, page_of(session, query), "next")
    backwards, first = await walk(organiser, last, "prev")
    assert forwards == everybody
    assert backwards == everybody[::-1]
    assert "Début de la liste" not in (await organiser.get(first)).text


def ids_on(page: str) -> list[str]:
    """The enrolments that a page of the roster shows."""
    return re.findall(r'name="choix" value="([^"]+)"', page)


async def walk(organiser: OrganiserClient, address: str, way: str) -> tuple[list[str], str]:
    """Whom a page shows and all that its links of this name lead to, and the address of the last."""
    found: list[str] = []
    while True:
        page = (await organiser.get(address)).text
        found += ids_on(page)
        link = re.search(rf'rel="{way}" href="([^"]+)"', page)
        if link is None:
            return found, address
        address = unescape(link[1])


@pytest.mark.parametrize(
    "key",
    [
        [0, 0, 2**63, "2025-01-01T00:00:00Z", str(UUID(int=0))],
        [2**31, 0, 0, "2025-01-01T00:00:00Z", str(UUID(int=0))],
        ["\0", str(UUID(int=0))],
        [0, -(2**31), 0, "2025-01-01T00:00:00Z", str(UUID(int=0))],
        [0, 0, 0, "9999-12-31T23:59:59-23:59", str(UUID(int=0))],
        ["0001-01-01T00:00:00+23:59", str(UUID(int=0))],
        "[" * 5_000,
    ],
)
async def test_a_place_in_the_roster_that_nobody_gave_out_is_its_beginning(
    front: Front, organiser: OrganiserClient, key: list[Any] | str
) -> None:
    session, _ = await full(front)
    content = key if isinstance(key, str) else json.dumps(key)
    cursor = base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")
    for way, order in itertools.product(("apres", "avant"), ("", "&tri=nom", "&tri=depuis")):
        page = await organiser.get(page_of(session, f"?{way}={cursor}{order}"))
        assert "Durand Zoé" in text_of(page)


async def test_each_look_at_people_is_recorded(
    front: Front, organiser: OrganiserClient, rows: SelectRows
) -> None:
    session, (agent, *_) = await full(front)
    await organiser.get(page_of(session))
    await organiser.get(await person_page(front, session, agent))
    recorded = await rows("SELECT actor, kind, agent_id, purpose FROM read_log ORDER BY id")
    assert [tuple(row) for row in recorded] == [
        ("advisor-bretagne", "roster", None, "organisation de la session"),
        ("advisor-bretagne", "enrolments", agent.agent_id, "organisation de la session"),
    ]


async def test_the_line_shows_who_is_offered_a_seat_and_who_waits_in_order(
    front: Front, organiser: OrganiserClient
) -> None:
    session, (first, *_) = await full(front, waiting_list="offer")
    await front.withdraw(session, first)
    offered, _, waiting = text_of(await organiser.get(page_of(session, "/attente"))).partition(
        "L’ordre est celui"
    )
    assert "Martin Élise" in offered
    assert "Bernard Yann" in waiting


async def test_the_line_leads_on_from_a_page_that_has_offers_alone(
    front: Front, organiser: OrganiserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, (first, *_) = await full(front, waiting_list="offer")
    await front.withdraw(session, first)
    monkeypatch.setattr("services.enrolment.pages.manage.roster.PAGE", 1)
    page = await organiser.get(page_of(session, "/attente"))
    assert "Personne n’est sur la liste d’attente." not in text_of(page)
    (address,) = re.findall(r'rel="next" href="([^"]+)"', page.text)
    assert "Bernard Yann" in text_of(await organiser.get(address))


async def test_the_history_tells_the_last_changes_and_who_made_them(
    front: Front, organiser: OrganiserClient
) -> None:
    session, agents = await full(front)
    path = await person_page(front, session, agents[0])
    await send(organiser, path, f"{path}/desistement", by="agent")
    page = text_of(await organiser.get(page_of(session, "/historique")))
    assert "Martin Élise · Place libérée" in page
    assert "Durand Zoé · Désistement à la demande de l’agente ou de l’agent " in page
    assert "advisor-bretagne" in page


# ------------------------------------------------------------------------------------------- one person


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


async def test_somebody_is_withdrawn_and_the_next_is_served(front: Front, organiser: OrganiserClient) -> None:
    session, agents = await full(front)
    path = await person_page(front, session, agents[0])
    without = await send(organiser, path, f"{path}/desistement")
    assert "Dites qui l’a demandé." in text_of(without, 422)
    long = await send(organiser, path, f"{path}/desistement", by="agent", reason="a" * 6000)
    assert "Ce texte est trop long." in text_of(long, 422)
    assert re.search(r"<details[^>]* open>\s*<summary>Enregistrer un désistement", long.text)
    done = await send(organiser, path, f"{path}/desistement", by="employer", reason="Mutation")
    assert done.headers["location"] == f"{path}?fait=desistee"
    assert await front.states(session, *agents) == ["withdrawn", "enrolled", "enrolled", "waitlisted"]
    page = text_of(await organiser.get(done.headers["location"]))
    assert "Désistement à la demande de l’employeur" in page
    assert "Demande reçue : inscription confirmée" in page
    assert "advisor-bretagne" in page
    served = text_of(await organiser.get(await person_page(front, session, agents[2])))
    assert "Place libérée : inscription confirmée" in served
    assert "Demande reçue : liste d’attente" in served
    waits = text_of(await organiser.get(await person_page(front, session, agents[3])))
    assert "Demande reçue : liste d’attente" in waits


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


FOLDED = ("correction", "desistement", "deplacement")
"""The parts of a page that are folded at first."""
HEARD = {"answer": "yes", "heard": "Au téléphone"}


@pytest.mark.parametrize(
    ("action", "fields"),
    [
        ("correction", {"given_name": "Lise", "family_name": "Martin"}),
        ("desistement", {"by": "agent"}),
        ("reponse", HEARD),
        ("accord", HEARD),
        ("deplacement", {}),
        ("priorite", {"priority": "5", "reason": "Oubli"}),
        ("reunion", {}),
    ],
)
async def test_what_changed_meanwhile_is_shown_and_nothing_is_done(
    *, front: Front, organiser: OrganiserClient, rows: SelectRows, action: str, fields: dict[str, str]
) -> None:
    session, agents = await full(front)
    agent, there = agents[2], open_now(venue="Brest")
    twin = an_agent(issuer="portail-deux", given_name="Élise", family_name="Martin")
    await front.publish(there)
    await front.enrol(session, twin)
    path = await person_page(front, session, agent)
    page = (await organiser.get(path)).text
    form = {name: hidden(page, name) for name in ("cle", "version", "autre")} | {"confirmer": "oui"}
    form["version-autre"] = str((await front.of(session, twin)).version)
    form |= {f"avant-{field}": getattr(agent, field) for field in ("given_name", "family_name", "email")}
    form |= {"email": agent.email, "to_session_id": str(there.session_id)}
    if action == "priorite":  # who has a seat has none
        await send(organiser, path, f"{path}/priorite", priority="9", reason="Urgence")
    else:
        await front.withdraw(session, agents[0])  # whose seat goes to the agent
    written = "SELECT count(*) FROM outbox UNION ALL SELECT count(*) FROM enrolment_change"
    before = await rows(written)

    answer = await organiser.post(f"{path}/{action}", data=form | fields)
    said = text_of(answer, 409)

    if action in FOLDED:  # what was typed is in sight
        panels = re.findall(r'<details class="part" open>.*?</details>', answer.text, re.DOTALL)
        assert any(f'/{action}"' in panel for panel in panels)
    assert "Rien n’a été enregistré." in said
    assert ("Priorité changée" if action == "priorite" else "Place libérée") in said.partition("Situation")[0]
    assert await rows(written) == before


async def test_a_priority_is_changed_with_author_and_reason(front: Front, organiser: OrganiserClient) -> None:
    session, agents = await full(front)
    path = await person_page(front, session, agents[3])
    for fields, wrong in (
        ({"priority": "x", "reason": "Oubli"}, "Indiquez un nombre de 0 à 1000."),
        ({"priority": "5000", "reason": "Oubli"}, "Indiquez un nombre de 0 à 1000."),
        ({"priority": "0000099999", "reason": "Oubli"}, "Indiquez un nombre de 0 à 1000."),
        ({"priority": "9" * 5000, "reason": "Oubli"}, "Indiquez un nombre de 0 à 1000."),
        ({"priority": "5", "reason": " "}, "Dites pourquoi"),
    ):
        assert wrong in text_of(await send(organiser, path, f"{path}/priorite", **fields), 422)
    assert (await send(organiser, path, f"{path}/priorite", priority="5", reason="Oubli")).status_code == 303
    page = text_of(await organiser.get(path))
    assert "1re de la liste" in page
    assert "advisor-bretagne : Oubli" in page


@pytest.mark.parametrize(
    ("answer", "states"), [("yes", ["enrolled", "waitlisted"]), ("no", ["lapsed", "offered"])]
)
async def test_who_phones_about_an_offered_seat_is_answered_for(
    front: Front, organiser: OrganiserClient, answer: str, states: list[str]
) -> None:
    session, agents = await full(front, waiting_list="offer")
    await front.withdraw(session, agents[0])
    path = await person_page(front, session, agents[2])
    assert "Choisissez la réponse." in text_of(await send(organiser, path, f"{path}/reponse"), 422)
    unheard = await send(organiser, path, f"{path}/reponse", answer=answer)
    assert "Dites comment vous le savez" in text_of(unheard, 422)
    done = await send(organiser, path, f"{path}/reponse", answer=answer, heard="Appel reçu")
    assert done.headers["location"] == f"{path}?fait=repondue"
    assert await front.states(session, *agents[2:]) == states
    page = await organiser.get(done.headers["location"])
    assert "La réponse est enregistrée" in text_of(page)
    assert "advisor-bretagne : Appel reçu" in text_of(page)
    assert f"{path}/reponse" not in page.text
    served = text_of(await organiser.get(await person_page(front, session, agents[3])))
    assert "Appel reçu" not in served


@pytest.mark.parametrize(("answer", "state"), [("yes", "enrolled"), ("no", "refused")])
async def test_what_an_employer_said_by_mail_is_noted(
    front: Front, organiser: OrganiserClient, answer: str, state: str
) -> None:
    session, (agent, *_) = await full(front, approval="employer")
    path = await person_page(front, session, agent)
    done = await send(organiser, path, f"{path}/accord", answer=answer, heard="La DRH, par courrier")
    assert done.headers["location"] == f"{path}?fait=accord"
    assert await front.states(session, agent) == [state]
    page = await organiser.get(done.headers["location"])
    assert "La réponse de l’employeur est enregistrée" in text_of(page)
    assert "advisor-bretagne : La DRH, par courrier" in text_of(page)
    assert f"{path}/accord" not in page.text
    late = await send(organiser, path, f"{path}/accord", answer=answer, heard="La DRH, par courrier")
    assert "Les règles de la session ne le permettent pas" in text_of(late, 422)


async def test_somebody_is_moved_to_another_session_of_the_offer(
    front: Front, organiser: OrganiserClient
) -> None:
    session, agents = await full(front)
    there, taken = open_now(venue="Brest"), open_now(capacity=0, waiting_list="none", venue="Quimper")
    await front.publish(there, taken)
    path = await person_page(front, session, agents[0])
    refused = await send(organiser, path, f"{path}/deplacement", to_session_id=str(taken.session_id))
    assert "Les règles de la session ne le permettent pas" in text_of(refused, 422)
    assert "Choisissez une session." in text_of(await send(organiser, path, f"{path}/deplacement"), 422)
    done = await send(organiser, path, f"{path}/deplacement", to_session_id=str(there.session_id))
    assert done.headers["location"] == f"{await person_page(front, there, agents[0])}?fait=deplacee"
    assert await front.states(session, *agents) == ["withdrawn", "enrolled", "enrolled", "waitlisted"]


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


async def test_a_name_and_an_address_are_corrected_unless_somebody_was_faster(
    front: Front, organiser: OrganiserClient
) -> None:
    session, (agent, *_) = await full(front)
    path = await person_page(front, session, agent)
    before = {
        "avant-given_name": agent.given_name,
        "avant-family_name": agent.family_name,
        "avant-email": agent.email,
    }
    given = {"given_name": "Zoë", "family_name": "Durand", "email": agent.email}
    wrong = await send(organiser, path, f"{path}/correction", **before | given | {"email": "zoe"})
    assert "Indiquez une adresse électronique." in text_of(wrong, 422)
    unchanged = await send(organiser, path, f"{path}/correction", **before | given | {"given_name": "Zoé"})
    assert "Rien n’a été changé" in text_of(unchanged, 422)
    done = await send(organiser, path, f"{path}/correction", **before | given)
    assert done.headers["location"] == f"{path}?fait=corrigee"
    assert "Durand Zoë" in text_of(await organiser.get(path))
    late = await send(organiser, path, f"{path}/correction", **before | given | {"given_name": "Zoe"})
    assert "ont été corrigés entre-temps" in text_of(late, 409)


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
        by = ByOrganiser(colleague, Policy(), clock.now())
        await corrections.correct_by_organiser(tx, by, enrolment_id, after={"given_name": "Zoë"})
        late = asyncio.create_task(send(organiser, path, f"{path}/correction", **form))
        await eventually(it_waits, "the form waits for the colleague")
    assert "ont été corrigés entre-temps" in text_of(await late, 409)
    assert "Durand Zoë" in text_of(await organiser.get(path))


async def test_who_waits_is_put_before_all_others_without_a_number_to_guess(
    front: Front, organiser: OrganiserClient
) -> None:
    session, agents = await full(front)
    first, last = [await person_page(front, session, agent) for agent in agents[2:]]
    await send(organiser, first, f"{first}/priorite", priority="7", reason="Urgence")
    page = text_of(await send(organiser, last, f"{last}/priorite", premier="oui", priority="0"), 422)
    assert "motif" in page.partition("Situation")[0].lower()
    for path in (last, first, first):
        done = await send(organiser, path, f"{path}/priorite", premier="oui", priority="0", reason="Oubli")
        assert "1re de la liste" in text_of(await organiser.get(done.headers["location"]))
    roster = text_of(await organiser.get(page_of(session, "?etat=attente")))
    assert "1re de la liste, priorité 9" in roster
    assert "2e de la liste, priorité 8" in roster


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


async def test_an_enrolment_that_changed_meanwhile_does_not_end_for_another(
    front: Front, organiser: OrganiserClient
) -> None:
    session, agents = await full(front)
    twin = an_agent(issuer="portail-deux", given_name="Zoé", family_name="Durand")
    await front.enrol(session, twin)
    path = await person_page(front, session, agents[0])
    page = (await organiser.get(path)).text
    asked = await send(organiser, path, f"{path}/reunion", autre=hidden(page, "autre"))
    pair = {name: hidden(asked.text, name) for name in ("autre", "version-autre", "confirmer")}
    other = await person_page(front, session, twin)
    await send(organiser, other, f"{other}/priorite", priority="9", reason="Urgence")
    late = await send(organiser, path, f"{path}/reunion", **pair)
    assert "L’autre inscription a changé" in text_of(late, 409)
    assert await front.states(session, agents[0], twin) == ["enrolled", "waitlisted"]


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
        by = ByOrganiser(author, Policy(), now + timedelta(days=1))
        await people.add_note(tx, by, (await front.of(session, agent)).enrolment_id, "À rappeler")
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


# ------------------------------------------------------------------------------------------- by hand

PERSON = {
    "given_name": "Anne",
    "family_name": "Riou",
    "email": "anne.riou@ville-exemple.fr",
    "function": "agent",
    "employer": "Ville de Rennes",
    "siret": "213 502 388 00019",
    "delegation": "bretagne",
}


async def test_somebody_is_enrolled_by_hand_or_waits_by_the_rules(
    front: Front, organiser: OrganiserClient
) -> None:
    session, _ = await full(front)
    path = page_of(session, "/ajout")
    done = await send(organiser, path, **PERSON)
    assert done.status_code == 303, done.text
    assert re.fullmatch(rf"{MANAGE}/inscriptions/[0-9a-f-]+\?fait=ajoutee-attente", done.headers["location"])
    added = await organiser.get(done.headers["location"])
    assert "La personne est ajoutée à la liste d’attente" in text_of(added)
    assert f'href="{path}">Ajouter une autre personne</a>' in added.text
    assert "3e de la liste" in text_of(added)
    again = await send(organiser, path, **PERSON)
    assert "Les règles de la session ne le permettent pas" in text_of(again, 422)


async def test_an_employer_who_is_in_the_session_already_is_chosen_not_typed(
    front: Front, organiser: OrganiserClient
) -> None:
    session, agents = await full(front)
    path, employer = page_of(session, "/ajout"), agents[0].employer
    assert (await organiser.get(path)).text.count(f'<option value="{employer.siret}">') == 1
    person = {
        name: typed for name, typed in PERSON.items() if name not in ("employer", "siret", "delegation")
    }
    assert text_of(await send(organiser, path, **person), 422).count("Ce champ est obligatoire.") > 0
    assert (await send(organiser, path, **person, known="21350238800099")).status_code == 422
    done = await send(organiser, path, **person, known=employer.siret)
    assert f"{employer.name} ({employer.siret})" in text_of(await organiser.get(done.headers["location"]))


async def test_who_walks_in_is_enrolled_from_the_door_and_there_again_has_arrived(
    front: Front, organiser: OrganiserClient, rows: SelectRows
) -> None:
    session = open_now(capacity=1, waiting_list="automatic", modules=MODULES)
    await front.publish(session)
    door = page_of(session, "/pointage?seance=2")
    (path,) = {*re.findall(r'href="([^"]+/ajout[^"]*)"', unescape((await organiser.get(door)).text))}
    form = (await organiser.get(path)).text
    assert f'action="{path}"' in form
    assert f'href="{door}">Revenir sans ajouter' in form
    assert (await send(organiser, path, **PERSON | {"siret": "1"})).text.count(f'action="{path}"') == 1
    done = await send(organiser, path, **PERSON)
    [noted] = await rows("SELECT enrolment_id, module, author FROM arrival")
    assert (noted.module, noted.author) == (1, "advisor-bretagne")
    led_to = f"{door}&fait=pointee-{noted.enrolment_id}#p-{noted.enrolment_id}"
    assert done.headers["location"] == led_to
    assert "Riou Anne est là." in text_of(await organiser.get(done.headers["location"]))
    late = await send(organiser, path, **PERSON | {"email": "lea@ville-exemple.fr", "given_name": "Léa"})
    assert late.headers["location"] == f"{door}&fait=sans-place"
    assert "elle n’a pas de place : elle n’est pas pointée" in text_of(
        await organiser.get(door + "&fait=sans-place")
    ).replace("\u00a0", " ")
    assert len(await rows("SELECT 1 FROM arrival")) == 1


async def test_who_was_withdrawn_by_mistake_is_enrolled_again_as_the_same_agent_with_nothing_to_type(
    front: Front, organiser: OrganiserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = open_now(capacity=5)
    agent = an_agent(issuer="portail-bretagne", given_name="Zoé", family_name="Durand")
    await front.publish(session)
    await front.enrol(session, agent)
    path = await person_page(front, session, agent)
    assert "Inscrire de nouveau" not in text_of(await organiser.get(path))
    await send(organiser, path, f"{path}/desistement", by="agent")
    (form,) = re.findall(r'href="([^"]+/ajout\?depuis=[^"]+)"', (await organiser.get(path)).text)
    page = (await organiser.get(form)).text
    filled = dict(re.findall(r'<input[^>]* name="(\w+)"[^>]* value="([^"]*)"', page))
    chosen = r'<select[^>]* name="(\w+)".*?<option value="([^"]*)" selected'
    filled |= dict(re.findall(chosen, page, re.DOTALL))
    assert filled["email"] == agent.email
    filled |= {name: filled[name].upper() for name in ("given_name", "family_name")}
    done = await organiser.post(form, data={name: unescape(value) for name, value in filled.items()})
    assert done.status_code == 303, text_of(done, done.status_code)
    assert await front.states(session, agent) == ["enrolled"]
    with monkeypatch.context() as listed:
        listed.setattr(people, "ELSEWHERE", 0)  # as where later sessions fill the list
        assert "Inscrire de nouveau" not in text_of(await organiser.get(path))
    again = text_of(await organiser.get(done.headers["location"]))
    assert "Ajout à la main" in again
    assert "Ses autres inscriptions" in again


async def test_who_is_not_the_same_person_gets_no_identifier_of_another(
    front: Front, organiser: OrganiserClient, rows: SelectRows
) -> None:
    session, agents = await full(front)
    which = (await front.of(session, agents[3])).enrolment_id
    await send(organiser, page_of(session, f"/ajout?depuis={which}"), **PERSON)
    [row] = await rows("SELECT issuer FROM enrolment WHERE agent ->> 'family_name' = 'Riou'")
    assert row.issuer == "cnfpt"
    assert (await organiser.get(page_of(session, f"/ajout?depuis={uuid4()}"))).status_code == 404


def from_now(**delta: int) -> datetime:
    return clock.now() + timedelta(**delta)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": "bespoke"}, "La collectivité nomme les stagiaires, de son portail, jusqu’au"),
        ({"enrolment_opens_at": from_now(days=5)}, "Les inscriptions ouvrent le"),
        (
            {
                "enrolment_closes_at": from_now(days=-5),
                "starts_at": from_now(days=-2),
                "ends_at": from_now(days=-1),
            },
            "La session est terminée.",
        ),
        ({"status": "cancelled"}, "La session est annulée."),
    ],
)
async def test_where_nobody_can_be_added_no_page_offers_it_and_the_form_says_why(
    front: Front, organiser: OrganiserClient, changes: dict[str, Any], said: str
) -> None:
    session, open_to_all = open_now(**changes), open_now()
    await front.publish(session, open_to_all)
    for page in ("", "/groupes", "/pointage"):
        assert page_of(open_to_all, "/ajout") in (await organiser.get(page_of(open_to_all, page))).text
        assert page_of(session, "/ajout") not in (await organiser.get(page_of(session, page))).text, page
    path = page_of(session, "/ajout")
    form = await organiser.get(path)
    assert said in text_of(form).replace("\u00a0", " ")
    assert 'name="email"' not in form.text
    refused = await send(organiser, page_of(session), path, **PERSON)
    assert "Les règles de la session ne le permettent pas" in text_of(refused, 422)


async def test_somebody_gets_a_seat_above_capacity_with_a_reason(
    front: Front, organiser: OrganiserClient
) -> None:
    session, _ = await full(front)
    done = await send(organiser, page_of(session, "/ajout"), **PERSON, above_capacity="Intervenante")
    page = text_of(await organiser.get(done.headers["location"]))
    assert "Inscription confirmée" in page
    assert "Intervenante" in page


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("email", "anne", "Indiquez une adresse électronique."),
        ("email", "", "Ce champ est obligatoire."),
        ("siret", "12345678901234", "Ce n’est pas un SIRET"),
        ("function", "roi", "Choisissez une fonction."),
        ("family_name", "", "Ce champ est obligatoire."),
        ("family_name", "a" * 500, "Ce texte est trop long"),
    ],
)
async def test_what_is_wrong_stands_beside_its_field_and_nobody_is_enrolled(
    *, front: Front, organiser: OrganiserClient, rows: SelectRows, field: str, typed: str, said: str
) -> None:
    session = open_now()
    await front.publish(session)
    answer = await send(organiser, page_of(session, "/ajout"), **PERSON | {field: typed})
    assert answer.status_code == 422
    assert re.search(rf'id="{field}-erreur">{said}', answer.text)
    assert 'value="Anne"' in answer.text
    assert await rows("SELECT 1 FROM enrolment") == []


async def test_all_that_is_wrong_is_said_at_once_and_in_the_title(
    front: Front, organiser: OrganiserClient
) -> None:
    session = open_now(questions=[a_question("repas", "choice", required=True)])
    await front.publish(session)
    answer = await send(organiser, page_of(session, "/ajout"), **PERSON | {"email": "anne"})
    assert "<title>Erreur –" in answer.text
    for field in ("email", "question-repas"):
        assert f'<a href="#{field}">' in answer.text, field
    right = await send(organiser, page_of(session, "/ajout"), **PERSON)
    assert "<title>Erreur –" in right.text


async def test_the_questions_of_a_session_are_asked(front: Front, organiser: OrganiserClient) -> None:
    session = open_now(questions=[a_question("repas", "choice", required=True)])
    await front.publish(session)
    path = page_of(session, "/ajout")
    assert "Répondez à cette question." in text_of(await send(organiser, path, **PERSON), 422)
    done = await send(organiser, path, **PERSON, **{"question-repas": "végétarien"})
    assert "végétarien" in text_of(await organiser.get(done.headers["location"]))
