"""The public list of sessions: its filters, and what a visitor finds by the words that come to mind first."""

import json
import re
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, text
from sqlalchemy.dialects import postgresql
from sqlmodel import col

from services.catalogue.pages import browse
from services.catalogue.store import offers
from services.catalogue.store.search import matches
from services.catalogue.tables import SessionRow
from shared.database import Database
from shared.web.paging import read_position, written
from tests.conftest import Ask
from tests.integration.catalogue.browsing import (
    MAMOUDZOU,
    HttpBrowser,
    LinkedPage,
    entries,
    found,
    read,
    session_links,
)
from tests.integration.catalogue.conftest import (
    MOOC,
    RENNES,
    drafted,
    in_days,
    listed,
    published,
    seats_taken,
    shown,
)

PAST_TOO = {"passees": "oui"}


@pytest.mark.parametrize(
    ("query", "field", "value"),
    [
        (PAST_TOO, "status", "published"),
        (PAST_TOO | {"format": "webinar"}, "format", "webinar"),
        ({"delegation": "mayotte"}, "organiser", "mayotte"),
        ({"ouvertes": "oui"}, "enrolment", "open"),
        (PAST_TOO | {"theme": "transition-numerique"}, "format", "inet"),
    ],
)
async def test_the_list_filters_by_address_as_the_api_does(
    visitor: HttpBrowser, look: Ask, query: dict[str, str], field: str, value: str
) -> None:
    whole = await listed(look, limit=200)
    assert await found(visitor, **query) == {item["session_id"] for item in whole if item[field] == value}


async def test_a_session_that_is_over_needs_its_filter(visitor: HttpBrowser, look: Ask) -> None:
    now, whole = datetime.now(UTC).isoformat(), await listed(look, limit=200)
    assert await found(visitor) == {item["session_id"] for item in whole if item["ends_at"] > now}


async def test_the_dates_of_the_list_are_days_of_paris_both_included(visitor: HttpBrowser, look: Ask) -> None:
    whole = await listed(look, limit=200)
    day = (await shown(look, f"/sessions/{RENNES}"))["starts_at"][:10]
    on_that_day = [item for item in whole if item["starts_at"][:10] <= day <= item["ends_at"][:10]]
    assert await found(visitor, du=day, au=day) == {item["session_id"] for item in on_that_day}


@pytest.mark.parametrize(
    ("edge", "begin", "end", "inside"),
    [
        ("starts_at", 5, 10, True),
        ("starts_at", -9, -1, False),
        ("ends_at", -1, -1, True),  # it ends at midnight
        ("ends_at", 0, 9, False),
    ],
)
async def test_a_period_finds_a_session_that_runs_in_it(
    visitor: HttpBrowser, look: Ask, *, edge: str, begin: int, end: int, inside: bool
) -> None:
    moment = datetime.fromisoformat((await shown(look, f"/sessions/{MOOC}"))[edge])
    day = moment.astimezone(ZoneInfo("Europe/Paris")).date()
    period = {"du": f"{day + timedelta(days=begin)}", "au": f"{day + timedelta(days=end)}"}
    assert (str(MOOC) in await found(visitor, **period)) is inside


@pytest.mark.parametrize(
    ("typed", "session"),
    [
        ("RENNES", RENNES),
        ("delegation bretagne rennes", RENNES),
        ("anticiper les évolutions rennes", RENNES),  # of which only the summary of the offer speaks
        ("fondamental", MOOC),  # of the same root as fondamentaux
        ("Mamoudzou", MAMOUDZOU),
    ],
)
async def test_words_are_found_whatever_their_case_accents_and_endings(
    visitor: HttpBrowser, typed: str, session: UUID
) -> None:
    assert str(session) in await found(visitor, recherche=typed, **PAST_TOO)


async def test_a_search_finds_experts_and_leaves_out_excluded_words(visitor: HttpBrowser) -> None:
    assert len(await found(visitor, recherche="juriste", **PAST_TOO)) == 1
    whole, rest = [await found(visitor, recherche=f"anticiper{more}") for more in ("", " -rennes")]
    assert whole - rest == {str(RENNES)}
    assert await found(visitor, recherche="zzz") == set()


