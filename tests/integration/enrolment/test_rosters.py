"""Rosters: in their order, by state and by page, sorted, and searched in what is kept for that."""

import base64
import itertools
import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from itertools import pairwise
from operator import attrgetter
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from services.enrolment.pages.manage.roster import GROUPS
from services.enrolment.rules.roster_lines import RosterLine, RosterOrder, plain
from services.enrolment.rules.states import State
from services.enrolment.store import corrections, roster_lines
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Agent
from tests.conftest import Ask
from tests.integration.enrolment.conftest import Front, SelectRows
from tests.integration.enrolment.manage import OrganiserClient, full, page_of, send, text_of, walk
from tests.integration.enrolment.organising import BRETAGNE, MODULES, lines, listed, of
from tests.support.builders import an_agent, open_now
from tests.support.statements import plan_of

PAGES = "services.enrolment.pages.manage.roster"

# ------------------------------------------------------------------------------------------- the API


async def a_full_session(front: Front) -> SessionState:
    """One enrolled, one with an offer, two waiting, one refused, one gone."""
    agents = [an_agent(f"A-{number}", family_name="=1+1") for number in range(5)]
    session = await front.open(*agents, capacity=2, waiting_list="offer", modules=MODULES)
    await front.withdraw(session, agents[1])  # whose seat is offered to A-2
    await front.enrol(session, agents[0])  # refused: enrolled already
    return session


async def test_a_roster_and_its_sheet_have_everybody_in_order(
    front: Front, ask: Ask, database: Database
) -> None:
    session = await a_full_session(front)
    async with database.transaction() as tx:
        await tx.execute(text("INSERT INTO bad_address VALUES ('', 'A-3', now())"))
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
    bad = [entry["agent"]["agent_id"] for entry in entries if entry["address_is_bad"]]
    assert bad == ["A-3"]
    heading, *sheet = lines(await ask("GET", of(session, "roster.csv"), by=BRETAGNE))
    columns = {title: [line[place] for line in sheet] for place, title in enumerate(heading)}
    assert columns["Courriel à vérifier"] == ["", "", "oui", "", "", ""]
    assert columns["Situation"][0] == "inscription confirmée"
    assert set(columns["Nom"]) == {"'=1+1"}, "no formula runs"
    assert {"Séance 1 : Comprendre", "Séance 2 : Pratiquer"} <= set(heading)


async def test_a_roster_is_read_page_by_page_and_by_state(front: Front, ask: Ask) -> None:
    session = await a_full_session(front)
    pages: list[dict[str, Any]] = []
    for _ in range(3):
        after = f"&cursor={pages[-1]['next']}" if pages else ""
        pages.append((await ask("GET", of(session, f"roster?limit=2{after}"), by=BRETAGNE)).json())
    assert [entry for page in pages for entry in page["items"]] == await listed(ask, session)
    assert pages[-1]["next"] is None
    waiting = await listed(ask, session, "?state=waitlisted&state=offered")
    assert [entry["position"] for entry in waiting] == [None, 1, 2]


# ------------------------------------------------------------------------------------------- the page


def ids_on(page: str) -> list[str]:
    """The enrolments that a page of the roster shows."""
    return re.findall(r'name="choix" value="([^"]+)"', page)


def names_on(answer: Any) -> list[str]:
    names = ("Durand Zoé", "Le Goff Loïc", "Martin Élise", "Bernard Yann")
    shown = text_of(answer)
    return [name for name in names if name in shown]


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("goff loic", ["Le Goff Loïc"]),
        ("ville de rennes", ["Durand Zoé", "Le Goff Loïc", "Martin Élise", "Bernard Yann"]),
    ],
)
async def test_a_search_finds_in_the_whole_session_whatever_the_list_is_filtered_by(
    front: Front, organiser: OrganiserClient, typed: str, found: list[str]
) -> None:
    session, _ = await full(front)
    page = (await organiser.get(page_of(session, "?etat=attente"))).text
    (path,) = re.findall(r'<form class="search" action="([^"]+)"', page)
    answer = await send(organiser, path, recherche=typed)
    assert names_on(answer) == found
    assert typed not in str(answer.url)


@pytest.mark.parametrize("order", ["", "&tri=nom&sens=inverse"])
async def test_the_roster_is_filtered_by_state_in_each_order(
    front: Front, organiser: OrganiserClient, database: Database, order: str
) -> None:
    session = await front.open(*(an_agent(state, family_name=f"Nom-{state}") for state in State))
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE enrolment SET state = agent_id, hold_until = now(), ticket = 1"))
    shown = {}
    for group in GROUPS:
        page = text_of(await organiser.get(page_of(session, f"?etat={group}{order}")))
        shown[group] = re.findall(r"Nom-(\w+)", page)
        if "nom" in order:
            assert shown[group] == sorted(shown[group], reverse="inverse" in order)
    assert {group: set(states) for group, states in shown.items()} == {
        group: set(states) for group, states in GROUPS.items()
    }


