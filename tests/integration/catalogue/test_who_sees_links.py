"""The link to a meeting and the address of the evaluation are said in letters: nothing public says them."""

from typing import Any

import httpx
import pytest

from tests.conftest import Ask
from tests.integration.catalogue.browsing import log_in
from tests.integration.catalogue.conftest import ADMIN, BRETAGNE, CORSE, PORTAL, listed, published, shown
from tests.integration.catalogue.public_pages import PAGES

LINK = "https://visio.example/secret-7"
EVALUATION = "https://avis.example/secret-7"


@pytest.fixture
async def session_id(ask: Ask, an_empty_offer: str) -> str:
    """A session of Bretagne, online and public."""
    links: dict[str, Any] = {"join_url": LINK, "venue": None, "evaluation_url": EVALUATION}
    return await published(ask, an_empty_offer, title="Visioconférence", **links)


@pytest.mark.parametrize("by", [None, PORTAL, CORSE, BRETAGNE, ADMIN])
async def test_the_api_says_them_to_the_organiser_alone(ask: Ask, session_id: str, by: str | None) -> None:
    path = f"/sessions/{session_id}"
    seen = (LINK, EVALUATION) if by in (BRETAGNE, ADMIN) else (None, None)
    for session in (await shown(ask, path, by=by), *await listed(ask, by=by)):
        assert (session["join_url"], session["evaluation_url"]) == seen
    for private in (f"{path}/history", "/sessions/export"):
        answer = (await ask("GET", private, by=by)).text
        assert (LINK in answer) is (seen[0] is not None), private


async def test_no_public_page_feed_or_calendar_says_them(visit: httpx.AsyncClient, session_id: str) -> None:
    addresses = [
        *PAGES, f"/sessions/{session_id}", f"/sessions/{session_id}.ics", "/agenda.ics", "/offres/essai",
        "/replays.atom", "/sitemap.xml", "/sessions?recherche=Visioconférence",
        "/api/v1/sessions", f"/api/v1/sessions/{session_id}",
    ]  # fmt: skip
    pages = {address: (await visit.get(address)).text for address in addresses}
    assert [address for address, text in pages.items() if "secret-7" in text] == []
    assert sum(session_id in text for text in pages.values()) >= 7, "the session is on these pages"
    assert session_id not in (await visit.get("/sessions?recherche=secret-7")).text
    await log_in(visit, BRETAGNE)
    managed = (await visit.get(f"/gestion/sessions/{session_id}")).text
    assert (LINK in managed, EVALUATION in managed) == (True, True)