@pytest.mark.parametrize(
    "query",
    [
        {"recherche": "a" * 10_000},
        {"recherche": '"" & | ! ( <-> :*'},
        {"recherche": "\0\x1f\u2028"},
        {"recherche": "-" * 40 + "a"},
        {"recherche": "- ! -(" * 30 + "a"},
        {"recherche": "\U0001f600 \ufffe%"},
        {"format": "cours", "delegation": "atlantide", "theme": "É"},
        {"du": "9999-12-31", "au": "0001-01-01"},
        {"du": "2026-02-30"},
        {"apres": "x"},
        {"apres": f"99999999999999999999~{UUID(int=0)}"},
        {"apres": "-1~x", "couleur": "bleu"},
    ],
)
async def test_rubbish_in_an_address_is_a_list_all_the_same(
    visitor: HttpBrowser, query: dict[str, str]
) -> None:
    for path in ("/sessions", "/ressources"):
        answer = await visitor.get(path, params=query)
        assert (answer.status_code, len(answer.content) < 40_000) == (200, True)


def test_a_position_in_the_list_is_read_to_the_microsecond() -> None:
    position = datetime(2026, 3, 1, 8, 0, 0, 123_457, tzinfo=UTC), uuid4()
    assert read_position(written(position)) == position


async def test_html_in_a_title_is_shown_as_the_text_it_is(
    an_empty_offer: str, ask: Ask, visit: HttpBrowser
) -> None:
    title = '</script><script>alert("1")</script> & <b>IA</b> {{ 7*7 }}'
    session_id = await published(ask, an_empty_offer, title=title, venue="<i>Rennes</i>")
    for path in ("/", "/sessions", f"/sessions/{session_id}", f"/offres/{an_empty_offer}"):
        page = LinkedPage((await visit.get(path)).text)  # which fails at a script of any other kind
        assert title in page.text
        assert not {"b", "i"} & set(page.tags)
        assert all(title in json.dumps(data, ensure_ascii=False).replace("\\", "") for data in page.data)
    assert [str(event["summary"]) for event in entries(await visit.get("/agenda.ics"))] == [title]


async def test_drafts_and_bespoke_sessions_are_on_no_page(
    an_empty_offer: str, a_bespoke_offer: str, ask: Ask, visit: HttpBrowser
) -> None:
    draft = (await drafted(ask, an_empty_offer))["session_id"]
    bespoke = await published(ask, a_bespoke_offer, audience={"sirets": ["21350238800019"]})
    for session_id in (draft, bespoke):
        for path in ("", ".ics", "/places"):
            assert (await visit.get(f"/sessions/{session_id}{path}")).status_code == 404
        for path in ("/sessions?passees=oui&delegation=bretagne", "/agenda.ics", "/sitemap.xml", "/"):
            assert session_id not in (await visit.get(path)).text


REPLAY = {"title": "À revoir", "url": "https://video.example/1", "themes": ["enjeux-ia"]}


CALLED: list[tuple[dict[str, str], list[str]]] = [
    ({}, ["intelligence artificielle", "l’Intelligence Artificielle", "IA", "formation"]),
    ({"format": "mooc"}, ["mooc"]),
    ({"format": "webinar"}, ["webinaires", "visioconférence"]),
    ({"format": "local_event"}, ["rendez-vous local"]),
    ({"format": "inet"}, ["Inet"]),
    ({"theme": "transition-numerique"}, ["management"]),
    ({"recherche": "IA générative"}, ["ChatGPT"]),
    ({"delegation": "bretagne"}, ["Ille-et-Vilaine"]),
    ({"delegation": "bourgogne-franche-comte"}, ["côte d’or"]),
    ({"delegation": "nouvelle-aquitaine"}, ["Gironde"]),
    ({"recherche": "Rennes"}, ["près de Rennes"]),
]


@pytest.mark.parametrize(("wanted", "names"), CALLED, ids=[names[0] for _, names in CALLED])
async def test_a_subject_a_format_a_theme_or_a_place_is_found_by_what_people_call_it(
    visitor: HttpBrowser, wanted: dict[str, str], names: list[str]
) -> None:
    expected = await found(visitor, passees="oui", **wanted)
    assert expected
    for name in names:
        assert await found(visitor, recherche=name, passees="oui") >= expected, name


NEAR_BREST = ["Brest", "Quimper", "Rennes", "online"]


