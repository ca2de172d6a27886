"""A person is found over all sessions of a delegation, and over no other's."""

import pytest
from sqlalchemy import text

from services.enrolment.service import people as service_people
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Agent
from tests.integration.enrolment.conftest import Front, SelectRows
from tests.integration.enrolment.manage import MANAGE, OrganiserClient, page_of, send, text_of
from tests.support.builders import an_agent, open_now

PEOPLE = f"{MANAGE}/personnes"
NAMES = ("Durand Zoé", "L’Hostis-Le Goff Loïc", "N'Guyen Élise")


@pytest.fixture
async def filled(front: Front) -> tuple[list[SessionState], list[Agent]]:
    """Two sessions of Bretagne and one of Corse, with people: the first is in all of them."""
    sessions = [
        open_now(venue="Mairie, 29000 Quimper", title="L’IA au musée"),
        open_now(venue="Quartz, 29200 Brest"),
        open_now(venue="Mairie, 20000 Ajaccio", organiser="corse"),
    ]
    agents = [
        an_agent(family_name=family, given_name=given, email=email)
        for family, given, email in (
            ("Durand", "Zoé", "zoe.durand@brest.example"),
            ("L’Hostis-Le Goff", "Loïc", "l.goff@vannes.example"),
            ("N'Guyen", "Élise", "elise@brest.example"),
        )
    ]
    await front.publish(*sessions)
    for session in sessions:
        await front.enrol(session, agents[0])
    await front.enrol(sessions[0], agents[1])
    await front.enrol(sessions[2], agents[2])
    return sessions, agents


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("durand", {0}),
        ("ZOE dur", {0}),
        ("zoe.durand@brest.example", {0}),
        ("zoe.dur", {0}),
        ("l'hostis", {1}),
        ("l’hostis-le goff loic", {1}),
        ("loic l’hostis", {1}),
        ("durand brest", {0}),
        ("durand ville de rennes", {0}),
        ("goff", set()),
        ("ville de rennes", set()),
        ("durand loic", set()),
        ("n'guyen", set()),
        ("' | ! & <-> :* \\ %", set()),
        ("dur% zo_", {0}),
    ],
)
@pytest.mark.usefixtures("filled")
async def test_a_person_is_found_by_the_beginning_of_their_name_or_the_whole_of_their_address(
    organiser: OrganiserClient, typed: str, found: set[int]
) -> None:
    answer = await send(organiser, PEOPLE, recherche=typed)
    page = text_of(answer)
    assert {which for which, name in enumerate(NAMES) if name in page} == found
    assert ("Personne ne correspond." in page) == (not found)
    assert str(answer.url).endswith(PEOPLE)
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.usefixtures("filled")
async def test_one_letter_is_not_looked_for(organiser: OrganiserClient, rows: SelectRows) -> None:
    for typed in ("d", "é ", "d l"):
        answer = await send(organiser, PEOPLE, recherche=typed)
        assert "Tapez deux lettres au moins d’un mot." in text_of(answer, 422)
        assert f'value="{typed.strip()}" autocomplete="off" aria-invalid="true"' in answer.text
    assert await rows("SELECT 1 FROM read_log") == []
    assert NAMES[0] in text_of(await send(organiser, PEOPLE, recherche="d zo"))


async def test_who_is_found_is_told_with_session_and_state_and_the_way_to_their_page(
    front: Front, organiser: OrganiserClient, filled: tuple[list[SessionState], list[Agent]], rows: SelectRows
) -> None:
    sessions, agents = filled
    await front.withdraw(sessions[0], agents[0])
    assert f'action="{PEOPLE}"' in (await organiser.get(MANAGE)).text
    answer = await send(organiser, MANAGE, PEOPLE, recherche="durand")
    page = text_of(answer)
    assert "2 inscriptions" in page.replace("\u00a0", " ")
    assert "Quimper" in page
    assert "L’IA au musée" in page
    assert "Désistement" in page
    assert "Ajaccio" not in page
    for session in sessions[:2]:
        path = f"{MANAGE}/inscriptions/{(await front.of(session, agents[0])).enrolment_id}"
        assert f'href="{path}"' in answer.text
    [line] = await rows("SELECT actor, kind, agent_id, may_name_others FROM read_log")
    assert tuple(line) == ("advisor-bretagne", "person", agents[0].agent_id, False)


async def test_the_page_of_a_person_names_their_other_sessions_with_the_same_organiser(
    front: Front, organiser: OrganiserClient, filled: tuple[list[SessionState], list[Agent]]
) -> None:
    sessions, agents = filled
    first, second = [(await front.of(session, agents[0])).enrolment_id for session in sessions[:2]]
    answer = await organiser.get(f"{MANAGE}/inscriptions/{first}")
    assert f'href="{MANAGE}/inscriptions/{second}">Brest' in answer.text
    assert "Ajaccio" not in text_of(answer)
    alone = (await front.of(sessions[0], agents[1])).enrolment_id
    assert "Ses autres inscriptions" not in text_of(await organiser.get(f"{MANAGE}/inscriptions/{alone}"))


async def test_a_person_is_found_by_their_identifier(
    organiser: OrganiserClient, filled: tuple[list[SessionState], list[Agent]]
) -> None:
    agents = filled[1]
    assert NAMES[1] in text_of(await send(organiser, PEOPLE, recherche=agents[1].agent_id))
    assert "Personne ne correspond." in text_of(await send(organiser, PEOPLE, recherche=agents[2].agent_id))


async def test_whom_the_last_release_enrolled_is_found_too(
    organiser: OrganiserClient, filled: tuple[list[SessionState], list[Agent]], database: Database
) -> None:
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE enrolment SET sought = NULL"))
    assert NAMES[1] in text_of(await send(organiser, PEOPLE, recherche="l’hostis vannes loic"))
    assert page_of(filled[0][0]) in (await send(organiser, PEOPLE, recherche="l’hostis")).text


@pytest.mark.usefixtures("filled")
async def test_a_search_that_finds_too_many_asks_for_another_word(
    organiser: OrganiserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_people, "FOUND", 1)
    assert "ajoutez un mot" in text_of(await send(organiser, PEOPLE, recherche="durand"))
    assert "ajoutez un mot" not in text_of(await send(organiser, PEOPLE, recherche="l’hostis"))
