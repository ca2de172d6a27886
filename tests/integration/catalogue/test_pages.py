"""The public pages: what a visitor finds, what a cache keeps, what rubbish in an address does."""

import dataclasses
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import httpx
import pytest
from icalendar import Calendar
from sqlalchemy import text

from services.catalogue import pages
from services.catalogue.pages import feeds
from services.catalogue.rules.offers import loaded_resource_id, loaded_session_id
from services.catalogue.service import occupancy
from shared import clock
from shared.database import Database
from shared.events.enrolment import SessionOccupancyChanged
from shared.web.paging import read_position, written
from tests.integration.catalogue.conftest import (
    CONTACT,
    MOOC,
    NEWS_URL,
    PUBLIC_URL,
    PUBLISHER,
    RENNES,
    Ask,
    a_draft_of,
    in_days,
    time_is,
    visiting,
)

Browser = httpx.AsyncClient

MAMOUDZOU = loaded_session_id("ia-et-territoires", "mamoudzou")
PAGES = (
    "/",
    "/sessions",
    "/sessions?format=local_event&delegation=bretagne",
    f"/sessions/{MOOC}",
    f"/sessions/{RENNES}",
    "/offres/mooc-fondamentaux-ia",
    "/offres/sur-mesure-enjeux-ia",
    "/ressources",
    "/accessibilite",
    "/mentions-legales",
    "/donnees-personnelles",
)