@pytest.mark.parametrize(
    ("typed", "far"),
    [
        ("Brest", ["à 52 km", "à 210 km"]),
        ("essai près de Brest", ["à 52 km", "à 210 km"]),
        ("29200", ["à 52 km", "à 210 km"]),
        ("essai landerneau", ["à 19 km", "à 52 km", "à 194 km"]),  # where no session is
    ],
)
async def test_sessions_are_listed_by_their_distance_from_the_place_that_is_named(
    an_empty_offer: str,
    ask: Ask,
    visit: HttpBrowser,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    *,
    typed: str,
    far: list[str],
) -> None:
    monkeypatch.setattr(browse, "PAGE", 3)
    online = {"venue": None, "join_url": "https://visio.example.org/essai"}
    ids = {
        town: await published(
            ask,
            an_empty_offer,
            title="Un essai",
            capacity=30,
            **online if town == "online" else {"venue": f"Salle des fêtes, {town}"},
        )
        for town in sorted(NEAR_BREST)
    }
    first = await read(visit, f"/sessions?recherche={typed}")
    then = await read(visit, next(link for link in first.links if "apres=" in link))

    assert [*session_links(first), *session_links(then)] == [ids[town] for town in NEAR_BREST]
    assert re.findall(r"à \d+ km", first.text) == far
    back = await read(visit, next(link for link in then.links if "avant=" in link))
    assert list(session_links(back)) == list(session_links(first))
    await seats_taken(database, ids["Quimper"], enrolled=30)
    of_brest = await read(visit, f"/sessions/{ids['Brest']}")
    assert [link for link in session_links(of_brest) if link != ids["Brest"]] == [
        ids[town]
        for town in NEAR_BREST
        if town not in ("Brest", "Quimper")  # full
    ]


@pytest.mark.parametrize(
    ("query", "link"),
    [
        ("recherche=sur+mesure+pratiques", "/offres/sur-mesure-evolution-des-metiers"),
        ("recherche=dossier", "https://ressources.example.org/dossiers/usage-responsable"),
        ("recherche=communauté", "https://ressources.example.org/communautes/environnement"),
        ("recherche=fondamentaux", f"/sessions/{MOOC}"),
        ("recherche=fondamentaux&delegation=corse", "/offres/mooc-fondamentaux-ia"),
        ("recherche=zzz", "/sessions?format=bespoke"),
        ("recherche=zzz", "/ressources"),
        ("format=bespoke", "/offres/sur-mesure-enjeux-ia"),
    ],
)
async def test_a_search_leads_to_sessions_or_to_offers_and_resources(
    visitor: HttpBrowser, query: str, link: str
) -> None:
    page = await read(visitor, f"/sessions?{query}")
    assert link in page.links
    assert "Rien ne correspond" not in page.text
    assert ("/offres/mooc-fondamentaux-ia" in page.links) is ("corse" in query)


async def test_the_end_of_a_list_leads_to_no_offer_whose_sessions_came_before(
    an_empty_offer: str, ask: Ask, visit: HttpBrowser, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browse, "PAGE", 2)
    copied = "format, title, summary, themes, terms, source, choices"
    for other in ("autre", "sans-session"):
        await do(
            database, f"INSERT INTO offer (offer_id, {copied}) SELECT '{other}', {copied} FROM offer LIMIT 1"
        )
    first, second, last = [
        await published(
            ask, offer_id, starts_at=in_days(day).isoformat(), ends_at=in_days(day + 0.1).isoformat()
        )
        for day, offer_id in ((40, an_empty_offer), (41, an_empty_offer), (42, "autre"))
    ]
    start = await read(visit, "/sessions?recherche=essai")
    assert list(session_links(start)) == [first, second]
    end = await read(visit, next(link for link in start.links if "apres=" in link))
    assert list(session_links(end)) == [last]
    assert [link for link in end.links if link.startswith("/offres/")] == ["/offres/sans-session"]


async def test_a_search_that_finds_only_sessions_that_are_over_leads_to_them(visitor: HttpBrowser) -> None:
    page = await read(visitor, "/sessions?recherche=empreinte+environnementale+mesurer")
    assert list(session_links(page)) == []
    (link,) = {link for link in page.links if "passees=oui" in link}
    assert len(list(session_links(await read(visitor, link)))) == 1


async def test_a_word_that_is_nearly_right_finds_what_was_meant_and_the_page_says_so(
    visitor: HttpBrowser,
) -> None:
    page = await read(visitor, "/sessions?recherche=Mamoudsou")
    assert str(MAMOUDZOU) in session_links(page)
    assert "Rien ne correspond à « Mamoudsou »" in page.text
    # A word that is right finds nothing only because of another filter: nothing else is meant.
    elsewhere = await read(visitor, "/sessions?recherche=rennes&delegation=corse")
    assert "Rien ne correspond" not in elsewhere.text


async def test_the_new_title_of_a_theme_finds_its_sessions_and_resources_at_once(
    session_id: str, ask: Ask, visit: HttpBrowser, database: Database
) -> None:
    assert (await ask("POST", "/replays", by="siege", organiser="corse", **REPLAY)).status_code == 201
    await do(database, 'UPDATE offer SET themes = \'["enjeux-ia", "eau"]\'')
    await do(database, "INSERT INTO theme VALUES ('eau', 'Hydrologie')")
    for searched in ("enjeux", "hydrologie"):
        assert await found(visit, recherche=searched) == {session_id}
    async with database.quiet_transaction() as tx:
        await offers.save_themes(tx, {"enjeux-ia": "Perspectives"})
    for searched, expected in (("enjeux", set()), ("perspectives", {session_id})):
        assert await found(visit, recherche=searched) == expected
    assert REPLAY["url"] in (await read(visit, "/sessions?recherche=perspectives+revoir")).links


