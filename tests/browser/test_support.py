"""What support does in a real Chromium: for a person, and with what could not be handled."""

import re

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from services.notifier.pages.mail_log import INCIDENTS
from shared.web.links import OPERATIONS
from tests.browser import served_notifier as notifier
from tests.browser.conftest import new_tab
from tests.browser.served_notifier import LOG, ServedNotifier
from tests.browser.test_every_page import log_in

pytestmark = pytest.mark.browser


def find(page: Page, person: str) -> None:
    page.goto(f"{LOG}/personnes")
    page.get_by_label("Personne", exact=True).fill(person)
    page.get_by_label("Motif de la consultation").fill("demande 4712")
    page.get_by_role("button", name="Chercher").click()


def bottom(part: Locator) -> float:
    box = part.bounding_box()
    assert box is not None
    return box["y"] + box["height"]


def test_the_button_of_a_search_stands_on_the_line_of_its_fields(
    chromium: Browser, served_notifier: ServedNotifier
) -> None:
    with new_tab(chromium, base_url=served_notifier.url, viewport={"width": 1280, "height": 900}) as page:
        for area, path in ((LOG, f"{LOG}/chiffres"), (OPERATIONS["notifier"], INCIDENTS)):
            log_in(page, area, notifier.ADMIN_TOKEN)
            page.goto(path)
            bar = page.get_by_role("search")
            field = bar.locator("select, input:not([type=hidden])").first
            assert abs(bottom(bar.get_by_role("button")) - bottom(field)) <= 2


def test_a_person_is_found_their_letter_read_and_their_address_corrected(
    chromium: Browser, served_notifier: ServedNotifier
) -> None:
    with new_tab(chromium, base_url=served_notifier.url) as page:
        log_in(page, LOG, notifier.TOKEN)
        find(page, "yann@ville-exemple.fr")
        expect(page.get_by_role("heading", name="Yann Durand", level=1)).to_be_visible()
        page.get_by_role("link", name="Courriel : Votre inscription est confirmée").first.click()
        expect(page.locator("pre")).to_contain_text("Bonjour Yann")
        page.get_by_role("button", name="Voir cette personne, corriger son adresse").click()
        page.get_by_label("Nouvelle adresse").fill("yann.durand@ville-exemple.fr")
        page.get_by_label("La même adresse, encore une fois").fill("yann.durand@ville-exemple.fr")
        page.get_by_role("button", name="Corriger l’adresse").click()
        expect(page.get_by_role("status")).to_contain_text("La correction est demandée à tous les services.")
        page.goto(f"{LOG}/chiffres")
        page.get_by_label("Offre", exact=True).select_option(value="ia-et-territoires")
        page.get_by_role("button", name="Filtrer").click()
        with page.expect_download() as found:
            page.get_by_role("link", name="Télécharger ces chiffres (CSV)").click()
        assert "ia-et-territoires" in found.value.path().read_text("utf-8-sig")


def test_what_could_not_be_handled_is_handled_again_or_given_up(
    chromium: Browser, served_notifier: ServedNotifier
) -> None:
    with new_tab(chromium, base_url=served_notifier.url) as page:
        log_in(page, "/courriels/exploitation", notifier.TOKEN)
        page.goto("/courriels/exploitation/incidents")
        waiting = page.get_by_role("link", name=re.compile("Le service a échoué"))
        expect(waiting).to_have_count(2)
        waiting.first.click()
        page.get_by_role("button", name="Reprendre").click()
        expect(page.locator(".timeline")).to_contain_text("Repris")
        page.get_by_role("navigation", name="Fil d’Ariane").get_by_role("link", name="Incidents").click()
        expect(waiting).to_have_count(1)
        waiting.click()
        page.get_by_label("Pourquoi rien n’est perdu").fill("La personne a écrit de nouveau")
        page.get_by_role("button", name="Abandonner").click()
        expect(page.locator(".timeline")).to_contain_text("La personne a écrit de nouveau")
        page.goto("/courriels/exploitation/incidents")
        expect(waiting).to_have_count(0)
