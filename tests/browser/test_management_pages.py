"""A delegation's pages in a browser: what scripts and folds add to a form, a dialog and a log-in.

axe-core looks at what test_every_page does not come to.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, Page, StorageState, expect

from tests.browser.conftest import ServedCatalogue, new_phone, new_tab, violations
from tests.pages.served_catalogue import TOKEN

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def log_in_kept(chromium: Browser, served: ServedCatalogue) -> StorageState:
    """What a browser keeps of somebody of Bretagne who has logged in."""
    with new_tab(chromium, base_url=served.url) as page:
        log_in(page)
        return page.context.storage_state()


@pytest.fixture
def organiser(chromium: Browser, served: ServedCatalogue, log_in_kept: StorageState) -> Iterator[Page]:
    """A tab of somebody of Bretagne who is logged in."""
    with new_phone(chromium, served.url, storage_state=log_in_kept) as tab:
        tab.goto("/gestion")
        yield tab


def log_in(page: Page) -> None:
    page.goto("/gestion")
    page.get_by_label("Jeton d’accès").fill(TOKEN)
    page.get_by_role("button", name="Se connecter").click()
    expect(page.get_by_role("heading", name="Sessions · Bretagne")).to_be_visible()


def looks_right(page: Page) -> None:
    assert violations(page) == []
    width = page.viewport_size["width"] if page.viewport_size else 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_session_is_made_in_five_steps_and_published(organiser: Page) -> None:
    """Seven fields and eight clicks: the rest is as the offer says."""
    organiser.get_by_role("link", name="Nouvelle session").first.click()
    organiser.get_by_role("button", name="Continuer : quand").click()
    expect(organiser.get_by_role("alert")).to_be_focused()
    expect(organiser.get_by_label("Offre")).to_have_accessible_description(
        "Obligatoire. Ce champ est obligatoire."
    )
    organiser.get_by_label("Offre").select_option(value="ia-et-territoires")
    organiser.get_by_role("button", name="Continuer : quand").click()

    start = datetime.now(UTC) + timedelta(days=60)
    first = organiser.get_by_role("group", name="Séance 1")
    first.get_by_label("Début").fill(start.strftime("%Y-%m-%dT09:30"))
    first.get_by_label("Heure de fin").fill("08:00")
    first.get_by_label("Heure de fin").press("Enter")  # goes on, and takes no row away
    too_early = re.compile("une fin est avant son début")
    expect(first.get_by_label("Heure de fin")).to_have_accessible_description(too_early)
    organiser.get_by_role("link", name=re.compile("Séance 1, fin")).click()
    expect(first.get_by_label("Heure de fin")).to_be_in_viewport()
    looks_right(organiser)
    first.get_by_label("Heure de fin").fill("17:00")
    organiser.get_by_role("button", name="Ajouter une séance").click()
    expect(organiser.get_by_role("group", name="Séance 2")).to_be_visible()
    first.get_by_label("Heure de fin").press("Enter")

    organiser.get_by_label("Lieu", exact=True).fill("Mairie")
    organiser.get_by_label("Code postal").fill("22300")
    organiser.get_by_label("Commune").fill("Lannion")
    organiser.get_by_label("Commune").press("Enter")
    expect(organiser.get_by_role("complementary", name="Aperçu")).to_contain_text("Lannion")
    organiser.locator("summary", has_text="sans limite").click()
    organiser.get_by_label("Nombre de places").fill("25")
    organiser.get_by_label("Nombre de places").press("Enter")
    expect(organiser.get_by_role("complementary", name="Aperçu")).to_contain_text("25 places")
    looks_right(organiser)
    organiser.get_by_role("button", name="Vérifier et publier").click()
    organiser.get_by_role("button", name="Publier la session").click()
    expect(organiser.get_by_role("status")).to_contain_text("La session est publiée")
    link = organiser.get_by_label("Lien à partager")
    organiser.context.grant_permissions(["clipboard-read", "clipboard-write"])
    organiser.get_by_role("button", name="Copier").click()
    expect(organiser.get_by_role("button", name="Copié")).to_be_visible()
    assert organiser.evaluate("navigator.clipboard.readText()") == link.input_value()
    looks_right(organiser)
    organiser.goto(f"/sessions/{link.input_value().rpartition('/')[2]}")
    expect(organiser.get_by_role("heading", name="Lannion")).to_be_visible()


def test_a_page_says_that_its_log_in_is_about_to_end(organiser: Page) -> None:
    organiser.goto("/gestion/sessions/nouvelle")
    title = organiser.get_by_label("Titre", exact=True)
    title.fill("L’IA à Rennes")
    notice = organiser.locator(".log-in-ending")
    for again in (False, True):
        expect(notice).to_be_hidden()
        organiser.evaluate("document.getAnimations().find((it) => it.animationName === 'seen').finish()")
        expect(notice).to_be_visible()
        if again:
            looks_right(organiser)
        organiser.get_by_role("link", name="Prolonger ma connexion").click()
    expect(notice).to_be_hidden()
    expect(title).to_have_value("L’IA à Rennes")


def test_who_stays_too_late_is_told_that_the_log_in_has_ended(organiser: Page) -> None:
    organiser.evaluate("document.getAnimations().find((it) => it.animationName === 'seen').finish()")
    notice = organiser.locator(".log-in-ending")
    organiser.context.set_offline(True)
    organiser.get_by_role("link", name="Prolonger ma connexion").click()
    expect(notice.get_by_role("link", name="Réessayer")).to_be_visible()
    organiser.context.set_offline(False)
    organiser.context.clear_cookies()
    notice.get_by_role("link", name="Réessayer").click()
    expect(notice).to_contain_text("Votre connexion a pris fin.")
    expect(notice.get_by_role("link")).to_have_count(1)
    looks_right(organiser)
    notice.get_by_role("link", name="page de connexion").click()
    organiser.get_by_label("Jeton d’accès").fill(TOKEN)
    organiser.keyboard.press("Enter")
    expect(organiser.get_by_role("heading", name="Sessions · Bretagne")).to_be_visible()


def test_what_is_final_is_asked_in_a_dialog_and_on_its_page(organiser: Page) -> None:
    organiser.locator("main a", has_text="Rennes").first.click()
    address = organiser.url
    link = organiser.get_by_role("link", name="Annuler la session")
    link.click()
    dialog = organiser.get_by_role("dialog", name="Annuler la session")
    expect(dialog.get_by_role("heading")).to_be_focused()
    expect(dialog.get_by_label("Motif, facultatif")).to_be_visible()
    looks_right(organiser)
    dialog.get_by_role("link", name="Garder la session").click()
    expect(dialog).to_have_count(0)
    link.click()
    expect(dialog).to_be_visible()
    organiser.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(organiser).to_have_url(address)
    organiser.goto(f"{address}/annuler")
    expect(organiser.get_by_role("heading", name="Annuler la session")).to_be_visible()


def test_the_trail_leads_back_to_the_list_as_it_was_filtered(organiser: Page) -> None:
    organiser.goto("/gestion/offres?format=mooc&fait=rien")
    organiser.get_by_role("link", name="Les fondamentaux de l’IA").click()
    trail = organiser.get_by_role("navigation", name="Fil d’Ariane").get_by_role("link", name="Offres")
    trail.click()
    expect(organiser).to_have_url(re.compile(r"/gestion/offres\?format=mooc$"))
    organiser.goto("/gestion/offres/mooc-fondamentaux-ia")
    expect(trail).to_have_attribute("href", "/gestion/offres")
