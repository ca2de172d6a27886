"""The list of a delegation's sessions: sorted, filtered, a page at a time."""

import asyncio
import re
from datetime import timedelta
from html import unescape

import pytest
from sqlalchemy import text

from services.catalogue.pages.manage import listing
from shared.database import Database
from tests.conftest import Ask, Eventually
from tests.integration.catalogue.browsing import HttpBrowser, log_in, organiser
from tests.integration.catalogue.conftest import ADMIN, BRETAGNE, CORSE, a_draft_of, drafted, in_days

__all__ = ["organiser"]


def titles(page: str) -> list[str]:
    return [
        unescape(title)
        for title in re.findall(r'<span class="plain">([^<]+)</span><br><a href="/gestion/sessions/', page)
    ]


async def a_few(ask: Ask, offer_id: str, number: int) -> None:
    for day in range(number):
        start = in_days(40 + day)
        draft = a_draft_of(
            offer_id,
            title=f"Session {day}",
            starts_at=start.isoformat(),
            ends_at=(start + timedelta(hours=7)).isoformat(),
        )
        assert (await ask("POST", "/sessions", by=BRETAGNE, **draft)).status_code == 201


@pytest.mark.parametrize(("order", "is_last_first"), [("premieres", False), ("dernieres", True), ("", False)])
async def test_sessions_are_listed_by_their_start_from_either_end_page_after_page(
    organiser: HttpBrowser,
    an_empty_offer: str,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
    *,
    order: str,
    is_last_first: bool,
) -> None:
    monkeypatch.setattr(listing, "PAGE", 2)
    await a_few(ask, an_empty_offer, 5)
    expected = [f"Session {day}" for day in range(5)]
    if is_last_first:
        expected.reverse()
    address, seen = f"/gestion?tri={order}", []
    while True:
        page = (await organiser.get(address)).text
        seen.append(titles(page))
        following = re.search(r'rel="next" href="([^"]+)"', page)
        if following is None:
            break
        address = unescape(following[1])
    assert seen == [expected[:2], expected[2:4], expected[4:]]
    back = re.search(r'rel="prev" href="([^"]+)"', page)
    assert back
    assert titles((await organiser.get(unescape(back[1]))).text) == expected[2:4]


async def test_what_was_changed_last_comes_first_where_one_asks_for_it(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask, database: Database
) -> None:
    await a_few(ask, an_empty_offer, 3)
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE session SET venue = 'Quimper' WHERE title = 'Session 1'"))
    page = (await organiser.get("/gestion?tri=modifiees")).text
    assert titles(page)[0] == "Session 1"
    assert 'aria-sort="descending"><a href="/gestion">Modifiée</a>' in page


async def test_a_filter_is_taken_off_by_a_click_and_an_offer_is_one(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask
) -> None:
    await a_few(ask, an_empty_offer, 1)
    page = (await organiser.get(f"/gestion?offre={an_empty_offer}&etat=draft&tri=dernieres")).text
    assert titles(page) == ["Session 0"]
    assert f'href="/gestion?etat=draft&amp;offre={an_empty_offer}&amp;tri=dernieres"' not in page
    assert (
        'href="/gestion?etat=draft&amp;tri=dernieres"><span class="hidden">Retirer le filtre </span>Un essai'
        in page
    )
    other = (await organiser.get("/gestion?offre=autre")).text
    assert "Aucune session ne correspond à ces filtres." in other
    assert f'href="/gestion?offre={an_empty_offer}"' in (await organiser.get("/gestion/offres")).text


async def test_drafts_that_begin_soon_are_told_until_they_are_published(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask
) -> None:
    def in_some(days: float) -> dict[str, str]:
        return {"starts_at": in_days(days).isoformat(), "ends_at": in_days(days + 0.3).isoformat()}

    async def reminders() -> list[str]:
        return re.findall(r"<strong>([^<]*brouillons?[^<]*)</strong>", (await organiser.get("/gestion")).text)

    await drafted(ask, an_empty_offer, **in_some(31))
    await drafted(ask, an_empty_offer, by=CORSE, **in_some(20))
    assert await reminders() == []
    first = (await drafted(ask, an_empty_offer, **in_some(20)))["session_id"]
    assert await reminders() == ["Un brouillon commence dans moins de 30 jours\u00a0:"]
    await drafted(ask, an_empty_offer, **in_some(29))
    assert await reminders() == ["2 brouillons commencent dans moins de 30 jours\u00a0:"]
    assert (await ask("POST", f"/sessions/{first}/publish", by=BRETAGNE)).status_code == 200
    assert await reminders() == ["Un brouillon commence dans moins de 30 jours\u00a0:"]


