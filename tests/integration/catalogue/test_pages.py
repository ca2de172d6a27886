"""The public pages, calendars and feeds: where they lead, what they never say, what caches keep of them."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4
from xml.etree import ElementTree as ET

import httpx
import pytest
from icalendar import Calendar
from sqlalchemy import text
from starlette.requests import Request

from services.catalogue import api, pages
from services.catalogue.pages import feeds
from services.catalogue.settings import Settings
from shared import clock
from shared.auth import Tokens
from shared.database import Database
from shared.guard import AT_ONCE, Guard
from shared.retention_settings import kept_days
from tests.conftest import Ask, opened, settings_of
from tests.integration.catalogue.browsing import (
    MAMOUDZOU,
    PAGES,
    HttpBrowser,
    LinkedPage,
    entries,
    log_in,
    read,
)
from tests.integration.catalogue.conftest import (
    ADMIN,
    BRETAGNE,
    CORSE,
    MOOC,
    PORTAL,
    PUBLIC_URL,
    RENNES,
    begun,
    in_days,
    listed,
    problem,
    published,
    seats_taken,
    shown,
    time_is,
    visiting,
)
from tests.support.guards import a_guard

Get = Callable[[str, str], Awaitable[httpx.Response]]
ELSEWHERE = {"/docs", "/gestion"}


async def test_every_link_within_the_site_leads_somewhere(visitor: HttpBrowser) -> None:
    links = {link.partition("#")[0] for path in PAGES for link in (await read(visitor, path)).links}
    inside = sorted({link for link in links if link.startswith("/")} - ELSEWHERE)
    assert len(inside) > len(PAGES)
    # Links that differ in an id alone come from the same template.
    of_each_kind = {re.sub(r"[0-9a-f-]{36}", "", link): link for link in inside}
    assert [link for link in of_each_kind.values() if (await visitor.get(link)).status_code != 200] == []


@pytest.mark.parametrize("path", [*PAGES, "/rien", "/sessions/abc"])
async def test_every_page_forbids_written_in_scripts_and_content_from_elsewhere(
    visitor: HttpBrowser, path: str
) -> None:
    answer = await visitor.get(path)
    policy = answer.headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} <= set(policy)
    assert ("unsafe" in str(policy), answer.headers["x-content-type-options"]) == (False, "nosniff")
    written_in = re.findall(r"<script(?![^>]* src=)[^>]*>|<style| style=|\son[a-z]+=", answer.text)
    assert set(written_in) <= {'<script type="application/ld+json">'}


async def test_the_notice_has_the_durations_of_this_installation(
    database: Database, tokens_file: Path
) -> None:
    environment = settings_of("catalogue", "postgresql://a:b@localhost/c", "localhost:1")
    given = {name.lower(): value for name, value in environment.items()}
    chosen = {"notifier_mails_kept_days": 1, "enrolment_attendance_kept_days": 700, "read_log_kept_days": 200}
    days = kept_days(Settings.model_validate(given | chosen))
    async with visiting(database, tokens_file, kept_days=days) as browser:
        notice = (await read(browser, "/donnees-personnelles")).text
    for duration in (
        "1 jour après l’envoi du courriel",
        "700 jours après la fin",
        "200 jours après la consul",
    ):
        assert duration in notice


async def test_a_page_that_is_not_there_is_a_page_and_the_api_answers_with_a_problem(
    visitor: HttpBrowser,
) -> None:
    for path in ("/rien", f"/sessions/{uuid4()}", "/sessions/abc", "/offres/É", "/static/x"):
        await read(visitor, path, 404)
    assert (await visitor.post("/sessions")).status_code == 405
    assert problem(await visitor.get("/api/v1/rien"), 404) == []


async def test_a_slash_too_many_leads_to_the_page_and_never_to_another_host(visitor: HttpBrowser) -> None:
    answer = await visitor.get("/sessions/", headers={"host": "catalogue:8001"})
    assert (answer.status_code, answer.headers["location"]) == (308, "/sessions")
    for path in ("//ailleurs.example/", "/%5Cailleurs.example/", "/@ailleurs/", "/x//y/"):
        assert (await visitor.get(f"{PUBLIC_URL}{path}")).status_code == 404


async def test_a_page_with_the_key_of_a_form_is_never_compressed(visitor: HttpBrowser) -> None:
    assert (await visitor.get("/sessions")).headers["content-encoding"] == "gzip"
    for path in ("/gestion/connexion", "/gestion/rien"):
        assert "content-encoding" not in (await visitor.get(path)).headers


@asynccontextmanager
async def limited(url: str, tokens_file: Path, guard: Guard) -> AsyncIterator[Get]:
    """Ask from an address of the network."""
    tokens = Tokens(tokens_file)
    async with opened(url) as database:
        web = api.build(database, tokens, guard)
        site = pages.Site(database=database, tokens=tokens, guard=guard, address=PUBLIC_URL)
        pages.mount(web, pages.build(site))

        async def get(address: str, path: str) -> httpx.Response:
            transport = httpx.ASGITransport(app=web, client=(address, 1))
            async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as browser:
                return await browser.get(path)

        yield get


async def test_a_network_reads_pages_and_api_up_to_a_limit(loaded_url: str, tokens_file: Path) -> None:
    async with limited(loaded_url, tokens_file, a_guard(read="3/minute")) as get:
        for address, path, status in (
            ("192.0.2.1", "/", 200),
            ("192.0.2.1", "/api/v1/offers", 200),
            ("192.0.2.1", "/sessions", 200),
            ("192.0.2.1", "/api/v1/offers", 429),
            ("192.0.2.99", "/", 429),
            ("198.51.100.1", "/", 200),
            ("192.0.2.1", "/static/parcours.css", 200),
        ):
            answer = await get(address, path)
            assert answer.status_code == status, path
            assert (0 < int(answer.headers.get("retry-after", 0)) <= 60) is (status == 429)


@pytest.mark.parametrize(
    ("limit", "statuses"), [("39/minute", [200, 429, 429, 200]), ("3/minute", [200, 429, 429, 429])]
)
async def test_a_feed_of_all_sessions_counts_as_many_pages(
    loaded_url: str, tokens_file: Path, limit: str, statuses: list[int]
) -> None:
    """One network could otherwise keep a process busy with a few requests a second."""
    async with limited(loaded_url, tokens_file, a_guard(read=limit)) as get:
        paths = ("/agenda.ics?format=webinar", "/agenda.ics", "/offre.lheo.xml", "/")
        assert [(await get("192.0.2.1", path)).status_code for path in paths] == statuses


@pytest.mark.parametrize(
    ("path", "then"),
    [("/sitemap.xml", 429), ("/api/v1/sessions?limit=200", 429), ("/api/v1/sessions?limit=20", 200)],
)
async def test_a_long_list_counts_as_many_pages(
    loaded_url: str, tokens_file: Path, path: str, then: int
) -> None:
    async with limited(loaded_url, tokens_file, a_guard(read="10/minute")) as get:
        assert [(await get("192.0.2.1", at)).status_code for at in (path, "/")] == [200, then]


@pytest.mark.parametrize("path", ["/sessions", "/agenda.ics", "/api/v1/sessions"])
async def test_what_one_network_asks_at_once_delays_no_other(
    loaded_url: str, tokens_file: Path, path: str
) -> None:
    guard = a_guard()
    reading = Request({"type": "http", "client": ("192.0.2.1", 1)})
    async with limited(loaded_url, tokens_file, guard) as get, AsyncExitStack() as turns:
        for _ in range(AT_ONCE):
            await turns.enter_async_context(guard.turn(reading))
        waiting = asyncio.ensure_future(get("192.0.2.99", path))
        assert (await get("198.51.100.1", path)).status_code == 200
        assert not waiting.done()
        await turns.aclose()
        assert (await waiting).status_code == 200


# ---------------------------------------------------------------------------------------------------- caches


@pytest.mark.parametrize("end", ["", "/places"], ids=["page", "part of its own"])
async def test_a_new_occupancy_is_on_the_page_at_once_and_ends_what_caches_keep(
    session_id: str, visit: HttpBrowser, database: Database, end: str
) -> None:
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
    session_id: str, ask: Ask, visit: HttpBrowser
) -> None:
    part = (await visit.get(f"/sessions/{session_id}/places")).text
    assert part.strip() in (await visit.get(f"/sessions/{session_id}")).text
    assert (len(part) < 2_000, "data-again" in part) == (True, True)
    await ask("POST", f"/sessions/{session_id}/cancel", by=BRETAGNE)
    assert "data-again" not in (await visit.get(f"/sessions/{session_id}/places")).text


@pytest.mark.parametrize(
    "path", ["/", "/sessions", "/agenda.ics", "/replays.atom", "/sitemap.xml", "/static/parcours.css"]
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


async def test_a_page_and_calendars_say_how_to_get_to_the_venue(
    ask: Ask, an_empty_offer: str, visit: HttpBrowser
) -> None:
    session_id = await published(ask, an_empty_offer, directions="Tram A ; entrée par la cour")
    for path, said in (
        (f"/sessions/{session_id}", "Tram A\u00a0; entrée par la cour</dd>"),
        (f"/sessions/{session_id}.ics", "Accès\u00a0: Tram A \\; entrée par la cour"),
        ("/agenda.ics", "Accès\u00a0: Tram A \\; entrée par la cour"),
    ):
        assert said in (await visit.get(path)).text.replace("\r\n ", ""), path


# ------------------------------------------------------------------------------------ links that are private


LINK = "https://visio.example/secret-7"
EVALUATION = "https://avis.example/secret-7"


@pytest.fixture
async def online_id(ask: Ask, an_empty_offer: str) -> str:
    """A session of Bretagne, online and public."""
    links: dict[str, Any] = {"join_url": LINK, "venue": None, "evaluation_url": EVALUATION}
    return await published(ask, an_empty_offer, title="Visioconférence", **links)


async def test_the_api_says_them_to_the_organiser_alone(ask: Ask, online_id: str) -> None:
    path = f"/sessions/{online_id}"
    for by in (None, PORTAL, CORSE, BRETAGNE, ADMIN):
        seen = (LINK, EVALUATION) if by in (BRETAGNE, ADMIN) else (None, None)
        for session in (await shown(ask, path, by=by), *await listed(ask, by=by)):
            assert (session["join_url"], session["evaluation_url"]) == seen, by
        for private in (f"{path}/history", "/sessions/export"):
            answer = (await ask("GET", private, by=by)).text
            assert (LINK in answer) is (seen[0] is not None), (private, by)


async def test_no_public_page_feed_or_calendar_says_them(visit: httpx.AsyncClient, online_id: str) -> None:
    addresses = [
        *PAGES, f"/sessions/{online_id}", f"/sessions/{online_id}.ics", "/agenda.ics", "/offres/essai",
        "/replays.atom", "/sitemap.xml", "/sessions?recherche=Visioconférence",
        "/api/v1/sessions", f"/api/v1/sessions/{online_id}"
    ]  # fmt: skip
    pages = {address: (await visit.get(address)).text for address in addresses}
    assert [address for address, text in pages.items() if "secret-7" in text] == []
    assert sum(online_id in text for text in pages.values()) >= 7, "the session is on these pages"
    assert online_id not in (await visit.get("/sessions?recherche=secret-7")).text
    await log_in(visit, BRETAGNE)
    managed = (await visit.get(f"/gestion/sessions/{online_id}")).text
    assert (LINK in managed, EVALUATION in managed) == (True, True)


# -------------------------------------------------------------------------------------------------- programs


async def test_a_calendar_can_be_had_by_delegation_and_format(visitor: HttpBrowser) -> None:
    answer = await visitor.get("/agenda.ics?delegation=mayotte&format=local_event")
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    calendar: Any = Calendar.from_ical(answer.content)
    (event,) = calendar.walk("VEVENT")
    assert (event["uid"], event["dtstart"].params["TZID"]) == (f"{MAMOUDZOU}@parcours", "Indian/Mayotte")
    assert f"{event['dtstart'].dt:%H:%M}" == "08:00"
    assert [zone["tzid"] for zone in calendar.walk("VTIMEZONE")] == ["Indian/Mayotte"]
    assert str(calendar["x-wr-calname"]) == "Parcours – Rendez-vous local – Mayotte"
    assert (await visitor.get("/agenda.ics?delegation=atlantide")).status_code == 404


async def test_a_session_of_weeks_is_a_matter_of_days_in_the_calendar(visitor: HttpBrowser) -> None:
    (event,) = entries(await visitor.get(f"/sessions/{MOOC}.ics"))
    first, end = event["dtstart"].dt, event["dtend"].dt
    assert not isinstance(first, datetime)
    assert (end - first, f"{first:%A}") == (timedelta(days=26), "Monday")


async def test_a_calendar_is_not_new_because_somebody_enrolled(
    session_id: str, visit: HttpBrowser, database: Database
) -> None:
    async with database.transaction() as tx:  # long ago: stamps are of whole seconds
        await tx.execute(text("ALTER TABLE session DISABLE TRIGGER USER"))
        await tx.execute(text("UPDATE session SET changed_at = now() - interval '1 hour'"))
        await tx.execute(text("ALTER TABLE session ENABLE TRIGGER USER"))
    validators = {"if-none-match": (await visit.get("/agenda.ics")).headers["etag"]}
    await seats_taken(database, session_id, 18)
    assert (await visit.get("/agenda.ics", headers=validators)).status_code == 304


async def test_a_session_stays_in_the_calendars_for_ninety_days_unless_they_are_too_long(
    an_empty_offer: str, ask: Ask, visit: HttpBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def found(days: float) -> list[str]:
        async with time_is(monkeypatch, in_days(days)):
            return [entry["uid"].partition("@")[0] for entry in entries(await visit.get("/agenda.ics"))]

    over = await published(ask, an_empty_offer)  # it ends after 40.3 days
    assert (await found(130), await found(131)) == ([over], [])
    later = {"starts_at": in_days(140).isoformat(), "ends_at": in_days(141).isoformat()}
    to_come = await published(ask, an_empty_offer, **later)
    monkeypatch.setattr(feeds, "MAX_IN_A_CALENDAR", 1)
    assert await found(130) == [to_come]


async def test_a_cancelled_session_is_cancelled_in_the_calendars_with_its_reason(
    session_id: str, ask: Ask, visit: HttpBrowser
) -> None:
    (before,) = entries(await visit.get("/agenda.ics"))
    await ask("POST", f"/sessions/{session_id}/cancel", by=BRETAGNE, reason="La salle est fermée.")
    (after,) = entries(await visit.get("/agenda.ics"))
    assert (before["status"], after["status"], after["uid"]) == ("CONFIRMED", "CANCELLED", before["uid"])
    assert after["sequence"] > before["sequence"]
    for reason in (after["description"], (await read(visit, f"/sessions/{session_id}")).text):
        assert "La salle est fermée." in reason


ATOM = "{http://www.w3.org/2005/Atom}"


async def test_the_feed_has_the_replays_the_newest_first(visitor: HttpBrowser, look: Ask) -> None:
    feed = ET.fromstring((await visitor.get("/replays.atom")).content)
    replays = await listed(look, "/resources", kind="replay")
    ids = [entry.findtext(f"{ATOM}id") for entry in feed.findall(f"{ATOM}entry")]
    assert ids == [f"urn:uuid:{replay['resource_id']}" for replay in replays]
    assert len(ids) == 2
    assert feed.findtext(f"{ATOM}updated")


async def test_the_map_of_the_site_names_every_offer_and_session(visitor: HttpBrowser, look: Ask) -> None:
    site_map = ET.fromstring((await visitor.get("/sitemap.xml")).content)
    places = {place.text for place in site_map.iter("{http://www.sitemaps.org/schemas/sitemap/0.9}loc")}
    sessions = await listed(look, limit=200)
    assert {f"{PUBLIC_URL}/sessions/{item['session_id']}" for item in sessions} <= places
    assert f"{PUBLIC_URL}/offres/mooc-fondamentaux-ia" in places
    assert f"{PUBLIC_URL}/sitemap.xml" in (await visitor.get("/robots.txt")).text


async def test_search_engines_are_told_of_courses_and_events(visitor: HttpBrowser) -> None:
    page = await read(visitor, f"/sessions/{RENNES}")
    (event,) = page.data
    assert event["description"] in page.text
    assert "isAccessibleForFree" not in event
    assert (event["@type"], event["eventStatus"]) == ("EducationEvent", "https://schema.org/EventScheduled")
    assert event["startDate"].endswith(("T09:30:00+01:00", "T09:30:00+02:00"))
    assert event["url"] == f"{PUBLIC_URL}/sessions/{RENNES}"
    venue = "Délégation Bretagne du CNFPT, Rennes"
    assert event["location"] == {"@type": "Place", "name": venue, "address": venue}
    for offer, place, mode in (
        ("mooc-fondamentaux-ia", "VirtualLocation", "online"),
        ("ia-et-territoires", "Place", "onsite"),
    ):
        (course,) = (await read(visitor, f"/offres/{offer}")).data
        instance = course["hasCourseInstance"][0]
        assert (course["@type"], instance["location"]["@type"], instance["courseMode"]) == (
            *("Course", place),
            mode,
        )


async def test_a_replay_is_shown_with_the_session_that_it_recorded(
    an_empty_offer: str, ask: Ask, visit: HttpBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/sessions/{await published(ask, an_empty_offer, **begun())}"
    replay = {"title": "Revoir Rennes", "url": "https://replays.example.org/rennes"}
    await ask("POST", "/replays", by=BRETAGNE, session_id=path.rpartition("/")[2], **replay)
    for days, is_running in ((0, True), (1, False)):
        async with time_is(monkeypatch, clock.now() + timedelta(days=days)):
            page = await read(visit, path)
        assert replay["url"] in page.links
        assert (f"{path}.ics" in page.links, "Voir le replay" in page.text) == (is_running, not is_running)
    assert path in (await read(visit, "/ressources?type=replay")).links


async def test_resources_are_found_by_theme_and_name_no_private_session(
    a_bespoke_offer: str, an_empty_offer: str, ask: Ask, visit: HttpBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = {"sirets": ["21350238800019"]}
    private = await published(ask, a_bespoke_offer, audience=alone, title="Formation de Rennes")
    replay = {"session_id": private, "title": "Ce qui se dit", "url": "https://video.example/9"}
    async with time_is(monkeypatch, in_days(41)):
        await ask("POST", "/replays", by=BRETAGNE, themes=["enjeux-ia"], **replay)
        page = (await visit.get("/ressources?theme=enjeux-ia")).text
    assert ("Ce qui se dit" in page, "Formation de Rennes" in page) == (True, False)
