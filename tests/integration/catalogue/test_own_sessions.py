"""The list of a delegation's sessions: sorted, filtered, a page at a time; chosen drafts are published."""

import asyncio
import re
from html import unescape

import pytest
from sqlalchemy import text

from services.catalogue.pages.manage import listing
from shared.database import Database
from tests.conftest import Ask
from tests.integration.catalogue.browsing import HttpBrowser, organiser
from tests.integration.catalogue.conftest import (
    BRETAGNE,
    CORSE,
    UntilBlocked,
    change,
    drafted,
    in_days,
    listed,
    published,
)

__all__ = ["organiser"]


def titles(page: str) -> list[str]:
    return re.findall(r'<span class="plain">([^<]+)</span><br><a href="/gestion/sessions/', page)


def on_day(days: float) -> dict[str, str]:
    return {"starts_at": in_days(days).isoformat(), "ends_at": in_days(days + 0.3).isoformat()}


@pytest.fixture
async def five(ask: Ask, an_empty_offer: str) -> list[str]:
    """The titles of five drafts by their start."""
    for day in range(5):
        await drafted(ask, an_empty_offer, title=f"Session {day}", **on_day(40 + day))
    return [f"Session {day}" for day in range(5)]


@pytest.mark.parametrize(("order", "step"), [("premieres", 1), ("dernieres", -1), ("", 1)])
async def test_sessions_are_listed_by_their_start_and_walked_in_both_directions(
    organiser: HttpBrowser, five: list[str], monkeypatch: pytest.MonkeyPatch, order: str, step: int
) -> None:
    monkeypatch.setattr(listing, "PAGE", 2)

    async def walk(address: str, way: str) -> tuple[list[list[str]], str]:
        page = (await organiser.get(address)).text
        following = re.search(rf'rel="{way}" href="([^"]+)"', page)
        if following is None:
            return [titles(page)], address
        assert "etat=draft" in following[1]
        rest, last = await walk(unescape(following[1]), way)
        return [titles(page), *rest], last

    expected = five[::step]
    forward, last = await walk(f"/gestion?tri={order}&etat=draft", "next")
    backward, _ = await walk(last, "prev")
    assert forward == backward[::-1] == [expected[:2], expected[2:4], expected[4:]]


@pytest.mark.usefixtures("five")
async def test_the_session_that_was_changed_last_comes_first(
    organiser: HttpBrowser, database: Database
) -> None:
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE session SET venue = 'Quimper' WHERE title = 'Session 1'"))
    assert titles((await organiser.get("/gestion?tri=modifiees")).text)[0] == "Session 1"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["brouillon", "publiée"]),
        ("etat=draft", ["brouillon"]),
        ("etat=published&format=local_event", ["publiée"]),
        ("format=webinar", []),
        ("offre=essai", ["brouillon", "publiée"]),
        ("offre=autre", []),
        ("delegation=corse", ["brouillon", "publiée"]),
        ("etat=perdue&format=cours", ["brouillon", "publiée"]),
    ],
)
async def test_the_list_is_filtered_and_has_no_session_of_others(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask, query: str, expected: list[str]
) -> None:
    await drafted(ask, an_empty_offer, title="brouillon")
    await published(ask, an_empty_offer, title="publiée")
    await published(ask, an_empty_offer, by=CORSE, title="ailleurs")
    assert sorted(titles((await organiser.get(f"/gestion?{query}")).text)) == expected


async def test_drafts_that_begin_soon_are_counted_until_they_are_published(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask
) -> None:
    async def reminders() -> list[str]:
        return re.findall(r"<strong>(\w+) brouillons?", (await organiser.get("/gestion")).text)

    await drafted(ask, an_empty_offer, **on_day(31))
    await drafted(ask, an_empty_offer, by=CORSE, **on_day(20))
    assert await reminders() == []
    first, _ = [(await drafted(ask, an_empty_offer, **on_day(days)))["session_id"] for days in (20, 29)]
    assert await reminders() == ["2"]
    await ask("POST", f"/sessions/{first}/publish", by=BRETAGNE)
    assert await reminders() == ["Un"]


# ------------------------------------------------------------------------------------- chosen drafts

PUBLISH = "/gestion/sessions/publier"


async def confirmation(organiser: HttpBrowser, chosen: list[str]) -> tuple[str, dict[str, list[str]]]:
    """The page that asks whether to publish the chosen drafts, and the form that it has."""
    page = (await organiser.get(PUBLISH, params={"choisi": chosen})).text
    pairs = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page)
    return page, {name: [unescape(value) for key, value in pairs if key == name] for name, _ in pairs}


async def test_the_drafts_that_are_chosen_are_published_once_it_was_confirmed(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask
) -> None:
    good, without_place, changed, theirs = [
        (await drafted(ask, an_empty_offer, by=by, **changes))["session_id"]
        for by, changes in ((BRETAGNE, {}), (BRETAGNE, {"venue": None}), (BRETAGNE, {}), (CORSE, {}))
    ]
    page = (await organiser.get("/gestion?etat=draft&tous=oui")).text
    chosen = re.findall(r'name="choisi" value="([^"]+)" checked', page)
    assert sorted(chosen) == sorted([good, without_place, changed])
    page, form = await confirmation(organiser, [*chosen, theirs])
    assert sorted(form["choisi"]) == sorted([good, changed])
    assert theirs not in page
    await change(ask, changed, venue="Vannes")
    assert await listed(ask) == []
    for _ in range(2):  # a double click
        done = await organiser.post(PUBLISH, data=form | {"choisi": [*form["choisi"], theirs]})
        assert "1 session publiée, 1 refusée. 1 brouillon n’existe plus." in done.text
        assert [session["session_id"] for session in await listed(ask)] == [good]
    assert (await organiser.get(f"{PUBLISH}?choisi=rien")).status_code == 400


async def test_drafts_that_are_published_twice_at_one_moment_are_published_for_both(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask, database: Database, until_blocked: UntilBlocked
) -> None:
    _, form = await confirmation(organiser, [(await drafted(ask, an_empty_offer))["session_id"]])
    async with database.transaction() as tx:
        await tx.execute(text("SELECT FROM session FOR UPDATE"))
        clicks = [asyncio.ensure_future(organiser.post(PUBLISH, data=form)) for _ in range(2)]
        await until_blocked(2)
    for done in await asyncio.gather(*clicks):
        assert "1 session publiée." in done.text


async def test_the_letters_that_the_publication_of_a_draft_sends_are_said_of_each(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask
) -> None:
    chosen = [
        (await drafted(ask, an_empty_offer, **changes))["session_id"]
        for changes in (
            {"title": "Ouverte", "trainers": [{"name": "Ada", "email": "ada@example.org"}]},
            {"title": "Réservée", "audience": {"sirets": ["21350238800019"]}},
            {"title": "Close", "enrolment_closes_at": in_days(-0.5).isoformat()},
        )
    ]
    page, _ = await confirmation(organiser, chosen)
    said = {
        title: [promise in item for promise in ("la délégation", "suivent l’offre", "doivent intervenir")]
        for item in page.split('<li class="item">')[1:]
        for title in re.findall('<p class="quiet">([^<]+)', item)
    }
    assert said == {
        "Ouverte": [True, True, True],
        "Réservée": [True, False, False],
        "Close": [False, False, False],
    }