async def test_an_empty_list_says_what_to_do(organiser: HttpBrowser) -> None:
    page = (await organiser.get("/gestion?tri=rien")).text
    assert "Aucune session à venir." in page
    assert 'href="/gestion/sessions/serie"' in page
    await log_in(organiser, ADMIN)
    assert "Aucune session à venir." in (await organiser.get("/gestion")).text


async def test_drafts_that_are_chosen_are_published_once_it_was_confirmed(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask
) -> None:
    good, without_place, changed, theirs = [
        (await drafted(ask, an_empty_offer, by=by, **changes))["session_id"]
        for by, changes in ((BRETAGNE, {}), (BRETAGNE, {"venue": None}), (BRETAGNE, {}), (CORSE, {}))
    ]
    listed = (await organiser.get("/gestion?etat=draft&tous=oui")).text
    chosen = re.findall(r'name="choisi" value="([^"]+)" checked', listed)
    assert sorted(chosen) == sorted([good, without_place, changed])
    assert 'name="choisi"' not in (await organiser.get("/gestion")).text
    asked = await organiser.get("/gestion/sessions/publier", params={"choisi": [*chosen, theirs]})
    assert "C’est définitif" in asked.text
    assert "Publier 2 sessions" in asked.text
    assert "Indiquez un lieu ou une adresse de connexion" in asked.text
    assert theirs not in asked.text
    assert await statuses(ask) == {"draft"}
    form = [(name, unescape(value)) for name, value in re.findall(HIDDEN, asked.text)]
    assert (await ask("PATCH", f"/sessions/{changed}", by=BRETAGNE, venue="Vannes")).status_code == 200
    done = await organiser.post("/gestion/sessions/publier", data=sent([*form, ("choisi", theirs)]))
    assert "1 session publiée, 1 refusée. 1 brouillon n’existe plus." in done.text
    assert "Cette session a changé entre-temps" in done.text
    assert await statuses(ask) == {"draft", "published"}
    assert (await ask("GET", f"/sessions/{good}")).json()["status"] == "published"
    again = await organiser.post("/gestion/sessions/publier", data=sent([*form, ("choisi", theirs)]))
    assert "1 session publiée, 1 refusée. 1 brouillon n’existe plus." in again.text, "a double click"
    nothing = await organiser.get("/gestion/sessions/publier")
    assert "Aucun brouillon n’est choisi." in nothing.text
    only_gone = await organiser.get("/gestion/sessions/publier", params={"choisi": theirs})
    assert "1 brouillon n’existe plus." in only_gone.text
    assert (await organiser.get("/gestion/sessions/publier?choisi=rien")).status_code == 400


async def test_drafts_that_are_published_twice_at_one_moment_are_published_for_both(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask, database: Database, eventually: Eventually
) -> None:
    chosen = (await drafted(ask, an_empty_offer))["session_id"]
    asked = await organiser.get("/gestion/sessions/publier", params={"choisi": chosen})
    form = [(name, unescape(value)) for name, value in re.findall(HIDDEN, asked.text)]

    async def both_wait() -> bool:
        async with database.quiet_transaction() as other:
            return bool(await other.scalar(_WAITING) == 2)

    async with database.transaction() as tx:
        await tx.execute(text("SELECT FROM session FOR UPDATE"))
        clicks = [
            asyncio.ensure_future(organiser.post("/gestion/sessions/publier", data=sent(form)))
            for _ in range(2)
        ]
        await eventually(both_wait, "two clicks wait")
    for done in await asyncio.gather(*clicks):
        assert "1 session publiée." in done.text


_WAITING = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


async def test_what_a_draft_that_is_published_with_others_has_sent_is_said_of_each(
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
    page = (await organiser.get("/gestion/sessions/publier", params={"choisi": chosen})).text
    said = {
        title: tuple(
            promise in item for promise in ("la délégation", "suivent l’offre", "doivent intervenir")
        )
        for item in page.split('<li class="item">')[1:]
        for title in re.findall('<p class="quiet">([^<]+)', item)
    }
    assert said == {
        "Ouverte": (True, True, True),
        "Réservée": (True, False, False),
        "Close": (False, False, False),
    }
    assert "la délégation" not in page.partition('<ul class="items">')[0]


HIDDEN = r'<input type="hidden" name="([^"]+)" value="([^"]*)">'


def sent(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    """What a form sends, a field with several values too."""
    return {name: [value for named, value in pairs if named == name] for name, _ in pairs}


async def statuses(ask: Ask) -> set[str]:
    """How the sessions of Bretagne and of Corse stand."""
    lists = [(await ask("GET", "/sessions", by=by)).json()["items"] for by in (BRETAGNE, CORSE)]
    return {str(session["status"]) for found in lists for session in found}
