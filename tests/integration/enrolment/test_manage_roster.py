"""The roster of a session as a page: its order, its filters, its search, its parts."""

import base64
import itertools
import json
import re
from html import unescape
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from starlette.routing import Route

from services.enrolment.rules.states import State
from shared.database import Database
from tests.integration.enrolment.conftest import Front, SelectRows, ToApplication
from tests.integration.enrolment.manage import (
    MANAGE,
    PERSON,
    OrganiserClient,
    full,
    hidden,
    log_in,
    page_of,
    person_page,
    send,
    text_of,
)
from tests.integration.enrolment.organising import CORSE
from tests.support.builders import a_question, an_agent, open_now


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
