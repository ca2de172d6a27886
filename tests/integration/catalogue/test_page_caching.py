"""What is new is on a page at once, and what caches keep is not asked for twice."""

from datetime import timedelta
from uuid import UUID

import pytest

from services.catalogue.service import occupancy
from shared import clock
from shared.database import Database
from shared.events.enrolment import SessionOccupancyChanged
from tests.conftest import Ask
from tests.integration.catalogue.browsing import HttpBrowser
from tests.integration.catalogue.conftest import BRETAGNE, MOOC, in_days, published, time_is
from tests.integration.catalogue.public_pages import PAGES, LinkedPage, read


async def test_a_new_occupancy_is_on_the_page_at_once_and_ends_what_caches_keep(
    an_empty_offer: str, ask: Ask, visit: HttpBrowser, database: Database
) -> None:
    session_id = await published(ask, an_empty_offer)
    path = f"/sessions/{session_id}"
    before = await visit.get(path)
    assert "30 places restantes" in LinkedPage(before.text).text
    validators = {"if-none-match": before.headers["etag"]}
    assert (await visit.get(path, headers=validators)).status_code == 304
    async with database.transaction() as tx:
        event = SessionOccupancyChanged(
            session_id=UUID(session_id), version=1, capacity=30, enrolled=18, waiting=0, offered=0
        )
        await occupancy.record(tx, [event])
    after = await visit.get(path, headers=validators)
    assert after.status_code == 200
    assert "12 places restantes" in LinkedPage(after.text).text
    assert "12 places restantes" in (await read(visit, "/sessions")).text


async def test_the_seats_of_a_session_are_a_part_of_its_page_of_their_own(
    an_empty_offer: str, ask: Ask, visit: HttpBrowser, database: Database
) -> None:
    session_id = await published(ask, an_empty_offer)
    path = f"/sessions/{session_id}/places"
    before = await visit.get(path)
    assert "30 places restantes" in LinkedPage(before.text).text
    assert before.text.strip() in (await visit.get(f"/sessions/{session_id}")).text
    assert len(before.content) < 2_000
    known = {"if-none-match": before.headers["etag"]}
    assert (await visit.get(path, headers=known)).status_code == 304
    async with database.transaction() as tx:
        seen = {"version": 1, "capacity": 30, "enrolled": 30, "waiting": 2, "offered": 0}
        await occupancy.record(tx, [SessionOccupancyChanged(session_id=UUID(session_id), **seen)])
    after = await visit.get(path, headers=known)
    assert (after.status_code, "restantes" in after.text) == (200, False)
    assert "data-again" in after.text
    await ask("POST", f"/sessions/{session_id}/cancel", by=BRETAGNE)
    assert "data-again" not in (await visit.get(path)).text
    draft = (
        await ask("POST", f"/sessions/{session_id}/duplicate", by=BRETAGNE, starts_at=in_days(50).isoformat())
    ).json()
    assert (await visit.get(f"/sessions/{draft['session_id']}/places")).status_code == 404


async def test_the_last_seat_is_not_promised_to_whom_it_may_not_be_for(
    an_empty_offer: str, ask: Ask, visit: HttpBrowser, database: Database
) -> None:
    kept = [{"delegation": "bretagne", "seats": 1, "release_at": in_days(20).isoformat()}]
    session_id = await published(ask, an_empty_offer, capacity=2, reserved_seats=kept)
    async with database.transaction() as tx:
        seen = {"version": 1, "capacity": 2, "enrolled": 1, "waiting": 0, "offered": 0}
        await occupancy.record(tx, [SessionOccupancyChanged(session_id=UUID(session_id), **seen)])
    expected = "1 place restante, peut-être réservée aux agentes et agents de la délégation Bretagne"
    assert expected in (await read(visit, "/sessions")).text
    page = await read(visit, f"/sessions/{session_id}")
    assert expected in page.text
    assert "les autres demandes entrent en liste d’attente" in page.text


@pytest.mark.parametrize(
    "path", [*PAGES, "/agenda.ics", "/replays.atom", "/sitemap.xml", "/static/parcours.css"]
)
async def test_who_has_a_page_already_gets_304(visitor: HttpBrowser, path: str) -> None:
    first = await visitor.get(path)
    etag = first.headers["etag"]
    assert first.headers["cache-control"] == "no-cache"
    for known in (etag, f'"x", {etag}', etag.removeprefix("W/"), "*"):
        again = await visitor.get(path, headers={"if-none-match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    for unknown in ('"x"', ""):
        assert (await visitor.get(path, headers={"if-none-match": unknown})).status_code == 200


@pytest.mark.parametrize("path", [f"/sessions/{MOOC}.ics", "/replays.atom"])
async def test_a_date_is_a_validator_where_it_is_exact(
    visitor: HttpBrowser, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with time_is(monkeypatch, clock.now() + timedelta(seconds=2)):  # the offer may be loaded just now
        modified = (await visitor.get(path)).headers["last-modified"]
        since = {"if-modified-since": modified}
        assert (await visitor.get(path, headers=since)).status_code == 304
    both = since | {"if-none-match": '"x"'}
    assert (await visitor.get(path, headers=both)).status_code == 200
    for earlier in ("Sat, 01 Jan 2000 00:00:00 GMT", "hier"):
        assert (await visitor.get(path, headers={"if-modified-since": earlier})).status_code == 200


@pytest.mark.parametrize("path", ["/", "/sessions", f"/sessions/{MOOC}", "/accessibilite"])
async def test_a_date_that_is_not_exact_is_not_told(visitor: HttpBrowser, path: str) -> None:
    assert "last-modified" not in (await visitor.get(path)).headers


async def test_a_file_of_this_version_is_kept_for_ever(visitor: HttpBrowser) -> None:
    home = await read(visitor, "/")
    (style,) = (link for link in home.links if "parcours.css" in link)
    kept = await visitor.get(style)
    assert "immutable" in kept.headers["cache-control"]
    assert kept.headers["content-type"].startswith("text/css")