class Page(HTMLParser):
    """What a page says and where it leads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.data: list[Any] = []
        self._inside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.links += [value for name in ("href", "src") if (value := given.get(name))]
        if tag == "script":
            assert given.get("type") == "application/ld+json"
        self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "script" in self._inside:
            self.data.append(json.loads(data))
        else:
            self.text += re.sub(r"[\s\u00a0\u202f]+", " ", data)


async def read(browser: Browser, path: str, status: int = 200) -> Page:
    answer = await browser.get(path)
    assert answer.status_code == status, answer.text
    return Page(answer.text)


async def found(browser: Browser, **query: str) -> set[str]:
    """The ids of the sessions that a list shows, all its pages."""
    path, ids = "/sessions?" + str(httpx.QueryParams(query)), set[str]()
    while path:
        page = await read(browser, path)
        ids |= set(session_links(page))
        path = next((link for link in page.links if "apres=" in link), "")
    return ids


def session_links(page: Page) -> Iterator[str]:
    for link in page.links:
        match = re.fullmatch(r"/sessions/([0-9a-f-]{36})", link)
        if match:
            yield match[1]


# ------------------------------------------------------------------------------------------ what is there


async def test_the_home_shows_the_six_formats_and_leads_to_each(visitor: Browser) -> None:
    home = await read(visitor, "/")
    for heading in (
        "Mooc", "Webinaires", "Rendez-vous locaux", "Formations sur mesure", "Offre de l’Inet", "Ressources",
    ):  # fmt: skip
        assert heading in home.text
    offers = {link for link in home.links if link.startswith("/offres/")}
    assert len(offers) == 7
    assert NEWS_URL in home.links, "where anybody subscribes to news by mail"
    assert {"/sessions?format=webinar", "/sessions?format=inet", "/ressources?type=replay"} <= set(home.links)


@pytest.mark.parametrize("path", PAGES)
async def test_every_link_within_the_site_leads_somewhere(visitor: Browser, path: str) -> None:
    page = await read(visitor, path)
    inside = {link.split("#")[0] for link in page.links if link.startswith("/") and link not in ELSEWHERE}
    assert inside
    for link in inside:
        assert (await visitor.get(link)).status_code == 200, link


ELSEWHERE = {"/docs", "/gestion"}


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_with_all_it_needs_stays_below_100_kilobytes(visitor: Browser, path: str) -> None:
    answer = await visitor.get(path)
    files = [link for link in Page(answer.text).links if link.startswith("/static/")]
    sizes = [len(answer.content), *[len((await visitor.get(link)).content) for link in files]]
    assert len(sizes) == 3
    assert sum(sizes) < 100_000


@pytest.mark.parametrize("path", [*PAGES, "/rien", "/sessions/abc"])
async def test_every_page_forbids_scripts_and_what_comes_from_elsewhere(visitor: Browser, path: str) -> None:
    answer = await visitor.get(path)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "script-src" not in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert " style=" not in answer.text
    assert re.search(r"\son[a-z]+=", answer.text) is None


async def test_what_the_announcement_does_not_say_is_marked_as_an_example(visitor: Browser) -> None:
    mooc, rennes = await read(visitor, f"/sessions/{MOOC}"), await read(visitor, f"/sessions/{RENNES}")
    assert "figure dans le communiqué du CNFPT du 26 février 2025" in mooc.text
    # The offer is loaded with its dates moved: then the announcement states none of them.
    assert (
        "Ne viennent pas du communiqué : les dates de la session, l’ouverture des inscriptions, la "
        "clôture des inscriptions, les dates des séances, l’organisateur et l’adresse de connexion."
    ) in mooc.text
    assert "Exemple." not in mooc.text
    assert "Exemple." in rennes.text


async def test_the_accessibility_statement_gives_the_address_to_write_to(visitor: Browser) -> None:
    page = await read(visitor, "/accessibilite")
    assert f"mailto:{CONTACT}" in page.links
    assert f"écrivez à {CONTACT}" in page.text


async def test_the_legal_notice_says_who_publishes_and_who_hosts(visitor: Browser) -> None:
    page = await read(visitor, "/mentions-legales")
    for said in dataclasses.astuple(PUBLISHER)[:-1]:
        assert said in page.text
    assert "non indiqué" not in page.text
    assert f"mailto:{CONTACT}" in page.links


async def test_the_notice_on_personal_data_says_who_answers_for_it_and_whom_to_ask(visitor: Browser) -> None:
    page = await read(visitor, "/donnees-personnelles")
    assert f"Le responsable du traitement est {PUBLISHER.name}" in page.text
    assert f"mailto:{PUBLISHER.data_protection}" in page.links
    assert "365 jours après la dernière réponse" in page.text


async def test_what_an_installation_does_not_say_of_itself_is_not_passed_over(
    database: Database, tokens_file: Path
) -> None:
    async with visiting(database, tokens_file, publisher=pages.Publisher()) as browser:
        legal = await read(browser, "/mentions-legales")
        notice = await read(browser, "/donnees-personnelles")
    assert legal.text.count("non indiqué par cette installation") == 7
    assert "cette installation n’en indique pas le nom" in notice.text
    assert f"mailto:{CONTACT}" in notice.links


async def test_every_page_leads_to_what_the_law_requires(visitor: Browser) -> None:
    for path in ("/", "/sessions", "/gestion", "/rien"):
        links = Page((await visitor.get(path, follow_redirects=True)).text).links
        assert {"/accessibilite", "/mentions-legales", "/donnees-personnelles"} <= set(links), path


async def test_the_link_to_a_meeting_is_for_those_who_enrolled(visitor: Browser) -> None:
    page = await visitor.get(f"/sessions/{MOOC}")
    assert "mooc.example.org" not in page.text
    assert "est envoyé aux personnes inscrites" in Page(page.text).text


async def test_enrolling_leads_to_the_portal_of_that_session(visitor: Browser) -> None:
    page = await read(visitor, f"/sessions/{RENNES}")
    assert f"https://portail.example.org/inscription?session={RENNES}" in page.links


async def test_a_page_that_is_not_there_is_a_page_in_french_and_the_api_answers_as_before(
    visitor: Browser,
) -> None:
    for path in ("/rien", f"/sessions/{uuid4()}", "/sessions/abc", "/offres/rien", "/offres/É", "/static/x"):
        page = await read(visitor, path, 404)
        assert "Page introuvable" in page.text
    assert (await visitor.post("/sessions")).status_code == 405
    answer = await visitor.get("/api/v1/rien")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert (await visitor.get("/openapi.json")).status_code == 200


async def test_a_slash_too_many_leads_to_the_page_and_never_to_another_host(visitor: Browser) -> None:
    for path in ("/sessions/", "/offres/mooc-fondamentaux-ia/"):
        answer = await visitor.get(path, headers={"host": "catalogue:8001"})
        assert (answer.status_code, answer.headers["location"]) == (308, path.rstrip("/"))
    for path in ("//ailleurs.example/", "/%5Cailleurs.example/", "/@ailleurs/", "/x//y/"):
        assert (await visitor.get(f"{PUBLIC_URL}{path}")).status_code == 404


# --------------------------------------------------------------------------------------------- the list


async def test_the_list_filters_by_address_as_the_api_does(visitor: Browser, look: Ask) -> None:
    whole = (await look("GET", "/sessions", limit=200)).json()["items"]
    now = datetime.now(UTC).isoformat()

    def ids(**fields: str) -> set[str]:
        wanted = fields.items()
        return {item["session_id"] for item in whole if all(item[name] == value for name, value in wanted)}

    assert await found(visitor, passees="oui") == ids()
    assert await found(visitor) == {item["session_id"] for item in whole if item["ends_at"] > now}
    assert await found(visitor, format="webinar", passees="oui") == ids(format="webinar")
    assert await found(visitor, delegation="mayotte") == ids(organiser="mayotte")
    assert await found(visitor, ouvertes="oui") == ids(enrolment="open")
    themed = await found(visitor, theme="transition-numerique", passees="oui")
    assert themed == ids(format="inet")


async def test_the_dates_of_the_list_are_days_of_paris_both_included(visitor: Browser, look: Ask) -> None:
    whole = (await look("GET", "/sessions", limit=200)).json()["items"]
    day = next(item for item in whole if item["session_id"] == str(RENNES))["starts_at"][:10]
    on_that_day = await found(visitor, du=day, au=day)
    assert str(RENNES) in on_that_day
    assert on_that_day == {
        item["session_id"] for item in whole if item["starts_at"][:10] <= day <= item["ends_at"][:10]
    }


async def test_a_period_finds_what_runs_through_it_or_into_it_and_nothing_that_ended_before(
    visitor: Browser, look: Ask
) -> None:
    mooc = (await look("GET", f"/sessions/{MOOC}")).json()
    first, last = (
        datetime.fromisoformat(mooc[name]).astimezone(ZoneInfo("Europe/Paris")).date()
        for name in ("starts_at", "ends_at")
    )
    last -= timedelta(days=1)  # it ends at midnight
    for begin, end, inside in (
        (first + timedelta(days=5), last - timedelta(days=5), True),
        (last, last, True),
        (last + timedelta(days=1), last + timedelta(days=9), False),
        (first - timedelta(days=9), first - timedelta(days=1), False),
    ):
        period = {"du": begin.isoformat(), "au": end.isoformat()}
        assert (str(MOOC) in await found(visitor, **period)) is inside, period


async def test_a_search_that_is_cut_says_so(visitor: Browser) -> None:
    expected = "Seuls les 200 premiers caractères ont été cherchés."
    assert expected in (await read(visitor, "/sessions?recherche=" + "a" * 201)).text
    assert expected not in (await read(visitor, "/sessions?recherche=" + "a" * 200)).text


async def test_a_page_on_paper_says_where_to_enrol_and_where_it_is(visitor: Browser) -> None:
    text = (await visitor.get(f"/sessions/{RENNES}")).text
    printed = re.findall(r'<p class="print">[^<]*?(https://[^<]+)</p>', text)
    portal = f"https://portail.example.org/inscription?session={RENNES}"
    assert printed == [portal, f"{PUBLIC_URL}/sessions/{RENNES}"]


@pytest.mark.parametrize(
    ("text", "session"),
    [
        ("rennes", RENNES),
        ("RENNES", RENNES),
        ("delegation bretagne rennes", RENNES),
        ("Mamoudzou", MAMOUDZOU),
        ("fondamental", MOOC),  # of the same root as fondamentaux
        ("fondamentaux", MOOC),
    ],
)
async def test_words_are_found_whatever_their_case_accents_and_endings(
    visitor: Browser, text: str, session: UUID
) -> None:
    assert str(session) in await found(visitor, recherche=text, passees="oui")


async def test_a_search_finds_experts_and_what_the_offer_says(visitor: Browser) -> None:
    juriste = await found(visitor, recherche="juriste", passees="oui")
    assert len(juriste) == 1
    # Only the summary of the offer speaks of anticipating; its sessions are found by it.
    assert await found(visitor, recherche="anticiper les évolutions rennes") == {str(RENNES)}
    assert await found(visitor, recherche="anticiper -rennes") == await found(
        visitor, recherche="anticiper"
    ) - {str(RENNES)}
    assert await found(visitor, recherche="zzz") == set()


RUBBISH = [
    {"recherche": "a" * 10_000},
    {"recherche": "' OR 1=1 --"},
    {"recherche": '"" & | ! ( <-> :*'},
    {"recherche": "\0\x1f\u2028"},
    {"recherche": "\ud83d\ude00 \ufffe"},
    {"recherche": "%"},
    {"format": "cours"},
    {"format": "bespoke"},
    {"delegation": "atlantide"},
    {"theme": "É"},
    {"du": "hier"},
    {"du": "9999-12-31"},
    {"au": "0001-01-01"},
    {"du": "2026-02-30"},
    {"du": "2026-05-02", "au": "2026-05-01"},
    {"apres": "x"},
    {"apres": f"99999999999999999999~{UUID(int=0)}"},
    {"apres": "-1~x"},
    {"couleur": "bleu"},
]


@pytest.mark.parametrize("query", RUBBISH)
async def test_rubbish_in_an_address_is_a_list_all_the_same(visitor: Browser, query: dict[str, str]) -> None:
    query = {name: value.encode("utf-16", "surrogatepass").decode("utf-16") for name, value in query.items()}
    for path in ("/sessions", "/ressources"):
        answer = await visitor.get(path, params=query)
        assert answer.status_code == 200
        assert len(answer.content) < 40_000


async def test_what_makes_no_sense_is_said_beside_its_field(visitor: Browser) -> None:
    page = await visitor.get("/sessions", params={"du": "hier", "delegation": "atlantide"})
    assert 'id="du-erreur"' in page.text
    assert 'aria-describedby="du-erreur" aria-invalid="true"' in page.text
    assert "Cette valeur n’existe pas" in page.text


async def test_filters_out_of_sight_are_shown_when_they_are_used_or_wrong(visitor: Browser) -> None:
    for query in ("theme=enjeux-ia", "du=2026-01-01", "au=hier", "passees=oui"):
        assert "<details open>" in (await visitor.get(f"/sessions?{query}")).text
    assert "<details>" in (await visitor.get("/sessions?format=webinar&recherche=ia")).text


async def test_the_list_is_walked_in_both_directions_and_shows_the_same(visitor: Browser) -> None:
    async def walk(path: str, way: str) -> tuple[list[list[str]], str]:
        parts, following = [], path
        while following:
            path = following
            page = await read(visitor, path)
            parts.append(list(session_links(page)))
            following = next((link for link in page.links if f"{way}=" in link), "")
        return parts, path

    forward, last = await walk("/sessions?passees=oui", "apres")
    backward, _ = await walk(last, "avant")
    assert len(forward) > 1
    assert backward[::-1] == forward
    first = await read(visitor, f"/sessions?avant=0~{UUID(int=0)}")  # before everything: the beginning
    assert list(session_links(first)) == list(session_links(await read(visitor, "/sessions")))


def test_a_read_position_the_list_is_read_to_the_microsecond() -> None:
    moment, session_id = datetime(2026, 3, 1, 8, 0, 0, 123_457, tzinfo=UTC), uuid4()
    assert read_position(written((moment, session_id))) == (moment, session_id)


async def test_html_in_a_title_is_shown_as_the_text_it_is(
    an_empty_offer: str, ask: Ask, visit: Browser
) -> None:
    title = '</script><script>alert("1")</script> & <b>IA</b> {{ 7*7 }}'
    session_id = await published(ask, an_empty_offer, title=title, venue="<i>Rennes</i>")
    for path in ("/", "/sessions", f"/sessions/{session_id}", f"/offres/{an_empty_offer}"):
        answer = await visit.get(path)
        page = Page(answer.text)  # which fails at a script of any other kind
        assert title in page.text
        assert "b" not in page.tags
        assert "i" not in page.tags
        assert all(title in json.dumps(data, ensure_ascii=False).replace("\\", "") for data in page.data)
    assert [str(event["summary"]) for event in entries(await visit.get("/agenda.ics"))] == [title]


async def test_drafts_and_bespoke_sessions_are_on_no_page(offer: object, ask: Ask, visit: Browser) -> None:
    draft = await ask("POST", "/sessions", by="advisor-bretagne", **a_draft_of("ia-et-territoires"))
    bespoke = await published(ask, "sur-mesure-enjeux-ia", audience={"sirets": ["21350238800019"]})
    for session_id in (draft.json()["session_id"], bespoke):
        assert (await visit.get(f"/sessions/{session_id}")).status_code == 404
        assert (await visit.get(f"/sessions/{session_id}.ics")).status_code == 404
        for path in ("/sessions?passees=oui&delegation=bretagne", "/agenda.ics", "/sitemap.xml", "/"):
            assert session_id not in (await visit.get(path)).text


# ------------------------------------------------------------------------------------------ live, cached


async def test_a_new_occupancy_is_on_the_page_at_once_and_ends_what_caches_keep(
    an_empty_offer: str, ask: Ask, visit: Browser, database: Database
) -> None:
    session_id = await published(ask, an_empty_offer)
    path = f"/sessions/{session_id}"
    before = await visit.get(path)
    assert "30 places restantes" in Page(before.text).text
    validators = {"if-none-match": before.headers["etag"]}
    assert (await visit.get(path, headers=validators)).status_code == 304
    async with database.transaction() as tx:
        event = SessionOccupancyChanged(
            session_id=UUID(session_id), version=1, capacity=30, enrolled=18, waiting=0, offered=0
        )
        await occupancy.record(tx, [event])
    after = await visit.get(path, headers=validators)
    assert after.status_code == 200
    assert "12 places restantes" in Page(after.text).text
    assert "12 places restantes" in (await read(visit, "/sessions")).text


async def test_the_last_seat_is_not_promised_to_whom_it_may_not_be_for(
    an_empty_offer: str, ask: Ask, visit: Browser, database: Database
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
async def test_who_has_a_page_already_gets_304(visitor: Browser, path: str) -> None:
    first = await visitor.get(path)
    etag = first.headers["etag"]
    assert first.headers["cache-control"] == "no-cache"
    for known in (etag, f'"x", {etag}', etag.removeprefix("W/"), "*"):
        again = await visitor.get(path, headers={"if-none-match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    for unknown in ('"x"', ""):
        assert (await visitor.get(path, headers={"if-none-match": unknown})).status_code == 200


@pytest.mark.parametrize("path", [f"/sessions/{MOOC}", "/replays.atom"])
async def test_a_date_is_a_validator_where_it_is_exact(
    visitor: Browser, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with time_is(monkeypatch, clock.now() + timedelta(seconds=2)):  # the offer may be loaded just now
        modified = (await visitor.get(path)).headers["last-modified"]
        since = {"if-modified-since": modified}
        assert (await visitor.get(path, headers=since)).status_code == 304
    both = since | {"if-none-match": '"x"'}
    assert (await visitor.get(path, headers=both)).status_code == 200
    for earlier in ("Sat, 01 Jan 2000 00:00:00 GMT", "hier"):
        assert (await visitor.get(path, headers={"if-modified-since": earlier})).status_code == 200


@pytest.mark.parametrize("path", ["/", "/sessions", "/accessibilite"])
async def test_a_date_that_is_not_exact_is_not_told(visitor: Browser, path: str) -> None:
    assert "last-modified" not in (await visitor.get(path)).headers


async def test_a_file_of_this_version_is_kept_for_ever(visitor: Browser) -> None:
    home = await read(visitor, "/")
    (style,) = (link for link in home.links if "parcours.css" in link)
    kept = await visitor.get(style)
    assert "immutable" in kept.headers["cache-control"]
    assert kept.headers["content-type"].startswith("text/css")


# --------------------------------------------------------------------------------------------- programs


def entries(answer: httpx.Response) -> list[Any]:
    """The entries of a calendar."""
    return list(Calendar.from_ical(answer.content).walk("VEVENT"))


async def test_a_calendar_can_be_had_by_delegation_and_format(visitor: Browser) -> None:
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
    an_empty_offer: str, ask: Ask, visit: Browser, database: Database
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
    an_empty_offer: str, ask: Ask, visit: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    await published(ask, an_empty_offer)
    for days, found in ((130, 1), (131, 0)):  # it ends after 40.3
        async with time_is(monkeypatch, clock.now() + timedelta(days=days)):
            assert len(entries(await visit.get("/agenda.ics"))) == found


async def test_a_calendar_that_would_be_too_long_has_what_is_to_come(
    an_empty_offer: str, ask: Ask, visit: Browser, monkeypatch: pytest.MonkeyPatch
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


async def test_the_mooc_is_a_matter_of_days_in_the_calendar(visitor: Browser) -> None:
    (event,) = entries(await visitor.get(f"/sessions/{MOOC}.ics"))
    first, end = event["dtstart"].dt, event["dtend"].dt
    assert not isinstance(first, datetime)
    assert (end - first, first.strftime("%A")) == (timedelta(days=26), "Monday")


async def test_a_cancelled_session_is_cancelled_in_the_calendars_too(
    an_empty_offer: str, ask: Ask, visit: Browser
) -> None:
    session_id = await published(ask, an_empty_offer)
    (before,) = entries(await visit.get("/agenda.ics"))
    await ask("POST", f"/sessions/{session_id}/cancel", by="advisor-bretagne")
    (after,) = entries(await visit.get("/agenda.ics"))
    assert (before["status"], after["status"], after["uid"]) == ("CONFIRMED", "CANCELLED", before["uid"])
    assert after["sequence"] > before["sequence"]
    assert "Session annulée" in (await read(visit, f"/sessions/{session_id}")).text


ATOM = "{http://www.w3.org/2005/Atom}"


async def test_the_feed_has_the_replays_the_newest_first(visitor: Browser) -> None:
    feed = ET.fromstring((await visitor.get("/replays.atom")).content)
    entries = feed.findall(f"{ATOM}entry")
    published_at = [entry.findtext(f"{ATOM}published") or "" for entry in entries]
    assert len(entries) == 2
    assert published_at == sorted(published_at, reverse=True)
    ids = {entry.findtext(f"{ATOM}id") for entry in entries}
    keys = ("replay-enjeux-pour-les-collectivites", "replay-empreinte-environnementale")
    assert ids == {f"urn:uuid:{loaded_resource_id(key)}" for key in keys}
    assert feed.findtext(f"{ATOM}updated")


async def test_the_map_of_the_site_names_every_offer_and_session(visitor: Browser, look: Ask) -> None:
    answer = await visitor.get("/sitemap.xml")
    names = "{http://www.sitemaps.org/schemas/sitemap/0.9}loc"
    places = {place.text for place in ET.fromstring(answer.content).iter(names)}
    whole = (await look("GET", "/sessions", limit=200)).json()["items"]
    assert {f"{PUBLIC_URL}/sessions/{item['session_id']}" for item in whole} <= places
    assert f"{PUBLIC_URL}/offres/mooc-fondamentaux-ia" in places
    assert f"{PUBLIC_URL}/sitemap.xml" in (await visitor.get("/robots.txt")).text


async def test_search_engines_are_told_of_courses_and_events(visitor: Browser) -> None:
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
    visitor: Browser, session_id: UUID, expected: str
) -> None:
    page = await read(visitor, f"/sessions/{session_id}")
    (event,) = page.data
    assert event["description"].startswith(expected)
    assert event["description"] in page.text
    assert "isAccessibleForFree" not in event


async def test_a_replay_is_shown_with_the_session_that_it_recorded(
    an_empty_offer: str, ask: Ask, visit: Browser
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
    assert f"/sessions/{session_id}" in (await read(visit, "/ressources?type=replay")).links


async def published(ask: Ask, offer_id: str, **changes: Any) -> str:
    draft = await ask("POST", "/sessions", by="advisor-bretagne", **a_draft_of(offer_id, **changes))
    assert draft.status_code == 201, draft.text
    session_id: str = draft.json()["session_id"]
    answer = await ask("POST", f"/sessions/{session_id}/publish", by="advisor-bretagne")
    assert answer.status_code == 200, answer.text
    return session_id


async def test_resources_are_found_by_theme_and_name_no_private_session(
    offer: object, ask: Ask, visit: Browser, monkeypatch: pytest.MonkeyPatch
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


async def themes(visit: Browser) -> list[str]:
    return re.findall(
        r'<option value="([a-z-]+)"', (await visit.get("/ressources")).text.partition('name="theme"')[2]
    )