async def test_people_whose_mails_come_back_are_a_list_that_says_where_it_is_cut(
    front: Front, organiser: OrganiserClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, agents = await full(front)
    path = page_of(session, "?etat=courriel")
    async with database.transaction() as tx:
        await tx.execute(text("INSERT INTO bad_address SELECT issuer, agent_id, now() FROM enrolment"))
    await front.withdraw(session, agents[1])
    assert names_on(await organiser.get(path)) == ["Durand Zoé", "Martin Élise", "Bernard Yann"]
    monkeypatch.setattr(f"{PAGES}.FOUND", 1)
    assert "2 personnes de plus" in text_of(await organiser.get(path)).replace("\u00a0", " ")


@pytest.mark.parametrize("query", ["?etat=attente", "?tri=employeur&sens=inverse"])
async def test_the_roster_is_read_backwards_as_it_was_forwards(
    front: Front, organiser: OrganiserClient, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    session, agents = await full(front)
    await front.withdraw(session, agents[3])
    await front.enrol(session, *(an_agent(family_name=name) for name in ("Petit", "Robert")))
    everybody = ids_on((await organiser.get(page_of(session, query))).text)
    monkeypatch.setattr(f"{PAGES}.PAGE", 1)
    forwards, last = await walk(organiser, page_of(session, query), "next", ids_on)
    backwards, first = await walk(organiser, last, "prev", ids_on)
    assert forwards == backwards[::-1] == everybody
    assert "Début de la liste" not in (await organiser.get(first)).text


async def test_the_line_leads_on_from_a_page_that_has_offers_alone(
    front: Front, organiser: OrganiserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, (first, *_) = await full(front, waiting_list="offer")
    await front.withdraw(session, first)
    monkeypatch.setattr(f"{PAGES}.PAGE", 1)
    people, _ = await walk(
        organiser,
        page_of(session, "/attente"),
        "next",
        lambda page: re.findall("Martin Élise|Bernard Yann", page),
    )
    assert [name for name, _ in itertools.groupby(people)] == ["Martin Élise", "Bernard Yann"]


NOBODY = str(UUID(int=0))


@pytest.mark.parametrize(
    ("order", "key"),
    [
        ("", [0, 0, 2**63, "2025-01-01T00:00:00Z", NOBODY]),
        ("", [2**31, 0, 0, "2025-01-01T00:00:00Z", NOBODY]),
        ("", [0, -(2**31), 0, "2025-01-01T00:00:00Z", NOBODY]),
        ("", [0, 0, 0, "9999-12-31T23:59:59-23:59", NOBODY]),
        ("&tri=couleur", "[" * 5_000),
        ("&tri=nom", ["\0", NOBODY]),
        ("&tri=depuis", ["0001-01-01T00:00:00+23:59", NOBODY]),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_a_place_in_the_roster_that_nobody_gave_out_is_its_beginning(
    front: Front, organiser: OrganiserClient, order: str, key: list[Any] | str
) -> None:
    session, _ = await full(front)
    content = key if isinstance(key, str) else json.dumps(key)
    cursor = base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")
    for way in ("apres", "avant"):
        assert len(names_on(await organiser.get(page_of(session, f"?{way}={cursor}{order}")))) == 4


# ------------------------------------------------------------------------------------------- the store

BEGINNING = (0, 0, -1, datetime.fromisoformat("2025-01-01T00:00:00Z"), UUID(int=0))


def named(line: RosterLine) -> str:
    return f"{line.enrolment.agent.family_name} {line.enrolment.agent.given_name}"


SORTED_BY: Mapping[RosterOrder, Callable[[RosterLine], object]] = {
    RosterOrder.NAME: lambda line: plain(named(line)),
    RosterOrder.EMPLOYER: lambda line: plain(f"{line.enrolment.agent.employer.name} {named(line)}"),
    RosterOrder.SINCE: lambda line: line.updated_at,
}


async def test_the_roster_is_in_its_order_by_state_priority_and_receipt(
    front: Front, database: Database
) -> None:
    agents = [an_agent(issuer=issuer) for issuer in ("iel", "ouest") for _ in range(5)]
    session = await front.open(*agents, capacity=3)
    for agent in agents[1:4]:
        await front.withdraw(session, agent)
    async with database.transaction() as tx:
        await tx.execute(
            text("UPDATE enrolment SET priority = 5 WHERE ticket = (SELECT max(ticket) FROM enrolment)")
        )
        whole = await roster_lines.page(tx, session.session_id, None, 100)
    assert all(first < second for first, second in pairwise(line.key for line in whole))
    assert whole[3].enrolment.agent == agents[9]
    assert len({line.enrolment.state for line in whole}) == 3


@pytest.mark.parametrize(
    ("order", "descending", "written_by"),
    [
        (RosterOrder.NAME, False, "this version"),
        (RosterOrder.EMPLOYER, True, "this version"),
        (RosterOrder.SINCE, True, "this version"),
        (RosterOrder.NAME, True, "the last release"),
        (RosterOrder.EMPLOYER, False, "the last release"),
    ],
)
async def test_the_roster_is_sorted_as_people_read_names_and_read_by_pages_of_any_length(
    *, front: Front, database: Database, order: RosterOrder, descending: bool, written_by: str
) -> None:
    employer = an_agent().employer.model_dump()
    agents = [
        an_agent(given_name=given, family_name=family, employer=employer | {"name": town})
        for town in ("Évry", "Evry", "Évry-Grégy", "Albi", "Albi")
        for given, family in (("Zoé", "Étienne"), ("Éric", "Le Goff"))
    ]
    session = await front.open(*agents, capacity=3)
    async with database.transaction() as tx:
        if written_by == "the last release":
            await tx.execute(text("UPDATE enrolment SET sought = NULL"))
        page = partial(roster_lines.sorted_page, tx, session.session_id, order, descending=descending)
        whole = await page(None, 100)
        parts = [await page(whole[at].sorted_key, 3) for at in range(len(whole))]
    assert len(whole) == len(agents)
    assert [line.sorted_by for line in whole] == [SORTED_BY[order](line) for line in whole]
    assert whole == sorted(whole, key=attrgetter("sorted_key"), reverse=descending)
    assert parts == [whole[at + 1 : at + 4] for at in range(len(whole))]


async def test_a_page_is_read_by_the_index_of_rosters_and_places_in_line_by_the_index_of_who_waits(
    database: Database,
) -> None:
    parameters = roster_lines._parameters(open_now().session_id, list(State), BEGINNING, 50)
    plan = await plan_of(database, roster_lines._PAGE, parameters, without=("seqscan", "bitmapscan", "sort"))
    assert re.search(r"Limit .*\n +->  Index Scan using ix_enrolment_roster on", plan), "not in its order"
    counted = plan[plan.index("WindowAgg") : plan.index("Scan using ix_enrolment_waiting")]
    assert ("Unique" in counted, "Sort" in counted) == (True, False)


def sought(names: str, agent: Agent) -> str:
    return f"ville de rennes {names}\n{agent.email} {agent.agent_id.lower()}"


async def found(database: Database, session: SessionState, *sought: str) -> list[str]:
    async with database.quiet_transaction() as tx:
        page = await roster_lines.page(tx, session.session_id, None, 100, sought=sought)
    return [line.enrolment.agent.agent_id for line in page]


@pytest.mark.parametrize("written_by", ["this version", "the last release"])
async def test_what_is_searched_is_kept_right_by_each_change(
    *, front: Front, database: Database, rows: SelectRows, written_by: str
) -> None:
    agent = an_agent(given_name="Élise", family_name="Le Goff")
    session, _ = await front.open(agent, an_agent()), await front.open(agent)
    if written_by == "the last release":
        async with database.transaction() as tx:
            await tx.execute(text("UPDATE enrolment SET sought = NULL"))
    assert await found(database, session, "goff", "elise") == [agent.agent_id]
    async with database.transaction() as tx:
        await corrections.apply(tx, agent.key, {"family_name": "Šimon"})
    kept = await rows("SELECT sought FROM enrolment WHERE agent_id = :id", id=agent.agent_id)
    assert {row.sought for row in kept} == {sought("simon elise", agent)}
    assert [await found(database, session, name) for name in ("goff", "simon")] == [[], [agent.agent_id]]
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE enrolment SET sought = NULL"))
    await front.withdraw(session, agent)
    assert (await front.of(session, agent)).sought == sought("simon elise", agent)


async def test_a_mark_of_the_database_is_searched_for_as_it_is(front: Front, database: Database) -> None:
    session = await front.open(an_agent())
    assert [await found(database, session, mark) for mark in ("%", "_", "\\")] == [[], [], []]
