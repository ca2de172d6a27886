"""A delegation's pages in a browser: a session lives by clicks.

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


def test_who_logs_out_is_asked_to_log_in_again(page: Page) -> None:
    log_in(page)
    page.locator(".account summary").click()
    page.get_by_role("button", name="Se déconnecter").click()
    expect(page).to_have_url(re.compile("/gestion/connexion$"))


def test_who_mistypes_a_token_is_told_beside_the_field(page: Page) -> None:
    page.goto("/gestion/connexion")
    page.get_by_label("Jeton d’accès").fill("presque")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Jeton d’accès")).to_have_accessible_description(re.compile("n’ouvre pas"))


def test_a_session_lives_from_draft_to_cancellation(organiser: Page) -> None:
    organiser.get_by_role("link", name="Nouvelle session").first.click()
    organiser.get_by_role("button", name="Enregistrer le brouillon").click()
    expect(organiser.get_by_role("alert")).to_contain_text("Rien n’a été enregistré")
    expect(organiser.get_by_role("alert")).to_be_focused()
    expect(organiser.get_by_label("Offre")).to_have_accessible_description(
        "Obligatoire. Ce champ est obligatoire."
    )
    organiser.get_by_role("link", name="Début : Ce champ est obligatoire.").click()
    expect(organiser.get_by_label("Début", exact=True)).to_be_in_viewport()

    start = datetime.now(UTC) + timedelta(days=60)
    organiser.get_by_label("Offre").select_option(value="ia-et-territoires")
    organiser.get_by_label("Titre", exact=True).fill("Rencontre de Lannion")
    organiser.get_by_label("Début", exact=True).fill(start.strftime("%Y-%m-%dT09:30"))
    organiser.get_by_label("Fin", exact=True).fill(start.strftime("%Y-%m-%dT17:00"))
    opening = organiser.get_by_label("Ouverture des inscriptions")
    opening.fill((start - timedelta(days=70)).strftime("%Y-%m-%dT09:00"))
    organiser.get_by_label("Lieu", exact=True).fill("Lannion")
    organiser.get_by_label("Nombre de places").fill("25")
    expect(organiser.get_by_role("group", name="Séances")).to_be_hidden()
    organiser.locator("summary", has_text="Séances").click()
    organiser.get_by_role("button", name="Ajouter une ligne de séance").click()
    expect(organiser.get_by_role("group", name="Séances")).to_be_in_viewport()
    third = organiser.get_by_role("group", name="Séance 3")
    third.get_by_label("Titre de la séance").fill("Après-midi")
    third.get_by_label("Début de la séance").fill(start.strftime("%Y-%m-%dT08:00"))
    third.get_by_label("Fin de la séance").fill(start.strftime("%Y-%m-%dT17:00"))
    third.get_by_label("Titre de la séance").press("Enter")  # saves, and takes no row away
    first = organiser.get_by_role("group", name="Séance 1")
    expect(first.get_by_label("Début de la séance")).to_have_accessible_description(
        re.compile("entre le début")
    )
    expect(organiser.get_by_label("Lieu", exact=True)).to_have_value("Lannion")
    looks_right(organiser)
    first.get_by_label("Début de la séance").fill(start.strftime("%Y-%m-%dT13:30"))
    organiser.get_by_role("button", name="Enregistrer le brouillon").click()
    expect(organiser.get_by_role("status")).to_contain_text("Le brouillon est enregistré")

    organiser.get_by_role("button", name="Publier").click()
    organiser.get_by_role("button", name="Publier la session").click()
    expect(organiser.get_by_role("status")).to_contain_text("La session est publiée")
    organiser.get_by_label("Nombre de places").fill("20")
    organiser.get_by_role("button", name="Enregistrer les modifications").click()
    expect(organiser.get_by_role("status")).to_contain_text("La session est modifiée")
    address = organiser.url
    organiser.get_by_role("link", name="Voir la page publique").click()
    expect(organiser.locator(".panel .state")).to_have_text(re.compile(r"20\splaces restantes"))

    organiser.goto(address)
    organiser.get_by_role("link", name="Annuler la session").click()
    organiser.get_by_role("button", name="Annuler la session").click()
    expect(organiser.get_by_role("status")).to_contain_text("La session est annulée")


def test_the_history_of_a_session_tells_each_change(organiser: Page) -> None:
    organiser.locator("tbody th a").last.click()
    organiser.get_by_label("Intervenantes et intervenants").fill("Une juriste\nUn élu")
    organiser.get_by_role("button", name="Enregistrer les modifications").click()
    organiser.get_by_role("link", name="Historique des réglages").click()
    expect(organiser.get_by_role("heading", name="Historique")).to_be_visible()
    expect(organiser.get_by_role("definition").filter(has_text="Une juriste").first).to_be_visible()
    organiser.get_by_text("Ce qui a été enregistré").click()


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


def test_what_is_final_is_not_sent_after_the_log_in_had_ended(organiser: Page) -> None:
    organiser.locator("main a", has_text="Rennes").first.click()
    organiser.goto(f"{organiser.url}/annuler")
    address = organiser.url
    organiser.get_by_label("Motif, facultatif").fill("Trop peu d’inscrits.")
    organiser.context.clear_cookies()
    organiser.get_by_role("button", name="Annuler la session").click()
    expect(organiser.get_by_role("main")).to_contain_text("pour que vous puissiez le copier")
    looks_right(organiser)
    organiser.get_by_label("Jeton d’accès").fill(TOKEN)
    organiser.keyboard.press("Enter")
    expect(organiser.get_by_label("Ce que vous aviez saisi")).to_have_value(
        "Motif\u00a0: Trop peu d’inscrits."
    )
    expect(organiser.get_by_role("main").get_by_role("button")).to_have_count(0)
    looks_right(organiser)
    organiser.get_by_role("link", name="Revenir à la page").click()
    expect(organiser).to_have_url(address)
    expect(organiser.get_by_role("button", name="Annuler la session")).to_be_visible()


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


def test_who_cancels_is_told_for_whom_the_reason_is(organiser: Page) -> None:
    organiser.locator("main a", has_text="Rennes").first.click()
    organiser.get_by_role("link", name="Annuler la session").click()
    reason = organiser.get_by_label("Motif, facultatif")
    expect(reason).to_have_accessible_description(re.compile("n’y nommez personne"))
    reason.fill("La salle n’est plus disponible. " * 20)
    organiser.get_by_role("button", name="Annuler la session").click()
    expect(reason).to_have_accessible_description(re.compile("au plus 500 caractères"))


def test_the_trail_leads_back_to_the_list_as_it_was_filtered(organiser: Page) -> None:
    organiser.goto("/gestion/offres?format=mooc&fait=rien")
    organiser.get_by_role("link", name="Les fondamentaux de l’IA").click()
    trail = organiser.get_by_role("navigation", name="Fil d’Ariane").get_by_role("link", name="Offres")
    trail.click()
    expect(organiser).to_have_url(re.compile(r"/gestion/offres\?format=mooc$"))
    organiser.goto("/gestion/offres/mooc-fondamentaux-ia")
    expect(trail).to_have_attribute("href", "/gestion/offres")


def test_an_authority_is_answered_by_clicks(organiser: Page) -> None:
    organiser.get_by_role("link", name="Demandes").click()
    organiser.get_by_role("link", name="Ville de Rennes").click()
    organiser.get_by_role("link", name="Faire une proposition").click()
    organiser.get_by_label("Votre nom").fill("Paul Petit")
    organiser.get_by_role("button", name="Envoyer la réponse").click()
    expect(organiser.get_by_label("Votre courriel")).to_have_accessible_description(
        re.compile("adresse électronique")
    )
    organiser.get_by_label("Votre courriel").fill("paul.petit@delegation.example")
    organiser.get_by_role("button", name="Envoyer la réponse").click()
    expect(organiser.get_by_role("status")).to_contain_text("La réponse est enregistrée")
    expect(organiser.get_by_role("group", name="Session convenue")).to_be_visible()
    looks_right(organiser)
    organiser.get_by_role("navigation", name="Fil d’Ariane").get_by_role("link").click()
    organiser.get_by_role("link", name="Proposition faite : 1").click()
    made = organiser.get_by_role("region", name="Proposition faite")
    expect(made).to_be_in_viewport()
    expect(made).to_contain_text("Suivie par Paul Petit")
    made.get_by_role("button", name="Convenir d’une session").click()
    expect(organiser.get_by_role("heading", name="Convenir d’une session")).to_be_visible()
    organiser.goto("/gestion/demandes/liste?etat=proposed")
    expect(organiser.get_by_role("link", name="Ville de Rennes")).to_be_visible()


def test_a_file_with_faults_is_told_line_by_line(organiser: Page) -> None:
    organiser.get_by_role("link", name="Importer un fichier").click()
    content = b"Offre;Debut;Fin;Ouverture des inscriptions\nrien;hier;demain;jamais\n"
    organiser.get_by_label("Fichier Excel (.xlsx) ou CSV").set_input_files(
        {"name": "sessions.csv", "mimeType": "text/csv", "buffer": content}
    )
    organiser.get_by_role("button", name="Envoyer le fichier").click()
    expect(organiser.get_by_role("alert")).to_contain_text("4 erreurs sont à corriger")
    expect(organiser.get_by_role("row")).to_have_count(5)


def test_a_draft_is_deleted_and_a_replay_corrected_by_clicks(organiser: Page) -> None:
    now = datetime.now(UTC)
    drafted(organiser, "Un essai", now - timedelta(hours=3))
    organiser.get_by_role("link", name="Supprimer le brouillon").click()
    organiser.get_by_role("button", name="Supprimer le brouillon").click()
    expect(organiser.get_by_role("status")).to_contain_text("Le brouillon est supprimé")
    expect(organiser.get_by_role("rowheader").filter(has_text="Un essai")).to_have_count(0)

    drafted(organiser, "Rencontre de Vannes", now - timedelta(hours=3))
    organiser.get_by_role("button", name="Publier").click()
    organiser.get_by_role("button", name="Publier la session").click()
    organiser.get_by_label("Titre du replay").fill("Replay : Vanes")
    organiser.get_by_label("Adresse du replay").fill("https://replays.example.org/vannes")
    organiser.get_by_role("button", name="Mettre en ligne le replay").click()
    expect(organiser.get_by_role("status")).to_contain_text("Le replay est en ligne")
    looks_right(organiser)
    organiser.get_by_role("link", name="corriger").click()
    organiser.get_by_label("Titre", exact=True).fill("")
    organiser.get_by_role("button", name="Enregistrer les corrections").click()
    expect(organiser.get_by_label("Titre", exact=True)).to_have_accessible_description(
        re.compile("caractères")
    )
    organiser.get_by_label("Titre", exact=True).fill("Replay : Vannes")
    organiser.get_by_role("button", name="Enregistrer les corrections").click()
    expect(organiser.get_by_role("status")).to_contain_text("La ressource est corrigée")
    organiser.get_by_role("navigation", name="Fil d’Ariane").get_by_role("link").click()
    expect(organiser.get_by_role("link", name="Replay : Vannes")).to_be_visible()


def test_a_dossier_is_put_online_by_clicks(organiser: Page) -> None:
    organiser.get_by_role("link", name="Ressources").click()
    organiser.get_by_role("link", name="Nouvelle ressource").click()
    organiser.get_by_role("button", name="Mettre en ligne").click()
    expect(organiser.get_by_role("alert")).to_be_focused()
    expect(organiser.get_by_label("Nature")).to_have_accessible_description(
        "Obligatoire. Choisissez une nature."
    )
    organiser.get_by_label("Nature").select_option(label="Dossier documentaire")
    organiser.get_by_label("Titre", exact=True).fill("L’IA à l’école")
    organiser.get_by_label("Adresse", exact=True).fill("https://ressources.example.org/ecole")
    organiser.get_by_role("group", name="Thèmes").get_by_role("checkbox").first.check()
    organiser.get_by_role("button", name="Mettre en ligne").click()
    expect(organiser.get_by_role("status")).to_contain_text("La ressource est en ligne")
    expect(organiser.get_by_role("group", name="Thèmes").get_by_role("checkbox").first).to_be_checked()
    organiser.get_by_role("navigation", name="Fil d’Ariane").get_by_role("link").click()
    organiser.get_by_role("link", name="Dossiers documentaires").click()
    organiser.get_by_role("link", name="L’IA à l’école").click()
    organiser.get_by_role("link", name="Retirer la ressource").click()
    dialog = organiser.get_by_role("dialog", name="Retirer la ressource")
    expect(dialog).to_contain_text("L’IA à l’école")
    dialog.get_by_role("link", name="Garder la ressource").click()
    expect(dialog).to_have_count(0)
    organiser.goto(f"{organiser.url.partition('?')[0]}/retirer")  # as without a script
    organiser.locator("main input[name=version]").evaluate("field => { field.value = '0' }")
    organiser.get_by_role("button", name="Retirer la ressource").click()
    expect(organiser.get_by_role("alert")).to_contain_text("a changé depuis que vous avez ouvert la page")
    looks_right(organiser)
    organiser.get_by_role("button", name="Retirer la ressource").click()
    expect(organiser.get_by_role("status")).to_contain_text("La ressource est retirée")
    organiser.goto("/gestion/ressources")
    expect(
        organiser.get_by_role("row").filter(has_text="https://ressources.example.org/ecole")
    ).to_contain_text("Retirée")
    looks_right(organiser)
    organiser.goto("/ressources")
    expect(organiser.get_by_text("L’IA à l’école")).to_have_count(0)
    organiser.goto("/gestion")


def test_a_published_session_has_other_seats_is_postponed_and_copied(organiser: Page) -> None:
    start = datetime.now(UTC) + timedelta(days=60)
    drafted(organiser, "Rencontre de Concarneau", start)
    organiser.get_by_role("button", name="Publier").click()
    organiser.get_by_role("button", name="Publier la session").click()
    expect(organiser.get_by_role("status")).to_contain_text("La session est publiée")
    address = organiser.url.partition("?")[0]
    organiser.get_by_role("link", name="Changer le nombre de places").click()
    organiser.get_by_label("Sans limite de places").uncheck()
    organiser.get_by_label("Nombre de places").fill("18")
    organiser.get_by_role("button", name="Voir les conséquences").click()
    expect(organiser.get_by_role("heading", name="Conséquences")).to_be_visible()
    organiser.get_by_role("button", name=re.compile("^Passer à 18")).click()
    expect(organiser.get_by_role("status")).to_contain_text("La session est modifiée")
    expect(organiser.get_by_label("Nombre de places")).to_have_value("18")
    organiser.get_by_role("link", name="Reporter").click()
    later = (start + timedelta(days=7)).strftime("%Y-%m-%dT%H:%M")
    organiser.get_by_label("Nouveau début").fill(later)
    organiser.get_by_role("button", name="Voir les conséquences").click()
    organiser.get_by_role("button", name="Reporter ainsi").click()
    expect(organiser.get_by_role("status")).to_contain_text("La session est modifiée")
    expect(organiser.get_by_label("Début", exact=True)).to_have_value(later)
    organiser.get_by_label("Début de la copie").fill((start + timedelta(days=90)).strftime("%Y-%m-%dT09:30"))
    organiser.get_by_role("button", name="Créer un brouillon").click()
    expect(organiser.get_by_role("status")).to_contain_text("La copie est enregistrée comme brouillon")
    assert organiser.url.partition("?")[0] != address
    expect(organiser.get_by_label("Nombre de places")).to_have_value("18")


def drafted(organiser: Page, title: str, start: datetime) -> None:
    """A draft of a day, by its form."""
    organiser.get_by_role("link", name="Nouvelle session").first.click()
    organiser.get_by_label("Offre").select_option(value="ia-et-territoires")
    organiser.get_by_label("Titre", exact=True).fill(title)
    for label, day in (("Début", 0), ("Fin", 1), ("Ouverture des inscriptions", -30)):
        moment = (start + timedelta(days=day)).strftime("%Y-%m-%dT%H:%M")
        organiser.get_by_label(label, exact=True).fill(moment)
    organiser.get_by_label("Lieu", exact=True).fill("Vannes")
    organiser.get_by_role("button", name="Enregistrer le brouillon").click()
    expect(organiser.get_by_role("status")).to_contain_text("Le brouillon est enregistré")
