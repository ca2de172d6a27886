"""Calendars, the feed, the map of the site, and what search engines are told."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from xml.etree import ElementTree as ET

import pytest
from icalendar import Calendar
from sqlalchemy import text

from services.catalogue.pages import feeds
from shared import clock
from shared.database import Database
from tests.conftest import Ask
from tests.integration.catalogue.browsing import HttpBrowser
from tests.integration.catalogue.conftest import (
    BRETAGNE,
    MOOC,
    PUBLIC_URL,
    RENNES,
    begun,
    in_days,
    listed,
    published,
    seats_taken,
    time_is,
)
from tests.integration.catalogue.public_pages import MAMOUDZOU, entries, read


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
    an_empty_offer: str, ask: Ask, visit: HttpBrowser, database: Database
) -> None:
    session_id = await published(ask, an_empty_offer)
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
    an_empty_offer: str, ask: Ask, visit: HttpBrowser
) -> None:
    session_id = await published(ask, an_empty_offer)
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
    (event,) = (await read(visitor, f"/sessions/{RENNES}")).data
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


@pytest.mark.parametrize("session_id", [MOOC, RENNES])
async def test_search_engines_are_told_what_the_page_says_and_never_that_it_is_free(
    visitor: HttpBrowser, session_id: UUID
) -> None:
    page = await read(visitor, f"/sessions/{session_id}")
    assert page.data[0]["description"] in page.text
    assert "isAccessibleForFree" not in page.data[0]


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
