"""The public list of sessions: its filters, its search, its pages; what rubbish in an address does."""

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest

from shared.web.paging import read_position, written
from tests.conftest import Ask
from tests.integration.catalogue.browsing import HttpBrowser
from tests.integration.catalogue.conftest import (
    MOOC,
    RENNES,
    drafted,
    listed,
    published,
    shown,
)
from tests.integration.catalogue.public_pages import (
    MAMOUDZOU,
    LinkedPage,
    entries,
    found,
    read,
    session_links,
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


async def test_the_list_is_walked_in_both_directions_and_shows_the_same(visitor: HttpBrowser) -> None:
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
    assert backward[::-1] == forward
    assert len(forward) > 1
    before_everything = await read(visitor, f"/sessions?avant=0~{UUID(int=0)}")
    assert list(session_links(before_everything)) == list(session_links(await read(visitor, "/sessions")))


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
