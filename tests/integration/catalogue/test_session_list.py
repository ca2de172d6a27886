"""The list of sessions: its filters, its search, its pages; what rubbish in an address does."""

import json
import re
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from shared.database import Database
from shared.web import labels
from shared.web.paging import read_position, written
from tests.conftest import Ask
from tests.integration.catalogue.browsing import HttpBrowser
from tests.integration.catalogue.conftest import MOOC, RENNES, a_draft_of, in_days, published
from tests.integration.catalogue.public_pages import (
    MAMOUDZOU,
    LinkedPage,
    entries,
    found,
    read,
    session_links,
)


async def test_the_list_filters_by_address_as_the_api_does(visitor: HttpBrowser, look: Ask) -> None:
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


async def test_the_dates_of_the_list_are_days_of_paris_both_included(visitor: HttpBrowser, look: Ask) -> None:
    whole = (await look("GET", "/sessions", limit=200)).json()["items"]
    day = next(item for item in whole if item["session_id"] == str(RENNES))["starts_at"][:10]
    on_that_day = await found(visitor, du=day, au=day)
    assert str(RENNES) in on_that_day
    assert on_that_day == {
        item["session_id"] for item in whole if item["starts_at"][:10] <= day <= item["ends_at"][:10]
    }


async def test_a_period_finds_what_runs_through_it_or_into_it_and_nothing_that_ended_before(
    visitor: HttpBrowser, look: Ask
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
    visitor: HttpBrowser, text: str, session: UUID
) -> None:
    assert str(session) in await found(visitor, recherche=text, passees="oui")


async def test_a_search_finds_experts_and_what_the_offer_says(visitor: HttpBrowser) -> None:
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
async def test_rubbish_in_an_address_is_a_list_all_the_same(
    visitor: HttpBrowser, query: dict[str, str]
) -> None:
    query = {name: value.encode("utf-16", "surrogatepass").decode("utf-16") for name, value in query.items()}
    for path in ("/sessions", "/ressources"):
        answer = await visitor.get(path, params=query)
        assert answer.status_code == 200
        assert len(answer.content) < 40_000


async def test_what_makes_no_sense_is_said_beside_its_field(visitor: HttpBrowser) -> None:
    page = await visitor.get("/sessions", params={"du": "hier", "delegation": "atlantide"})
    assert 'id="du-erreur"' in page.text
    assert 'aria-describedby="du-erreur" aria-invalid="true"' in page.text
    assert "Cette valeur n’existe pas" in page.text


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
    assert len(forward) > 1
    assert backward[::-1] == forward
    first = await read(visitor, f"/sessions?avant=0~{UUID(int=0)}")  # before everything: the beginning
    assert list(session_links(first)) == list(session_links(await read(visitor, "/sessions")))


def test_a_read_position_the_list_is_read_to_the_microsecond() -> None:
    moment, session_id = datetime(2026, 3, 1, 8, 0, 0, 123_457, tzinfo=UTC), uuid4()
    assert read_position(written((moment, session_id))) == (moment, session_id)


async def test_html_in_a_title_is_shown_as_the_text_it_is(
    an_empty_offer: str, ask: Ask, visit: HttpBrowser
) -> None:
    title = '</script><script>alert("1")</script> & <b>IA</b> {{ 7*7 }}'
    session_id = await published(ask, an_empty_offer, title=title, venue="<i>Rennes</i>")
    for path in ("/", "/sessions", f"/sessions/{session_id}", f"/offres/{an_empty_offer}"):
        answer = await visit.get(path)
        page = LinkedPage(answer.text)  # which fails at a script of any other kind
        assert title in page.text
        assert "b" not in page.tags
        assert "i" not in page.tags
        assert all(title in json.dumps(data, ensure_ascii=False).replace("\\", "") for data in page.data)
    assert [str(event["summary"]) for event in entries(await visit.get("/agenda.ics"))] == [title]


async def test_drafts_and_bespoke_sessions_are_on_no_page(
    offer: object, ask: Ask, visit: HttpBrowser
) -> None:
    draft = await ask("POST", "/sessions", by="advisor-bretagne", **a_draft_of("ia-et-territoires"))
    bespoke = await published(ask, "sur-mesure-enjeux-ia", audience={"sirets": ["21350238800019"]})
    for session_id in (draft.json()["session_id"], bespoke):
        assert (await visit.get(f"/sessions/{session_id}")).status_code == 404
        assert (await visit.get(f"/sessions/{session_id}.ics")).status_code == 404
        for path in ("/sessions?passees=oui&delegation=bretagne", "/agenda.ics", "/sitemap.xml", "/"):
            assert session_id not in (await visit.get(path)).text


async def test_the_map_counts_the_sessions_of_each_delegation_as_the_list_has_them(
    visitor: HttpBrowser,
) -> None:
    page = await read(visitor, "/sessions?vue=carte&format=local_event")
    for delegation in ("bretagne", "mayotte", "la-reunion"):
        number = len(await found(visitor, format="local_event", delegation=delegation))
        counted = f"{number} session{'s' if number > 1 else ''}"
        name = labels.delegation(delegation)
        assert re.search(rf"{name} ?{counted}", page.text), name
        assert f"/sessions?format=local_event&delegation={delegation}" in page.links
    assert "aucune session" in page.text, "a delegation without any is shown, and leads nowhere"


async def test_an_example_is_said_wherever_it_is_counted_or_is_another_date(
    visit: HttpBrowser, an_empty_offer: str, ask: Ask, database: Database
) -> None:
    ours, other = [await published(ask, an_empty_offer) for _ in range(2)]
    later = in_days(1).isoformat()
    example = await published(ask, an_empty_offer, enrolment_opens_at=later)
    shown = ("/", "/sessions", "/sessions?vue=carte", "/sessions?vue=calendrier")
    for path in (*shown, f"/sessions/{ours}"):
        assert "Exemple" not in (await visit.get(path)).text, path
    async with database.transaction() as tx:
        await tx.execute(MAKE_EXAMPLE, {"id": example})
    for path in shown:
        assert (await visit.get(path)).text.count("Exemple") == 1, path
    assert "Exemple" not in (await visit.get(f"/sessions/{ours}")).text
    async with database.transaction() as tx:
        await tx.execute(MAKE_EXAMPLE, {"id": other})
    assert "Des dates, des lieux et des noms de cette liste" in (await visit.get(f"/sessions/{ours}")).text
    of_examples = (await visit.get(f"/sessions/{example}")).text
    assert of_examples.count("Exemple") == 1
    assert "illustre le format, comme d’autres dates de cette page" in of_examples


MAKE_EXAMPLE = text("UPDATE session SET source = 'illustrative' WHERE session_id = :id")
