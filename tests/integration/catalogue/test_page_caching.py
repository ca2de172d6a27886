"""What is new is on a page at once, and what caches keep is not asked for twice."""

from datetime import timedelta

import pytest

from shared import clock
from shared.database import Database
from tests.conftest import Ask
from tests.integration.catalogue.browsing import HttpBrowser
from tests.integration.catalogue.conftest import BRETAGNE, MOOC, published, seats_taken, time_is
from tests.integration.catalogue.public_pages import PAGES, LinkedPage, read


@pytest.mark.parametrize("end", ["", "/places"], ids=["page", "part of its own"])
async def test_a_new_occupancy_is_on_the_page_at_once_and_ends_what_caches_keep(
    an_empty_offer: str, ask: Ask, visit: HttpBrowser, database: Database, end: str
) -> None:
    session_id = await published(ask, an_empty_offer)
    path = f"/sessions/{session_id}{end}"
    before = await visit.get(path)
    assert "30 places restantes" in LinkedPage(before.text).text
    known = {"if-none-match": before.headers["etag"]}
    assert (await visit.get(path, headers=known)).status_code == 304
    await seats_taken(database, session_id, 18)
    after = await visit.get(path, headers=known)
    assert (after.status_code, "12 places restantes" in LinkedPage(after.text).text) == (200, True)
    assert "12 places restantes" in (await read(visit, "/sessions")).text


async def test_the_seats_of_a_session_are_a_small_part_of_its_page_that_is_asked_for_again(
    an_empty_offer: str, ask: Ask, visit: HttpBrowser
) -> None:
    session_id = await published(ask, an_empty_offer)
    part = (await visit.get(f"/sessions/{session_id}/places")).text
    assert part.strip() in (await visit.get(f"/sessions/{session_id}")).text
    assert (len(part) < 2_000, "data-again" in part) == (True, True)
    await ask("POST", f"/sessions/{session_id}/cancel", by=BRETAGNE)
    assert "data-again" not in (await visit.get(f"/sessions/{session_id}/places")).text


@pytest.mark.parametrize(
    "path", [*PAGES, "/agenda.ics", "/replays.atom", "/sitemap.xml", "/static/parcours.css"]
)
async def test_a_client_that_has_a_page_already_gets_304(visitor: HttpBrowser, path: str) -> None:
    first = await visitor.get(path)
    etag = first.headers["etag"]
    assert first.headers["cache-control"] == "no-cache"
    again = await visitor.get(path, headers={"if-none-match": etag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)


async def test_if_none_match_is_read_as_the_standard_says(visitor: HttpBrowser) -> None:
    etag = (await visitor.get("/")).headers["etag"]
    patterns = (f'"x", {etag}', etag.removeprefix("W/"), "*", '"x"', "")
    answers = [await visitor.get("/", headers={"if-none-match": pattern}) for pattern in patterns]
    assert [answer.status_code for answer in answers] == [304, 304, 304, 200, 200]


@pytest.mark.parametrize("path", [f"/sessions/{MOOC}.ics", "/replays.atom"])
async def test_a_date_is_a_validator_where_it_is_exact(
    visitor: HttpBrowser, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with time_is(monkeypatch, clock.now() + timedelta(seconds=2)):  # the offer may be loaded just now
        since = {"if-modified-since": (await visitor.get(path)).headers["last-modified"]}
        assert (await visitor.get(path, headers=since)).status_code == 304
    assert (await visitor.get(path, headers=since | {"if-none-match": '"x"'})).status_code == 200
    for earlier in ("Sat, 01 Jan 2000 00:00:00 GMT", "hier"):
        assert (await visitor.get(path, headers={"if-modified-since": earlier})).status_code == 200
    assert "last-modified" not in (await visitor.get(f"/sessions/{MOOC}")).headers


async def test_a_file_of_this_version_is_kept_for_ever(visitor: HttpBrowser) -> None:
    (style,) = (link for link in (await read(visitor, "/")).links if "parcours.css" in link)
    kept = (await visitor.get(style)).headers
    assert ("immutable" in kept["cache-control"], kept["content-type"][:8]) == (True, "text/css")
