"""Offers, series and templates in a browser: they are made by clicks.

axe-core looks at what test_every_page does not come to.
"""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import EVERYWHERE, TOKEN
from tests.browser.test_management_pages import looks_right

pytestmark = pytest.mark.browser

START = datetime.now(UTC) + timedelta(days=60)


def log_in(page: Page, token: str) -> None:
    page.goto("/gestion")
    page.get_by_label("Jeton d’accès").fill(token)
    page.get_by_role("button", name="Se connecter").click()
    expect(page).to_have_url(re.compile("/gestion$"))


def test_an_offer_is_made_changed_and_read_in_its_history(page: Page) -> None:
    log_in(page, EVERYWHERE)
    page.get_by_role("link", name="Offres").click()
    page.get_by_role("link", name="Nouvelle offre").click()
    page.get_by_label("Jours entre la clôture").fill("400")
    page.get_by_role("button", name="Enregistrer l’offre").click()
    expect(page.get_by_role("alert")).to_be_focused()
    expect(page.get_by_label("Titre", exact=True)).to_have_accessible_description(
        "Obligatoire. Ce champ est obligatoire."
    )
    page.get_by_label("Titre", exact=True).fill("L’IA et les finances locales")
    page.get_by_label("Format").select_option(value="webinar")
    page.get_by_label("Présentation").fill("Une heure, des exemples de communes.")
    page.get_by_label("Enjeux de l’intelligence artificielle").check()
    page.get_by_label("Jours entre la clôture").fill("2")
    page.get_by_role("button", name="Enregistrer l’offre").click()
    expect(page.get_by_role("status")).to_contain_text("L’offre est enregistrée")
    page.get_by_label("Nombre de places").fill("200")
    page.get_by_role("button", name="Enregistrer les modifications").click()
    expect(page.get_by_role("status")).to_contain_text("L’offre est modifiée")
    page.get_by_role("link", name="Historique").click()
    expect(page.get_by_text("sans limite → ; après : 200")).to_have_count(1)


def test_a_delegation_reads_an_offer_and_begins_a_session_of_it(page: Page) -> None:
    log_in(page, TOKEN)
    page.goto("/gestion/offres/ia-et-territoires")
    page.get_by_role("link", name="Nouvelle session de cette offre").click()
    expect(page.get_by_label("Offre")).to_have_value("ia-et-territoires")


def test_a_series_is_filled_in_row_by_row_seen_and_made(page: Page) -> None:
    log_in(page, TOKEN)
    page.get_by_role("link", name="Nouvelle session").first.click()
    page.get_by_role("link", name="Créez une série").click()
    page.get_by_label("Offre").select_option(value="ia-et-territoires")
    page.get_by_label("Titre", exact=True).fill("L’IA à {ville}")
    page.get_by_label("Début", exact=True).fill(START.strftime("%Y-%m-%dT09:30"))
    page.get_by_label("Fin", exact=True).fill(START.strftime("%Y-%m-%dT17:00"))
    opening = page.get_by_label("Ouverture des inscriptions")
    opening.fill((START - timedelta(days=30)).strftime("%Y-%m-%dT09:00"))
    page.get_by_role("button", name="Ajouter une ligne", exact=True).click()
    towns = ("Saint-Brieuc", "Vitré", "Redon", "Auray")
    for number, town in enumerate(towns, start=1):
        row = page.get_by_role("group", name=f"Ville {number}")
        row.get_by_label("Ville", exact=True).fill(town)
        row.get_by_label("Lieu dans la ville").fill(f"Mairie de {town}")
    last = page.get_by_role("group", name="Ville 4")
    last.get_by_label("Début dans la ville").fill("2020-01-01T09:30")
    page.get_by_label("Publier les sessions aussitôt").check()
    last.get_by_label("Ville", exact=True).press("Enter")  # shows what would be made, and makes nothing
    last = page.get_by_role("group", name="Ville 4")
    expect(last.get_by_label("Début dans la ville")).to_have_accessible_description(
        re.compile("déjà|terminée|suivent")
    )
    looks_right(page)
    last.get_by_label("Début dans la ville").fill("")
    page.get_by_role("button", name="Voir ce qui serait créé").last.click()
    expect(page.get_by_role("region", name="Sessions de la série").get_by_role("row")).to_have_count(5)
    page.get_by_role("button", name="Créer 4 sessions").click()
    expect(page.get_by_role("status")).to_contain_text(re.compile(r"4\ssessions sont publiées"))
    expect(page.get_by_role("rowheader").filter(has_text="L’IA à Auray")).to_be_visible()


def test_a_session_becomes_a_template_that_fills_the_form(page: Page) -> None:
    log_in(page, TOKEN)
    page.locator("tbody th a").first.click()
    page.get_by_label("Nom du modèle").fill("Journée type")
    page.get_by_role("button", name="Enregistrer le nom").click()
    expect(page.get_by_role("status")).to_contain_text("La session est un modèle")
    page.get_by_role("link", name="Nouvelle session").first.click()
    page.get_by_label("Partir d’un modèle").select_option(label="Journée type")
    page.get_by_label("Nouveau début").fill(START.strftime("%Y-%m-%dT10:30"))
    looks_right(page)
    page.get_by_role("button", name="Remplir le formulaire").click()
    expect(page.get_by_label("Début", exact=True)).to_have_value(START.strftime("%Y-%m-%dT10:30"))
    expect(page.get_by_label("Offre")).not_to_have_value("")
