"""A person is found over all sessions of a delegation, and over no other's."""

import pytest
from sqlalchemy import text

from services.enrolment.service import people as service_people
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Agent
from tests.integration.enrolment.conftest import Front, SelectRows
from tests.integration.enrolment.manage import MANAGE, OrganiserClient, send, text_of
from tests.integration.enrolment.organising import BRETAGNE
from tests.support.builders import an_agent

PEOPLE = f"{MANAGE}/personnes"
NAMES = ("Durand Zoé", "L’Hostis-Le Goff Loïc", "N'Guyen Élise")
Filled = tuple[list[SessionState], list[Agent]]


@pytest.fixture
async def filled(front: Front) -> Filled:
    """Two sessions of Bretagne and one of Corse, with people: the first is in all of them."""
    agents = [
        an_agent("IEL-1", family_name="Durand", given_name="Zoé", email="zozo@brest.example"),
        an_agent("IEL-2", family_name="L’Hostis-Le Goff", given_name="Loïc", email="l.goff@vannes.example"),
        an_agent("IEL-3", family_name="N'Guyen", given_name="Élise", email="elise@brest.example"),
    ]
    sessions = [
        await front.open(agents[0], agents[1]),
        await front.open(agents[0]),
        await front.open(agents[0], agents[2], organiser="corse"),
    ]
    return sessions, agents


BY_WORDS: dict[str, set[int]] = {
    "ZOE dur": {0},
    "zozo@brest.example": {0},
    "zozo@brest": set(),
    "zoe.dur": {0},
    "l'hostis": {1},
    "l’hostis-le goff loic": {1},
    "durand brest": {0},
    "durand ville de rennes": {0},
    "goff": set(),
    "ville de rennes": set(),
    "durand loic": set(),
    "n'guyen": set(),
    "IEL-2": {1},
    "IEL-3": set(),
    "' | ! & <-> :* \\ %": set(),
    "dur% zo_": {0},
    "d zo": {0},
    "durand " + "zoe " * 11 + "loic": {0},
}


@pytest.mark.usefixtures("filled")
async def test_a_person_is_found_by_the_beginning_of_their_name_or_the_whole_of_their_address_or_identifier(
    organiser: OrganiserClient,
) -> None:
    answers = {typed: await send(organiser, PEOPLE, recherche=typed) for typed in BY_WORDS}
    found = {typed: text_of(answer) for typed, answer in answers.items()}
    assert {
        typed: {which for which, name in enumerate(NAMES) if name in text} for typed, text in found.items()
    } == BY_WORDS
    assert {(str(each.url), each.headers["cache-control"]) for each in answers.values()} == {
        (f"http://localhost:8001{PEOPLE}", "no-store")
    }


@pytest.mark.usefixtures("filled")
async def test_a_person_whom_the_last_release_enrolled_is_found_too(
    organiser: OrganiserClient, database: Database
) -> None:
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE enrolment SET sought = NULL"))
    assert NAMES[1] in text_of(await send(organiser, PEOPLE, recherche="l’hostis vannes loic"))


@pytest.mark.usefixtures("filled")
async def test_one_letter_is_not_looked_for(organiser: OrganiserClient, rows: SelectRows) -> None:
    answers = [await send(organiser, PEOPLE, recherche=typed) for typed in ("d", "é ", "d l")]
    assert [answer.status_code for answer in answers] == [422, 422, 422]
    assert await rows("SELECT 1 FROM read_log") == []


async def test_each_enrolment_of_the_person_leads_to_their_page_and_the_pages_to_each_other(
    front: Front, organiser: OrganiserClient, filled: Filled, rows: SelectRows
) -> None:
    sessions, agents = filled
    await front.withdraw(sessions[0], agents[0])
    pages = [
        f"{MANAGE}/inscriptions/{(await front.of(session, agents[0])).enrolment_id}" for session in sessions
    ]
    answer = await send(organiser, MANAGE, PEOPLE, recherche="durand")
    assert [f'href="{page}"' in answer.text for page in pages] == [True, True, False], "the third is Corse's"
    [line] = await rows("SELECT actor, kind, agent_id, may_name_others FROM read_log")
    assert tuple(line) == (BRETAGNE, "person", agents[0].agent_id, False)
    first = (await organiser.get(pages[0])).text
    assert [f'href="{page}"' in first for page in pages] == [False, True, False]


@pytest.mark.usefixtures("filled")
async def test_a_search_that_finds_too_many_asks_for_another_word(
    organiser: OrganiserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_people, "FOUND", 1)
    answers = [await send(organiser, PEOPLE, recherche=typed) for typed in ("durand", "l’hostis")]
    assert ["ajoutez un mot" in text_of(answer) for answer in answers] == [True, False]
