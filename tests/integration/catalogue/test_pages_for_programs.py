"""Calendars, the feed, the map of the site, and what search engines are told."""

import re
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from xml.etree import ElementTree as ET

import pytest
from icalendar import Calendar
from sqlalchemy import text

from services.catalogue.pages import feeds
from services.catalogue.rules.offers import loaded_resource_id
from services.catalogue.service import occupancy
from shared import clock
from shared.database import Database
from shared.events.enrolment import SessionOccupancyChanged
from tests.conftest import Ask
from tests.integration.catalogue.browsing import HttpBrowser
from tests.integration.catalogue.conftest import MOOC, PUBLIC_URL, RENNES, in_days, published, time_is
from tests.integration.catalogue.public_pages import MAMOUDZOU, entries, read


async def test_a_calendar_can_be_had_by_delegation_and_format(visitor: HttpBrowser) -> None:
    answer = await visitor.get("/agenda.ics", params={"delegation": "mayotte", "format": "local_event"})
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    calendar: Any = Calendar.from_ical(answer.content)
    (event,) = calendar.walk("VEVENT")
    assert event["uid"] == f"{MAMOUDZOU}@parcours"
    assert event["dtstart"].params["TZID"] == "Indian/Mayotte"
    assert event["dtstart"].dt.strftime("%H:%M") == "08:00"
    (zone,) = calendar.walk("VTIMEZONE")
    assert zone["tzid"] == "Indian/Mayotte"
    assert str(calendar["x-wr-calname"]) == "Parcours – Rendez-vous local – Mayotte"
    assert (await visitor.get("/agenda.ics?delegation=atlantide")).status_code == 404


async def test_a_calendar_is_not_new_because_somebody_enrolled(
    an_empty_offer: str, ask: Ask, visit: HttpBrowser, database: Database
) -> None:
    session_id = await published(ask, an_empty_offer)
    async with database.transaction() as tx:  # long ago: stamps are of whole seconds
        await tx.execute(text("ALTER TABLE session DISABLE TRIGGER USER"))
        await tx.execute(text("UPDATE session SET changed_at = now() - interval '1 hour'"))
        await tx.execute(text("ALTER TABLE session ENABLE TRIGGER USER"))
    validators = {"if-none-match": (await visit.get("/agenda.ics")).headers["etag"]}
    counted = {"version": 1, "capacity": 30, "enrolled": 18, "waiting": 0, "offered": 0}
    async with database.transaction() as tx:
        await occupancy.record(tx, [SessionOccupancyChanged(session_id=UUID(session_id), **counted)])
    assert (await visit.get("/agenda.ics", headers=validators)).status_code == 304


