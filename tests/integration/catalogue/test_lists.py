"""The lists of the public and of a delegation, a page at a time; chosen drafts are published."""

import asyncio
import re
from html import unescape

import pytest
from sqlalchemy import text

from services.catalogue.pages import browse
from services.catalogue.pages.manage import bespoke, listing, offers, resources
from shared.database import Database
from tests.conftest import Ask
from tests.integration.catalogue.browsing import HttpBrowser, organiser
from tests.integration.catalogue.conftest import (
    BRETAGNE,
    CORSE,
    change,
    drafted,
    in_days,
    listed,
    published,
)
from tests.support.locks import locks_awaited

__all__ = ["organiser"]


FILL = (
    """
    INSERT INTO resource (resource_id, version, kind, title, url, themes, published_at, organiser)
    SELECT gen_random_uuid(), 1, 'replay', 'Replay ' || n, 'https://exemple.fr/' || n, jsonb_build_array(),
        now() - n / 2 * interval '1 hour', 'bretagne' FROM generate_series(1, 5) AS n""",
    """
    INSERT INTO bespoke_request (bespoke_id, request_id, source, siret, authority, delegation, theme,
        trainees, received_at, requester_name, requester_email, version, state)
    SELECT gen_random_uuid(), gen_random_uuid(), '/portals/essai', '21350238800019', 'Ville ' || n,
        'bretagne', 'IA', 12, now() - n / 2 * interval '1 hour', 'Zoé', 'zoe@ville-exemple.fr', 1, 'received'
    FROM generate_series(1, 5) AS n""",
    """
    INSERT INTO offer (offer_id, format, title, summary, themes, terms, source, choices)
    SELECT 'offre-' || n, format, 'Offre ' || n, summary, themes, terms, source, choices
    FROM offer, generate_series(1, 4) AS n""",
)

"""Five of each, some of them of the same moment."""


@pytest.fixture
async def filled(organiser: HttpBrowser, an_empty_offer: str, ask: Ask, database: Database) -> HttpBrowser:
    for number in range(5):
        await published(ask, an_empty_offer, title=f"Session {number}", **on_day(40 + number))
    async with database.transaction() as tx:
        for statement in FILL:
            await tx.execute(text(statement))
    return organiser


def titles(page: str) -> list[str]:
    return re.findall(r'<span class="plain">([^<]+)</span><br><a href="/gestion/sessions/', page)


OWN_SESSIONS = r'<span class="plain">(Session \d)</span><br><a href="/gestion/sessions/'
PUBLIC_SESSIONS = r'href="/sessions/([0-9a-f-]{36})"'
LISTS = [
    (browse, "/sessions", PUBLIC_SESSIONS),
    (browse, "/ressources", r"https://exemple\.fr/\d"),
    (resources, "/gestion/ressources", r'"/gestion/ressources/([0-9a-f-]{36})"'),
    (bespoke, "/gestion/demandes/liste", r"Ville \d"),
    (offers, "/gestion/offres", r'<a href="/gestion/offres/([a-z0-9-]+)"'),
    (listing, "/gestion?etat=published", OWN_SESSIONS),
    (listing, "/gestion?tri=dernieres", OWN_SESSIONS),
    (listing, "/gestion?tri=modifiees", OWN_SESSIONS),
]


async def test_a_list_is_walked_in_both_directions_and_shows_the_same(
    filled: HttpBrowser, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    async def walk(path: str, way: str, row: str) -> tuple[list[list[str]], str]:
        page = (await filled.get(path)).text
        rows = list(dict.fromkeys(re.findall(row, page)))
        link = re.search(rf'rel="{way}" href="([^"]+)"', page)
        if link is None:
            return [rows], path
        rest, last = await walk(unescape(link[1]), way, row)
        return [rows, *rest], last

    for module, path, row in LISTS:
        with subtests.test(path), monkeypatch.context() as patch:
            ((whole,), _) = await walk(path, "next", row)
            assert len(whole) == 5
            patch.setattr(module, "PAGE", 2)
            forward, last = await walk(path, "next", row)
            backward, _ = await walk(last, "prev", row)
            assert forward == backward[::-1] == [whole[:2], whole[2:4], whole[4:]]


async def test_own_sessions_are_sorted(filled: HttpBrowser, database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE session SET venue = 'Quimper' WHERE title = 'Session 2'"))
    for order, expected in (
        ("premieres", "01234"), ("", "01234"), ("dernieres", "43210"), ("modifiees", "2")
    ):  # fmt: skip
        page = (await filled.get(f"/gestion?tri={order}")).text
        assert "".join(title[-1] for title in titles(page)).startswith(expected), order


def on_day(days: float) -> dict[str, str]:
    return {"starts_at": in_days(days).isoformat(), "ends_at": in_days(days + 0.3).isoformat()}


FILTERED = {
    "": ["brouillon", "publiée"],
    "etat=draft": ["brouillon"],
    "etat=published&format=local_event": ["publiée"],
    "format=webinar": [],
    "offre=essai": ["brouillon", "publiée"],
    "offre=autre": [],
    "delegation=corse": ["brouillon", "publiée"],
    "etat=perdue&format=cours": ["brouillon", "publiée"],
}


async def test_the_list_is_filtered_and_has_no_session_of_others(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask
) -> None:
    await drafted(ask, an_empty_offer, title="brouillon")
    await published(ask, an_empty_offer, title="publiée")
    await published(ask, an_empty_offer, by=CORSE, title="ailleurs")
    found = {query: sorted(titles((await organiser.get(f"/gestion?{query}")).text)) for query in FILTERED}
    assert found == FILTERED


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
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask, database: Database
) -> None:
    _, form = await confirmation(organiser, [(await drafted(ask, an_empty_offer))["session_id"]])
    async with database.transaction() as tx:
        await tx.execute(text("SELECT FROM session FOR UPDATE"))
        clicks = [asyncio.ensure_future(organiser.post(PUBLISH, data=form)) for _ in range(2)]
        await locks_awaited(database, 2)
    for done in await asyncio.gather(*clicks):
        assert "1 session publiée." in done.text
