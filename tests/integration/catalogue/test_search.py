"""What a visitor finds with the words that come to mind first, and what a search without sessions offers."""

from datetime import datetime

import pytest
from sqlalchemy import text

from services.catalogue.pages import browse
from services.catalogue.store import offers
from shared.database import Database
from tests.conftest import Ask
from tests.integration.catalogue.browsing import HttpBrowser
from tests.integration.catalogue.conftest import MOOC, in_days, published
from tests.integration.catalogue.public_pages import MAMOUDZOU, found, read, session_links

REPLAY = {"title": "À revoir", "url": "https://video.example/1", "themes": ["enjeux-ia"]}


@pytest.mark.parametrize(
    ("searched", "wanted"),
    [
        ("intelligence artificielle", {}),
        ("l’Intelligence Artificielle", {}),
        ("IA", {}),
        ("formation", {}),
        ("mooc", {"format": "mooc"}),
        ("webinaires", {"format": "webinar"}),
        ("rendez-vous local", {"format": "local_event"}),
        ("Inet", {"format": "inet"}),
        ("management", {"theme": "transition-numerique"}),
        ("visioconférence", {"format": "webinar"}),
        ("ChatGPT", {"recherche": "IA générative"}),
        ("Ille-et-Vilaine", {"delegation": "bretagne"}),
        ("côte d’or", {"delegation": "bourgogne-franche-comte"}),
        ("Gironde", {"delegation": "nouvelle-aquitaine"}),
        ("près de Rennes", {"recherche": "Rennes"}),
    ],
)
async def test_a_subject_a_format_a_theme_or_a_place_is_found_by_what_people_call_it(
    visitor: HttpBrowser, searched: str, wanted: dict[str, str]
) -> None:
    expected = await found(visitor, passees="oui", **wanted)
    assert expected
    assert await found(visitor, recherche=searched, passees="oui") >= expected


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
    an_empty_offer: str, ask: Ask, visit: HttpBrowser, database: Database
) -> None:
    session_id = await published(ask, an_empty_offer)
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


async def do(database: Database, statement: str) -> None:
    async with database.quiet_transaction() as tx:
        await tx.execute(text(statement))
