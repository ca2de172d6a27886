"""What a visitor finds with the words that come to mind first, and what a search without sessions offers."""

import re
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

BESPOKE = {
    f"/offres/sur-mesure-{which}" for which in ("enjeux-ia", "transition-numerique", "evolution-des-metiers")
}


@pytest.mark.parametrize(
    "searched", ["intelligence artificielle", "l’Intelligence Artificielle", "IA", "formation"]
)
async def test_the_subject_of_the_site_finds_every_session(visitor: HttpBrowser, searched: str) -> None:
    assert await found(visitor, recherche=searched, passees="oui") == await found(visitor, passees="oui")


@pytest.mark.parametrize(
    ("searched", "kind"),
    [
        ("mooc", "mooc"),
        ("webinaire", "webinar"),
        ("webinaires", "webinar"),
        ("rendez-vous local", "local_event"),
        ("Inet", "inet"),
    ],
)
async def test_a_format_is_found_by_what_it_is_called(visitor: HttpBrowser, searched: str, kind: str) -> None:
    every = await found(visitor, format=kind, passees="oui")
    assert every
    assert await found(visitor, recherche=searched, passees="oui") >= every


async def test_a_session_is_found_by_the_themes_of_its_offer(visitor: HttpBrowser) -> None:
    inet = await found(visitor, format="inet", passees="oui")
    assert await found(visitor, recherche="management", passees="oui") == inet
    assert str(MOOC) in await found(visitor, recherche="éthique", passees="oui")


async def test_a_search_finds_offers_without_sessions_and_resources(visitor: HttpBrowser) -> None:
    bespoke = await read(visitor, "/sessions?recherche=sur+mesure+pratiques")
    assert "Aucune session à venir ou en cours" in bespoke.text
    assert "/offres/sur-mesure-evolution-des-metiers" in bespoke.links
    dossier = await read(visitor, "/sessions?recherche=dossier")
    assert "https://ressources.example.org/dossiers/usage-responsable" in dossier.links
    community = await read(visitor, "/sessions?recherche=communauté")
    assert "https://ressources.example.org/communautes/environnement" in community.links


async def test_an_offer_whose_session_is_listed_is_not_listed_beside_it(visitor: HttpBrowser) -> None:
    page = await read(visitor, "/sessions?recherche=fondamentaux")
    assert f"/sessions/{MOOC}" in page.links
    assert "/offres/mooc-fondamentaux-ia" not in page.links
    elsewhere = await read(visitor, "/sessions?recherche=fondamentaux&delegation=corse")
    assert "/offres/mooc-fondamentaux-ia" in elsewhere.links


async def test_the_end_of_a_list_leads_to_no_offer_whose_sessions_came_before(
    an_empty_offer: str, ask: Ask, visit: HttpBrowser, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browse, "PAGE", 2)
    copied = "format, title, summary, themes, terms, source, choices"
    for other in ("autre", "sans-session"):
        await do(
            database, f"INSERT INTO offer (offer_id, {copied}) SELECT '{other}', {copied} FROM offer LIMIT 1"
        )
    dates = [
        {"starts_at": in_days(days).isoformat(), "ends_at": in_days(days + 0.1).isoformat()}
        for days in (40, 41, 42)
    ]
    first, second, last = [
        await published(ask, offer_id, **on)
        for offer_id, on in zip((an_empty_offer, an_empty_offer, "autre"), dates, strict=True)
    ]
    start = await read(visit, "/sessions?recherche=essai")
    assert list(session_links(start)) == [first, second]
    end = await read(visit, next(link for link in start.links if "apres=" in link))
    assert list(session_links(end)) == [last]
    assert [link for link in end.links if link.startswith("/offres/")] == ["/offres/sans-session"]


async def test_where_nothing_is_found_there_is_something_else_to_see(visitor: HttpBrowser) -> None:
    page = await read(visitor, "/sessions?recherche=zzz")
    assert {"/sessions?format=bespoke", "/ressources", "/sessions", "/sessions?vue=carte"} <= set(page.links)
    assert "cherchez le département" in page.text
    assert "terminée" not in page.text.replace("Thème, dates, sessions terminées", "").replace(
        "Avec les sessions terminées", ""
    )


async def test_what_is_over_is_offered_as_such_and_counted(visitor: HttpBrowser) -> None:
    page = await read(visitor, "/sessions?recherche=empreinte+environnementale+mesurer")
    assert "Voir la session terminée qui correspond" in page.text
    (link,) = {link for link in page.links if "passees=oui" in link}
    assert "Aucune session" not in (await read(visitor, link)).text