async def test_a_session_stays_in_the_calendars_for_ninety_days_after_it(
    an_empty_offer: str, ask: Ask, visit: HttpBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    await published(ask, an_empty_offer)
    for days, found in ((130, 1), (131, 0)):  # it ends after 40.3
        async with time_is(monkeypatch, clock.now() + timedelta(days=days)):
            assert len(entries(await visit.get("/agenda.ics"))) == found


async def test_a_calendar_that_would_be_too_long_has_what_is_to_come(
    an_empty_offer: str, ask: Ask, visit: HttpBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "MAX_IN_A_CALENDAR", 1)
    over = await published(ask, an_empty_offer)
    async with time_is(monkeypatch, clock.now() + timedelta(days=60)):
        assert [entry["uid"] for entry in entries(await visit.get("/agenda.ics"))] == [f"{over}@parcours"]
        dates = {
            name: (clock.now() + timedelta(days=days)).isoformat()
            for name, days in (("enrolment_opens_at", 1), ("starts_at", 40), ("ends_at", 41))
        }
        to_come = await published(ask, an_empty_offer, **dates)
        assert [entry["uid"] for entry in entries(await visit.get("/agenda.ics"))] == [f"{to_come}@parcours"]


async def test_the_mooc_is_a_matter_of_days_in_the_calendar(visitor: HttpBrowser) -> None:
    (event,) = entries(await visitor.get(f"/sessions/{MOOC}.ics"))
    first, end = event["dtstart"].dt, event["dtend"].dt
    assert not isinstance(first, datetime)
    assert (end - first, first.strftime("%A")) == (timedelta(days=26), "Monday")


async def test_a_cancelled_session_is_cancelled_in_the_calendars_too(
    an_empty_offer: str, ask: Ask, visit: HttpBrowser
) -> None:
    session_id = await published(ask, an_empty_offer)
    (before,) = entries(await visit.get("/agenda.ics"))
    await ask("POST", f"/sessions/{session_id}/cancel", by="advisor-bretagne")
    (after,) = entries(await visit.get("/agenda.ics"))
    assert (before["status"], after["status"], after["uid"]) == ("CONFIRMED", "CANCELLED", before["uid"])
    assert after["sequence"] > before["sequence"]
    assert "Session annulée" in (await read(visit, f"/sessions/{session_id}")).text


ATOM = "{http://www.w3.org/2005/Atom}"


async def test_the_feed_has_the_replays_the_newest_first(visitor: HttpBrowser) -> None:
    feed = ET.fromstring((await visitor.get("/replays.atom")).content)
    entries = feed.findall(f"{ATOM}entry")
    published_at = [entry.findtext(f"{ATOM}published") or "" for entry in entries]
    assert len(entries) == 2
    assert published_at == sorted(published_at, reverse=True)
    ids = {entry.findtext(f"{ATOM}id") for entry in entries}
    keys = ("replay-enjeux-pour-les-collectivites", "replay-empreinte-environnementale")
    assert ids == {f"urn:uuid:{loaded_resource_id(key)}" for key in keys}
    assert feed.findtext(f"{ATOM}updated")


async def test_the_map_of_the_site_names_every_offer_and_session(visitor: HttpBrowser, look: Ask) -> None:
    answer = await visitor.get("/sitemap.xml")
    names = "{http://www.sitemaps.org/schemas/sitemap/0.9}loc"
    places = {place.text for place in ET.fromstring(answer.content).iter(names)}
    whole = (await look("GET", "/sessions", limit=200)).json()["items"]
    assert {f"{PUBLIC_URL}/sessions/{item['session_id']}" for item in whole} <= places
    assert f"{PUBLIC_URL}/offres/mooc-fondamentaux-ia" in places
    assert f"{PUBLIC_URL}/sitemap.xml" in (await visitor.get("/robots.txt")).text


async def test_search_engines_are_told_of_courses_and_events(visitor: HttpBrowser) -> None:
    (event,) = (await read(visitor, f"/sessions/{RENNES}")).data
    assert (event["@type"], event["eventStatus"]) == (
        "EducationEvent",
        "https://schema.org/EventScheduled",
    )
    assert event["startDate"].endswith(("T09:30:00+01:00", "T09:30:00+02:00"))
    assert event["url"] == f"{PUBLIC_URL}/sessions/{RENNES}"
    venue = "Délégation Bretagne du CNFPT, Rennes"
    assert event["location"] == {"@type": "Place", "name": venue, "address": venue}
    (course,) = (await read(visitor, "/offres/mooc-fondamentaux-ia")).data
    assert (course["@type"], len(course["hasCourseInstance"])) == ("Course", 1)
    (instance,) = course["hasCourseInstance"]
    assert (instance["location"]["@type"], instance["courseMode"]) == ("VirtualLocation", "online")
    (at_the_place, *_) = (await read(visitor, "/offres/ia-et-territoires")).data[0]["hasCourseInstance"]
    assert (at_the_place["location"]["@type"], at_the_place["courseMode"]) == ("Place", "onsite")


@pytest.mark.parametrize(
    ("session_id", "expected"), [(MOOC, "Mooc structuré"), (RENNES, "Rendez-vous locaux")]
)
async def test_search_engines_are_told_what_the_page_says_of_a_session_and_never_that_it_is_free(
    visitor: HttpBrowser, session_id: UUID, expected: str
) -> None:
    page = await read(visitor, f"/sessions/{session_id}")
    (event,) = page.data
    assert event["description"].startswith(expected)
    assert event["description"] in page.text
    assert "isAccessibleForFree" not in event


async def test_a_replay_is_shown_with_the_session_that_it_recorded(
    an_empty_offer: str, ask: Ask, visit: HttpBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = {"enrolment_opens_at": in_days(-9), "starts_at": in_days(-0.1), "ends_at": in_days(0.2)}
    session_id = await published(
        ask, an_empty_offer, **{name: moment.isoformat() for name, moment in began.items()}
    )
    replay = {"title": "Revoir Rennes", "url": "https://replays.example.org/rennes"}
    await ask("POST", "/replays", by="advisor-bretagne", session_id=session_id, **replay)
    page = await read(visit, f"/sessions/{session_id}")
    assert replay["url"] in page.links
    assert "Revoir Rennes" in page.text
    assert (f"/sessions/{session_id}.ics" in page.links, "Voir le replay" in page.text) == (True, False)
    async with time_is(monkeypatch, clock.now() + timedelta(days=1)):
        over = await read(visit, f"/sessions/{session_id}")
    assert (f"/sessions/{session_id}.ics" in over.links, "Voir le replay" in over.text) == (False, True)
    assert "liste d’attente" not in over.text
    assert f"/sessions/{session_id}" in (await read(visit, "/ressources?type=replay")).links


async def test_resources_are_found_by_theme_and_name_no_private_session(
    offer: object, ask: Ask, visit: HttpBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = {"sirets": ["21350238800019"]}
    private = await published(ask, "sur-mesure-enjeux-ia", audience=alone, title="Formation de Rennes")
    replay = {"session_id": private, "title": "Ce qui se dit", "url": "https://video.example/9"}
    async with time_is(monkeypatch, clock.now() + timedelta(days=41)):
        answer = await ask("POST", "/replays", by="advisor-bretagne", themes=["enjeux-ia"], **replay)
        assert answer.status_code == 201, answer.text
        page = await visit.get("/ressources?theme=enjeux-ia")
        assert "Ce qui se dit" in page.text
        assert "Formation de Rennes" not in page.text
        other = next(theme for theme in await themes(visit) if theme != "enjeux-ia")
        assert "Ce qui se dit" not in (await visit.get(f"/ressources?theme={other}")).text


async def themes(visit: HttpBrowser) -> list[str]:
    return re.findall(
        r'<option value="([a-z-]+)"', (await visit.get("/ressources")).text.partition('name="theme"')[2]
    )
