"""How one connects to a session, and where one evaluates it, is said in letters: nothing public says it."""

from typing import Any

import httpx
import pytest

from tests.conftest import Ask
from tests.integration.catalogue.browsing import log_in
from tests.integration.catalogue.conftest import ADMIN, BRETAGNE, CORSE, PORTAL, published
from tests.integration.catalogue.public_pages import PAGES

LINK = "https://visio.example/secret-7"
EVALUATION = "https://avis.example/secret-7"


@pytest.fixture
async def session_id(ask: Ask, an_empty_offer: str) -> str:
    """A session of Bretagne, online and public."""
    links: dict[str, Any] = {"join_url": LINK, "venue": None, "evaluation_url": EVALUATION}
    return await published(ask, an_empty_offer, title="Visioconférence", **links)


async def test_the_api_says_it_to_the_organiser_alone(ask: Ask, session_id: str) -> None:
    for who, sees in ((None, None), (PORTAL, None), (CORSE, None), (BRETAGNE, LINK), (ADMIN, LINK)):
        alone = (await ask("GET", f"/sessions/{session_id}", by=who)).json()
        (listed,) = (await ask("GET", "/sessions", by=who, starts_after="2020-01-01T00:00:00Z")).json()[
            "items"
        ]
        assert (alone["join_url"], listed["join_url"]) == (sees, sees), who
        own = sees and EVALUATION
        assert (alone["evaluation_url"], listed["evaluation_url"]) == (own, own), who
    for word in ("", "/history"):
        others = await ask("GET", f"/sessions/{session_id}{word}", by=CORSE)
        assert LINK not in others.text
        assert EVALUATION not in others.text


async def test_the_organiser_is_answered_with_it(ask: Ask, session_id: str) -> None:
    changed = await ask("PATCH", f"/sessions/{session_id}", by=BRETAGNE, capacity=12)
    assert changed.json()["join_url"] == LINK
    mine = await ask("GET", "/sessions/export", by=BRETAGNE)
    assert LINK in mine.text
    theirs = await ask("GET", "/sessions/export", by=CORSE)
    assert theirs.status_code == 200
    assert LINK not in theirs.text


async def test_no_public_page_feed_or_calendar_says_it(visit: httpx.AsyncClient, session_id: str) -> None:
    addresses = [
        *PAGES, f"/sessions/{session_id}", f"/sessions/{session_id}.ics", "/agenda.ics", "/offres/essai",
        "/replays.atom", "/sitemap.xml", "/sessions?recherche=Visioconférence",
        "/api/v1/sessions", f"/api/v1/sessions/{session_id}",
    ]  # fmt: skip
    pages = {address: (await visit.get(address)).text for address in addresses}
    assert [address for address, text in pages.items() if LINK in text or EVALUATION in text] == []
    assert sum(session_id in text for text in pages.values()) >= 7, "the session is on these pages"
    assert session_id not in (await visit.get("/sessions?recherche=secret-7")).text
    await log_in(visit, BRETAGNE)
    managed = (await visit.get(f"/gestion/sessions/{session_id}")).text
    assert LINK in managed
    assert EVALUATION in managed