async def test_bespoke_training_is_shown_as_the_offers_that_an_authority_asks_for(
    visitor: HttpBrowser,
) -> None:
    answer = await visitor.get("/sessions?format=bespoke")
    assert 'value="bespoke" checked' in answer.text
    assert set(re.findall(r'href="(/offres/[^"]+)"', answer.text)) == BESPOKE
    assert "une collectivité la demande" in answer.text


async def test_a_title_that_changes_is_found_at_once_by_whatever_it_stands_over(
    an_empty_offer: str, ask: Ask, visit: HttpBrowser, database: Database
) -> None:
    session_id = await published(ask, an_empty_offer)
    replay = {"title": "À revoir", "url": "https://video.example/1", "themes": ["enjeux-ia"]}
    assert (await ask("POST", "/replays", by="siege", organiser="corse", **replay)).status_code == 201
    await do(database, 'UPDATE offer SET themes = \'["enjeux-ia", "eau"]\'')
    assert await found(visit, recherche="enjeux") == {session_id}
    await do(database, "INSERT INTO theme VALUES ('eau', 'Hydrologie')")
    assert await found(visit, recherche="hydrologie") == {session_id}
    async with database.quiet_transaction() as tx:
        await offers.save_themes(tx, {"enjeux-ia": "Perspectives"})
    assert await found(visit, recherche="enjeux") == set()
    assert await found(visit, recherche="perspectives") == {session_id}
    assert replay["url"] in (await read(visit, "/sessions?recherche=perspectives+revoir")).links


async def test_a_resource_is_not_told_as_changed_because_its_theme_is_renamed(
    an_empty_offer: str, ask: Ask, database: Database
) -> None:
    replay = {"title": "À revoir", "url": "https://video.example/1", "themes": ["enjeux-ia"]}
    made = await ask("POST", "/replays", by="siege", organiser="corse", **replay)
    before = await changes(database)
    async with database.quiet_transaction() as tx:
        await offers.save_themes(tx, {"enjeux-ia": "Perspectives"})
    assert await changes(database) == before
    await ask("PATCH", f"/resources/{made.json()['resource_id']}", by="siege", title="À voir")
    assert (await changes(database))["resource"] > before["resource"]


async def changes(database: Database) -> dict[str, list[datetime]]:
    """When each offer, session and resource was last changed."""
    async with database.quiet_transaction() as tx:
        return {
            table: list(await tx.scalars(text(f"SELECT changed_at FROM {table} ORDER BY 1")))
            for table in ("offer", "session", "resource")
        }


async def do(database: Database, statement: str) -> None:
    async with database.quiet_transaction() as tx:
        await tx.execute(text(statement))


async def test_what_people_call_by_another_name_finds_what_the_offer_says(visitor: HttpBrowser) -> None:
    generative = await found(visitor, recherche="IA générative", passees="oui")
    assert generative
    assert await found(visitor, recherche="ChatGPT", passees="oui") == generative
    webinars = await found(visitor, format="webinar", passees="oui")
    assert await found(visitor, recherche="visioconférence", passees="oui") >= webinars


async def test_a_department_finds_what_its_delegation_offers_and_a_town_what_is_near(
    visitor: HttpBrowser,
) -> None:
    for department, delegation in (
        ("Loire Atlantique", "pays-de-la-loire"),
        ("Ille-et-Vilaine", "bretagne"),
        ("côte d’or", "bourgogne-franche-comte"),
        ("Bouches-du-Rhône", "provence-alpes-cote-d-azur"),
        ("Gironde", "nouvelle-aquitaine"),
    ):
        offered = await found(visitor, delegation=delegation, passees="oui")
        assert offered
        assert await found(visitor, recherche=department, passees="oui") >= offered
    near = await found(visitor, recherche="près de Rennes", passees="oui")
    assert near == await found(visitor, recherche="Rennes", passees="oui") != set()


async def test_a_word_that_is_nearly_right_finds_what_was_meant_and_the_page_says_so(
    visitor: HttpBrowser,
) -> None:
    page = await read(visitor, "/sessions?recherche=Mamoudsou")
    assert str(MAMOUDZOU) in session_links(page)
    assert "Rien ne correspond à « Mamoudsou »" in page.text
    assert "« mamoudzou »" in page.text
    right = await read(visitor, "/sessions?recherche=mamoudzou")
    assert "Rien ne correspond" not in right.text
    # A word that is right finds nothing only because of another filter: nothing else is meant.
    elsewhere = await read(visitor, "/sessions?recherche=rennes&delegation=corse")
    assert "Rien ne correspond" not in elsewhere.text


async def test_nearly_right_words_do_not_hide_the_offers_and_resources_that_have_them(
    visitor: HttpBrowser,
) -> None:
    page = await read(visitor, "/sessions?recherche=dossier")
    assert "Rien ne correspond" not in page.text
    assert "https://ressources.example.org/dossiers/usage-responsable" in page.links