async def test_a_resource_has_not_changed_because_its_theme_is_renamed(
    an_empty_offer: str, ask: Ask, database: Database
) -> None:
    async def changed_at() -> list[datetime]:
        async with database.quiet_transaction() as tx:
            return list(await tx.scalars(text("SELECT changed_at FROM resource")))

    made = await ask("POST", "/replays", by="siege", organiser="corse", **REPLAY)
    before = await changed_at()
    async with database.quiet_transaction() as tx:
        await offers.save_themes(tx, {"enjeux-ia": "Perspectives"})
    assert await changed_at() == before
    await ask("PATCH", f"/resources/{made.json()['resource_id']}", by="siege", title="À voir")
    assert await changed_at() > before


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", ["Vannes", "Brest", "Lille"]),
        ("pour=pays-de-la-loire&pres=44+Nantes", ["Vannes", "Brest", "Lille"]),
        ("pour=hauts-de-france&pres=62+Arras", ["Lille", "Vannes", "Brest"]),
        ("pour=hauts-de-france&pres=29+Brest", ["Brest", "Vannes", "Lille"]),
        ("pour=hauts-de-france", ["Lille", "Vannes", "Brest"]),
        ("pres=69+Arras", ["Vannes", "Brest", "Lille"]),
    ],
)
async def test_other_dates_come_by_their_distance_from_the_readers_place_else_from_the_venue(
    an_empty_offer: str, ask: Ask, visit: HttpBrowser, given: str, expected: list[str]
) -> None:
    here = await published(ask, an_empty_offer, venue="Salle des fêtes, Rennes")
    for town in ("Lille", "Brest", "Vannes"):
        await published(ask, an_empty_offer, venue=f"Salle des fêtes, {town}")
    page = (await read(visit, f"/sessions/{here}?{given}")).text
    others = page.partition("D’autres dates")[2]
    assert sorted(expected, key=others.index) == expected
    assert ("De la plus proche de" in others) == ("pres=" in given and "69+" not in given)


async def do(database: Database, statement: str) -> None:
    async with database.quiet_transaction() as tx:
        await tx.execute(text(statement))


async def test_seats_are_counted_for_whoever_looks_near_a_place_and_on_the_page_of_the_session_too(
    an_empty_offer: str, ask: Ask, visit: HttpBrowser
) -> None:
    kept = {"delegation": "bretagne", "seats": 20, "release_at": "2099-01-01T00:00:00Z"}
    session_id = await published(
        ask, an_empty_offer, capacity=30, venue="Salle des fêtes, Brest", reserved_seats=[kept]
    )
    seats = {}
    for town in ("Brest", "Nantes"):
        listed = await read(visit, f"/sessions?recherche={town}")
        [link] = [link for link in listed.links if link.startswith(f"/sessions/{session_id}")]
        address, _, query = link.partition("?")
        alone = await visit.get(f"{address}/places?{query}")
        shown = listed.text, (await read(visit, link)).text, alone.text
        seats[query] = [re.findall(r"(\d+)\splaces pour vous", text) for text in shown]
    assert seats == {
        "pour=bretagne&pres=29+Brest": [["30"]] * 3,
        "pour=pays-de-la-loire&pres=44+Nantes": [["10"]] * 3,
    }
    assert "30 places pour vous" in (await read(visit, "/sessions?pour=bretagne")).text.replace(
        "\N{NO-BREAK SPACE}", " "
    )


async def test_a_search_is_parsed_once_and_not_for_each_session(database: Database) -> None:
    """A phrase of sixty words would take seconds with the plan that a connection keeps."""
    query = select(col(SessionRow.session_id)).where(matches(SessionRow, "climat"))
    asked = query.compile(dialect=postgresql.asyncpg.dialect())  # type: ignore[no-untyped-call]
    nothing = ", ".join(["NULL"] * len(asked.params))
    async with database.quiet_transaction() as tx:
        await tx.driver.execute(f"SET LOCAL plan_cache_mode = force_generic_plan; PREPARE asked AS {asked}")
        lines = await tx.driver.fetch(f"EXPLAIN EXECUTE asked ({nothing})")
        await tx.driver.execute("DEALLOCATE asked")
    plan = "\n".join(line for [line] in lines)
    assert "search_vector" in plan
    assert "websearch_to_tsquery" not in plan
