"""Every page of every service, in each state that people meet: nothing is wrong, and its title is its own.

One table of states for each service. A state is where one goes and what one does there; inspection.py says
what is looked at, docs/accessibility.md why.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, FilePayload, Page, expect

from shared.web.links import ARRIVAL, DELEGATION_FIGURES, Purpose
from tests.browser import served_notifier as notifier
from tests.browser.conftest import EVERYWHERE, TOKEN, new_tab
from tests.browser.inspection import faults
from tests.browser.served_enrolment import ADMIN_TOKEN, ServedEnrolment
from tests.browser.served_notifier import ServedNotifier
from tests.browser.served_portal import SIRET, ServedPortal
from tests.browser.test_management_pages import drafted
from tests.browser.test_public_pages import PAGES
from tests.support.page_weight import too_heavy
from tests.unit.local.portal.test_pages import SESSION

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

Step = Callable[[Page], None]
States = Mapping[str, tuple[str | None, list[Step]]]
"""By what is seen: where to go (None: on from the state before), and what to do there."""


def press(name: str, role: Any = "button") -> Step:
    return lambda page: page.get_by_role(role, name=name).first.click()


def press_last(name: str) -> Step:
    """Press the button that one sees, below the one that Enter in a field presses."""
    return lambda page: page.get_by_role("button", name=name).last.click()


def fill(label: str, text: str) -> Step:
    return lambda page: page.get_by_label(label, exact=True).first.fill(text)


def choose(label: str, value: str) -> Step:
    def step(page: Page) -> None:
        page.get_by_label(label, exact=True).first.select_option(value)

    return step


def see(text: str) -> Step:
    return lambda page: expect(page.get_by_text(text).first).to_be_visible()


def unfold(page: Page) -> None:
    page.evaluate("for (const fold of document.querySelectorAll('main details')) fold.open = true")


def log_in(page: Page, path: str, token: str) -> None:
    page.goto(f"{path}/connexion")
    page.get_by_label("Jeton d’accès").fill(token)
    page.keyboard.press("Enter")
    expect(page.locator(".account")).to_be_visible()


def inspect(page: Page, states: States, *, is_compressed: bool = True) -> list[str]:
    """What is wrong in which state. The titles of two addresses differ; what is compressed is light."""
    found, titles = [], dict[str, str]()
    for name, (path, steps) in states.items():
        if path is not None:
            page.goto(path)
        for step in steps:
            step(page)
        found += [f"{name}: {fault}" for fault in faults(page)]
        found += [f"{name}: {fault}" for fault in too_heavy(page) if is_compressed]
        if page.title().startswith("Erreur interne"):
            found.append(f"{name}: the service failed")
        place, title = page.url.split("?")[0].split("#")[0], page.title().removeprefix("Erreur – ")
        # Who made a mistake, or logged in too late, is still at the address of the form.
        is_answer = page.title() != title or page.locator("#jeton").count()
        if not is_answer and titles.setdefault(title, place) != place:
            found.append(f"{name}: the title of another page: {title}")
    return found


def meanwhile(*steps: Step) -> Step:
    """Do this in another tab, as somebody else does while one looks at a page."""

    def step(page: Page) -> None:
        other = page.context.new_page()
        other.goto(page.url)
        for act in steps:
            act(other)
        other.close()

    return step


def within(part: str) -> Step:
    """Go to this part of what is shown, as without a script."""

    def step(page: Page) -> None:
        page.goto(f"{page.url.partition('?')[0]}/{part}")

    return step


def show_again(page: Page) -> None:
    page.goto(page.url.partition("?")[0])


def make_old(page: Page) -> None:
    """Have the forms be of a page that was opened long ago."""
    page.evaluate("for (const field of document.querySelectorAll('[name=version]')) field.value = '0'")


def forget_log_in(page: Page) -> None:
    page.context.clear_cookies()


def choose_sheet(content: str) -> Step:
    file = FilePayload(name="sessions.csv", mimeType="text/csv", buffer=content.encode())
    return lambda page: page.get_by_label("Fichier Excel (.xlsx) ou CSV").set_input_files(file)


def find_postponable(page: Page) -> None:
    """Come to a session that is published and to come."""
    page.goto("/gestion?etat=published&passees=oui")
    for address in page.locator("tbody th a").evaluate_all("links => links.map((link) => link.href)"):
        page.goto(address)
        if page.get_by_role("link", name="Reporter").count():
            return
    pytest.fail("no session to come")


def change_seats(page: Page) -> None:
    page.goto(page.url.replace("/reporter", "/places"))


def come_later(page: Page) -> None:
    """Fill in that it begins two years later."""
    field = page.get_by_label("Nouveau début")
    typed = field.input_value()
    field.fill(f"{int(typed[:4]) + 2}{typed[4:]}")


NOW = datetime.now(UTC)
LATER = NOW + timedelta(days=60)
WRONG_SHEET = "Offre;Titre;Début;Fin;Ouverture des inscriptions\nrien;;hier;demain;jamais\n"
SHEET = f"""Offre;Titre;Début;Fin;Ouverture des inscriptions;Lieu
ia-et-territoires;Rencontre de Crozon;{LATER:%d/%m/%Y} 09:30;{LATER:%d/%m/%Y} 17:00;01/01/2025 09:00;Crozon
"""
MANAGED: States = {
    "log in": ("/gestion/connexion", []),
    "wrong token": (None, [fill("Jeton d’accès", "presque"), press("Se connecter"), see("n’ouvre pas")]),
    "sessions": ("/gestion", [lambda page: log_in(page, "/gestion", TOKEN)]),
    "none found": ("/gestion?etat=cancelled&recherche=zzz", []),
    "log-ins": ("/gestion/connexions", []),
    "new session": ("/gestion/sessions/nouvelle", [unfold]),
    "new session, mistakes": (
        None,
        [press("Enregistrer le brouillon"), see("Rien n’a été enregistré"), unfold],
    ),
    "history": (
        "/gestion?passees=oui",
        [
            lambda page: page.locator("tbody th a").first.click(),
            press("Historique des réglages", "link"),
            unfold,
        ],
    ),
    "postponed": (
        None,
        [
            find_postponable,
            press("Reporter", "link"),
            come_later,
            press("Voir les conséquences"),
            see("Conséquences"),
        ],
    ),
    "another number of seats": (
        None,
        [
            change_seats,
            fill("Nombre de places", "500"),
            lambda page: page.get_by_label("Sans limite de places").uncheck(),
            press("Voir les conséquences"),
            see("Conséquences"),
        ],
    ),
    "another number of seats, changed meanwhile": (
        None,
        [make_old, lambda page: page.locator("[name=confirmer]").click(), see("a changé depuis")],
    ),
    "series": ("/gestion/sessions/serie", [unfold]),
    "series, mistakes": (
        None,
        [press("Voir ce qui serait créé"), see("Rien n’a été enregistré"), unfold],
    ),
    "series, seen before it is made": (
        None,
        [
            choose("Offre", "ia-et-territoires"),
            fill("Titre", "L’IA à {ville}"),
            fill("Début", LATER.strftime("%Y-%m-%dT09:30")),
            fill("Fin", LATER.strftime("%Y-%m-%dT17:00")),
            fill("Ouverture des inscriptions", NOW.strftime("%Y-%m-%dT09:00")),
            fill("Ville", "Ploërmel"),
            fill("Lieu dans la ville", "Mairie de Ploërmel"),
            press("Voir ce qui serait créé"),
            see("Ce qui sera créé"),
            unfold,
        ],
    ),
    "a draft": ("/gestion", [lambda page: drafted(page, "Rencontre de Lorient", LATER), unfold]),
    "a draft, mistakes": (
        None,
        [fill("Titre", ""), press("Enregistrer les modifications"), see("Rien n’a été enregistré"), unfold],
    ),
    "a draft, changed meanwhile": (
        None,
        [show_again, make_old, press("Enregistrer les modifications"), see("a changé depuis"), unfold],
    ),
    "a draft, to be deleted": (None, [show_again, within("supprimer")]),
    "a draft, to be published": (
        None,
        [press("Garder le brouillon", "link"), press("Publier"), see("C’est définitif")],
    ),
    "drafts, to be published": (
        "/gestion?etat=draft&tous=oui",
        [lambda page: page.locator("main button", has_text="Publier").last.click(), see("C’est définitif")],
    ),
    "drafts, published": (None, [press("Publier"), see("publiée")]),
    "published": (
        "/gestion?etat=published&tri=modifiees",
        [lambda page: page.locator("tbody th a").first.click(), unfold],
    ),
    "to be cancelled": (None, [show_again, within("annuler")]),
    "to be cancelled, mistakes": (
        None,
        [
            fill("Motif, facultatif", "La salle manque. " * 40),
            press("Annuler la session"),
            see("au plus 500"),
        ],
    ),
    "cancelled": (
        None,
        [fill("Motif, facultatif", "La salle manque."), press("Annuler la session"), see("est annulée")],
    ),
    "offers": ("/gestion/offres", []),
    "offers, none found": ("/gestion/offres?recherche=zzz", []),
    "an offer": ("/gestion/offres/ia-et-territoires", []),
    "an offer, history": ("/gestion/offres/ia-et-territoires/historique", [unfold]),
    "import": ("/gestion/sessions/importer", []),
    "import, mistakes": (None, [choose_sheet(WRONG_SHEET), press("Envoyer le fichier"), see("à corriger")]),
    "import, tried": (None, [choose_sheet(SHEET), press("Envoyer le fichier"), see("Le fichier est bon")]),
    "requests": ("/gestion/demandes", []),
    "a request": (None, [press("Ville de Rennes", "link")]),
    "a request, mistakes": (None, [press("Envoyer la réponse"), see("Rien n’a été enregistré")]),
    "a request, answered meanwhile": (
        None,
        [
            make_old,
            fill("Votre nom", "Yann Le Goff"),
            fill("Votre courriel", "yann.legoff@cnfpt.example"),
            press("Envoyer la réponse"),
            see("Quelqu’un a répondu depuis"),
        ],
    ),
    "a request, to hand over": (
        "/gestion/demandes",
        [press("Ville de Rennes", "link"), press("La confier à quelqu’un", "link")],
    ),
    "a request, to hand over, mistakes": (
        None,
        [press("Confier la demande"), see("Rien n’a été enregistré")],
    ),
    "requests, listed": ("/gestion/demandes/liste", []),
    "requests, listed, none": ("/gestion/demandes/liste?etat=declined", []),
    "resources": ("/gestion/ressources", []),
    "a new resource": ("/gestion/ressources/nouvelle", []),
    "a new resource, mistakes": (None, [press("Mettre en ligne"), see("Rien n’a été enregistré")]),
    "a resource": (
        None,
        [
            choose("Nature", "dossier"),
            fill("Titre", "L’IA au musée"),
            fill("Adresse", "https://ressources.example.org/musee"),
            press("Mettre en ligne"),
            see("La ressource est en ligne"),
        ],
    ),
    "a resource, mistakes": (
        None,
        [fill("Titre", ""), press("Enregistrer les corrections"), see("Rien n’a été enregistré")],
    ),
    "to be withdrawn": (None, [show_again, within("retirer")]),
    "withdrawn": (None, [press("Retirer la ressource"), see("La ressource est retirée")]),
    "logged in too late": (
        "/gestion/sessions/nouvelle",
        [fill("Titre", "L’IA"), forget_log_in, press("Enregistrer le brouillon"), see("avait pris fin")],
    ),
    "what was typed, after the log-in": (
        None,
        [fill("Jeton d’accès", TOKEN), press("Se connecter"), see("Rien n’a encore été enregistré")],
    ),
    "a new offer": (
        "/gestion/connexion",
        [
            lambda page: log_in(page, "/gestion", EVERYWHERE),
            press("Offres", "link"),
            press("Nouvelle offre", "link"),
        ],
    ),
    "a new offer, mistakes": (None, [press("Enregistrer l’offre"), see("Rien n’a été enregistré"), unfold]),
    "an offer of mine": ("/gestion/offres/ia-et-territoires", [unfold]),
    "an offer of mine, changed meanwhile": (
        None,
        [make_old, press("Enregistrer les modifications"), see("a changé depuis"), unfold],
    ),
    "an offer, to take back": ("/gestion/offres/ia-et-territoires/retirer", []),
    "an offer, in use": (None, [press("Retirer l’offre"), see("une session qui n’est pas terminée")]),
    "an offer, taken back": (
        "/gestion/offres/sur-mesure-transition-numerique/retirer",
        [press("Retirer l’offre"), see("Remettre l’offre")],
    ),
    "a withdrawn page": ("/offres/sur-mesure-transition-numerique", []),
    "an offer, had again": (
        "/gestion/offres/sur-mesure-transition-numerique",
        [press("Remettre l’offre"), see("de nouveau sur les pages publiques")],
    ),
}


def test_every_public_page_of_the_catalogue(page: Page) -> None:
    found = inspect(page, {name: (path, [unfold]) for name, path in PAGES.items()})
    assert not found, "\n".join(found)


def test_every_page_of_the_catalogue_for_organisers(page: Page) -> None:
    found = inspect(page, MANAGED)
    assert not found, "\n".join(found)


MANAGE = "/inscriptions/gestion"
SOMEBODY = "Trouver une personne par son nom, son courriel ou son identifiant"


def open_person(which: int) -> Step:
    return lambda page: page.locator("tbody th a").nth(which).click()


def rank_all(page: Page) -> None:
    buttons = page.get_by_role("button", name="Classer ensuite")
    for left in range(buttons.count(), 0, -1):
        expect(buttons).to_have_count(left)
        buttons.first.click()
    expect(buttons).to_have_count(0)


def rank_two_first(page: Page) -> None:
    for which in (0, 1):
        page.locator(".rank input").nth(which).fill("1")


def save_draft(page: Page) -> None:
    page.get_by_role("button", name="Enregistrer le brouillon").last.click()


def see_others_first(page: Page) -> None:
    """Have somebody else have recorded another attendance of the first person since the page was opened."""
    page.evaluate("document.querySelector('[name^=avant-]').value = 'absent'")
    page.locator("fieldset.segments label").first.click()


def read_code(page: Page) -> None:
    """Go where the code of the first person of a roster leads."""
    person = page.locator("tbody th a").first.get_attribute("href") or ""
    page.goto(f"{ARRIVAL}/{person.rpartition('/')[2]}")


def refuse_taps(page: Page) -> None:
    page.route(
        "**/pointage*",
        lambda route: route.fulfill(status=422) if route.request.method == "POST" else route.fallback(),
    )


def go_offline(page: Page) -> None:
    page.context.set_offline(True)


def go_online(page: Page) -> None:
    page.context.set_offline(False)


def before_a_session(served: ServedEnrolment) -> States:
    at = {name: f"{MANAGE}/sessions/{session_id}" for name, session_id in served.sessions.items()}
    return {
        "today": (MANAGE, []),
        "tasks": (f"{MANAGE}/a-faire", []),
        "tasks, none": (f"{MANAGE}/a-faire?quoi=x", []),
        "the week": (f"{MANAGE}/semaine", []),
        "find a person": (f"{MANAGE}/personnes", []),
        "find a person, found": (
            None,
            [fill(SOMEBODY, "durand"), press("Chercher"), see("Durand Zoé")],
        ),
        "find a person, nobody": (None, [fill(SOMEBODY, "zzz"), press("Chercher"), see("Personne ne")]),
        "log-ins": (f"{MANAGE}/connexions", []),
        "roster": (at["full"], []),
        "roster, long names": (at["long"], []),
        "roster, nobody": (at["empty"], []),
        "roster, nobody found": (
            at["full"],
            [fill("Nom, courriel ou employeur", "zzz"), press("Chercher dans")],
        ),
        "a person": (at["full"], [open_person(0), unfold]),
        "a person, mistakes": (None, [press("Enregistrer le désistement"), see("Rien n’a été enregistré")]),
        "a person, a note": (
            at["full"],
            [
                open_person(0),
                fill("Nouvelle note", "À rappeler"),
                press("Ajouter la note"),
                see("La note est enregistrée"),
                unfold,
            ],
        ),
        "a person, a note taken away": (None, [press("Retirer la note du"), see("Note retirée")]),
        "a person, changed meanwhile": (
            at["full"],
            [
                open_person(0),
                unfold,
                make_old,
                fill("Prénom", "Zoë"),
                press("Enregistrer la correction"),
                see("a changé depuis"),
            ],
        ),
        "a person, a move asks": (
            f"{at['full']}?etat=place",
            [
                open_person(0),
                unfold,
                choose("Nouvelle session", str(served.sessions["empty"])),
                press("Changer de session"),
                see("Quel repas ?"),
            ],
        ),
        "the last person": (at["full"], [open_person(-1), unfold]),
        "a person, an offer": (f"{at['full']}?etat=proposee", [open_person(0), unfold]),
        "a person, an approval": (
            at["approval"],
            [open_person(0), unfold, press("Enregistrer la réponse"), see("Choisissez la réponse.")],
        ),
        "a person who waits": (f"{at['full']}/attente", [open_person(-1), unfold]),
        "several persons": (
            f"{at['full']}?etat=place&tri=nom",
            [press("Choisir toute la page", "link"), press("Enregistrer leur désistement"), see("recevront")],
        ),
        "several persons, moved": (
            None,
            [
                press("Ne rien changer", "link"),
                press("Choisir toute la page", "link"),
                press("Changer de session"),
                see("Nouvelle session"),
            ],
        ),
        "several persons, withdrawn": (
            None,
            [
                press("Ne rien changer", "link"),
                press("Choisir toute la page", "link"),
                press("Enregistrer leur désistement"),
                see("recevront"),
            ],
        ),
        "several persons, done": (
            f"{at['full']}?etat=attente",
            [
                press("Choisir toute la page", "link"),
                press("Changer la priorité"),
                fill("Priorité", "3"),
                fill("Motif", "Décision du comité"),
                press("Changer la priorité de"),
                see("Fait pour"),
            ],
        ),
        "a person, to be enrolled again": (
            f"{at['full']}?etat=fin",
            [open_person(0), press("Inscrire de nouveau", "link"), unfold],
        ),
        "a long person": (at["long"], [open_person(0), unfold]),
        "who waits": (f"{at['full']}/attente", []),
        "who waits, nobody": (f"{at['empty']}/attente", []),
        "by hand": (f"{at['full']}/ajout", [unfold]),
        "by hand, mistakes": (None, [press("Ajouter"), see("Rien n’a été enregistré"), unfold]),
        "candidates": (f"{at['ranking']}/candidatures", []),
        "candidates, mistakes": (
            None,
            [
                lambda page: page.locator(".rank input").first.fill("zéro"),
                save_draft,
                see("Rien n’a été enregistré"),
            ],
        ),
        "candidates, nobody": (f"{at['empty']}/candidatures", []),
        "candidates, tried": (
            f"{at['ranking']}/candidatures",
            [rank_all, press("Enregistrer et voir le résultat"), see("Ce classement donnerait")],
        ),
        "candidates, one rank twice": (
            f"{at['ranking']}/candidatures",
            [rank_two_first, save_draft, see("Rangs donnés plusieurs fois")],
        ),
        "candidates, ranked meanwhile": (
            None,
            [make_old, save_draft, see("a enregistré un autre brouillon")],
        ),
        "agreements": (f"{at['approval']}/candidatures", []),
    }


def choose_ranking(page: Page) -> None:
    """Fill in the sheet of candidates, otherwise than any draft of before, and choose it."""
    heading, *lines = exported(page, "candidatures")
    page.get_by_label("Contenu du fichier").select_option("classement")
    ranked = [f"{rank}{line}" for rank, line in enumerate(reversed(lines), 1)]
    choose_sheet("\n".join([heading, *ranked]))(page)


def choose_attendance(page: Page) -> None:
    """Fill in the sheet of attendance, the last line as nobody can read it, and choose it."""
    heading, *lines, last = exported(page, "presences")
    choose_sheet("\n".join([heading, *(f"absence{line}" for line in lines), f"peut-être{last}"]))(page)


def leave_no_message(page: Page) -> None:
    """Take back the only one: other tests write to the same people."""
    page.get_by_role("button", name="Retirer").click()
    expect(page.get_by_text("Aucun message").first).to_be_visible()
    page.goto(f"{page.url.partition('/messages')[0]}/fichiers")


def exported(page: Page, sheet: str) -> list[str]:
    return page.request.get(f"{page.url.split('?')[0]}/{sheet}.csv").text().splitlines()


def from_its_day_on(served: ServedEnrolment) -> States:
    at = {name: f"{MANAGE}/sessions/{session_id}" for name, session_id in served.sessions.items()}
    return {
        "attendance": (f"{at['past']}/presence", []),
        "attendance, recorded meanwhile": (
            None,
            [see_others_first, press_last("Enregistrer les présences"), see("Entre-temps quelqu’un")],
        ),
        "attendance, long names": (f"{at['long']}/presence", []),
        "attendance, nobody": (f"{at['empty']}/presence", []),
        "check-in": (f"{at['past']}/pointage", []),
        "check-in, one came": (None, [press("Pointer :"), see("est là")]),
        "check-in, undone": (None, [press("Annuler l’arrivée"), see("Pointage : 0 sur 9")]),
        "check-in, without a network": (None, [go_offline, press("Pointer :"), see("1 en attente d’envoi.")]),
        "check-in, sent": (None, [go_online, see("Pointage : 1 sur 9")]),
        "check-in, refused": (
            None,
            [
                press("Annuler l’arrivée"),
                see("Pointage : 0 sur 9"),
                refuse_taps,
                press("Pointer :"),
                see("1 refus."),
            ],
        ),
        "a code": (at["past"], [Page.unroute_all, read_code]),
        "a code, one came": (None, [press("Pointer l’arrivée"), see("Arrivée à")]),
        "a code, undone": (None, [press("Annuler"), see("Pointer l’arrivée")]),
        "check-in, mistake": (
            f"{at['past']}/pointage",
            [unfold, fill("Référence de l’inscription", "K"), press("Pointer")],
        ),
        "check-in, by hand": (f"{at['full']}/pointage", [press("Ajouter une personne", "link"), unfold]),
        "by hand, once it is over": (f"{at['past']}/ajout", []),
        "check-in, long names": (f"{at['long']}/pointage", []),
        "check-in, nobody": (f"{at['empty']}/pointage", []),
        "messages": (f"{at['full']}/messages", []),
        "messages, mistakes": (None, [press("Relire avant l’envoi"), see("Rien n’a été enregistré")]),
        "messages, tried": (
            None,
            [fill("Message", "Au 2e étage."), press("Relire avant l’envoi"), see("Ce message partirait")],
        ),
        "messages, one to leave": (
            f"{at['full']}/messages",
            [
                fill("Message", "Au 2e étage.\n\nApportez de quoi écrire."),
                fill("Envoi", (NOW + timedelta(days=9)).strftime("%Y-%m-%dT10:00")),
                press("Relire avant l’envoi"),
                press("Envoyer à ce moment"),
                see("À venir"),
            ],
        ),
        "files": (None, [leave_no_message]),
        "files, mistake": (None, [press("Voir les changements"), see("Rien n’a été enregistré")]),
        "files, attendance tried": (
            f"{at['past']}/fichiers",
            [choose_attendance, press("Voir les changements"), see("Ces lignes ne changent rien")],
        ),
        "files, a ranking tried": (
            f"{at['ranking']}/fichiers",
            [choose_ranking, press("Voir les changements"), see("Ce classement remplacerait")],
        ),
        "groups": (f"{at['full']}/groupes", []),
        "groups, nobody": (f"{at['empty']}/groupes", []),
        "history": (f"{at['full']}/historique", []),
        "history, nothing": (f"{at['empty']}/historique", []),
        "missing": (f"{MANAGE}/sessions/{SESSION}", []),
        "a certificate": ("/attestations", []),
        "a certificate, mistake": (None, [fill("Code de vérification", "x"), press("Vérifier")]),
        "leaving": (served.withdrawal, []),
        "logged in too late": (
            f"{at['full']}/messages",
            [
                fill("Message", "Au 2e étage."),
                forget_log_in,
                press("Relire avant l’envoi"),
                see("avait pris fin"),
            ],
        ),
        "how it stands": (
            "/inscriptions/exploitation/connexion",
            [lambda page: log_in(page, "/inscriptions/exploitation", ADMIN_TOKEN)],
        ),
        "no incident": ("/inscriptions/exploitation/incidents", []),
    }


@pytest.mark.parametrize("states", [before_a_session, from_its_day_on])
def test_every_page_of_enrolment(
    chromium: Browser, served_enrolment: ServedEnrolment, states: Callable[[ServedEnrolment], States]
) -> None:
    with new_tab(chromium, base_url=served_enrolment.url) as page:
        log_in(page, MANAGE, TOKEN)
        found = inspect(page, states(served_enrolment))
    assert not found, "\n".join(found)


LOG = notifier.LOG


def search(text: str) -> list[Step]:
    return [fill("Personne", text), fill("Motif de la consultation", "demande 4711"), press("Chercher")]


def of_notifier(served: ServedNotifier) -> States:
    link = served.links
    return {
        "news": ("/courriels/abonnement?offre=ia-et-territoires&delegation=bretagne", [unfold]),
        "news, mistakes": (None, [press("M’abonner")]),
        "news, asked": (
            None,
            [
                fill("Votre adresse électronique (obligatoire)", "c@ville.example"),
                lambda page: page.get_by_role("checkbox").first.check(),
                press("M’abonner"),
                see("Il reste à confirmer"),
            ],
        ),
        "lost link": ("/courriels/mes-inscriptions", []),
        "lost link, mistake": (None, [press("Recevoir le lien")]),
        "confirm": (link[Purpose.CONFIRM], []),
        "confirmed": (None, [press("Confirmer mon abonnement")]),
        "preferences": (link[Purpose.PREFERENCES], [unfold]),
        "unsubscribe": (link[Purpose.UNSUBSCRIBE], []),
        "digest": (link[Purpose.DIGEST], []),
        "forged": (f"{Purpose.DIGEST.value}/x", []),
    }


SUPPORT: States = {
    "log in": (f"{LOG}/connexion", []),
    "persons": (
        f"{LOG}/personnes",
        [lambda page: log_in(page, LOG, notifier.TOKEN), press("Personnes", "link")],
    ),
    "persons, mistakes": (
        None,
        [
            lambda page: page.evaluate("for (const form of document.forms) form.noValidate = true"),
            press("Chercher"),
        ],
    ),
    "persons, nobody": (f"{LOG}/personnes", search("nobody")),
    "persons, some": (None, [*search("dur"), see("2 personnes")]),
    "a person": (None, [press("Voir l’historique de Yann Durand")]),
    "a person, mistakes": (
        None,
        [
            lambda page: page.evaluate("for (const form of document.forms) form.noValidate = true"),
            fill("Nouvelle adresse", "x"),
            press("Corriger l’adresse"),
        ],
    ),
    "a long person": (f"{LOG}/personnes", search("maxence@ville.example")),
    "a letter that left": (None, [press("Courriel : Votre inscription est confirmée", "link")]),
    "mails": (LOG, []),
    "mails, mistakes": (
        None,
        [
            lambda page: page.evaluate("for (const form of document.forms) form.noValidate = true"),
            fill("Identifiant ou référence", "a b"),
            press("Chercher"),
        ],
    ),
    "mails, none": (
        LOG,
        [
            fill("Motif de la consultation", "demande 4711"),
            fill("Identifiant ou référence", "A-0"),
            press("Chercher"),
        ],
    ),
    "mails, some": (
        LOG,
        [fill("Motif de la consultation", "demande 4711"), press("Chercher")],
    ),
    "a mail of which nobody knows": (
        f"{LOG}?etat=ambiguous",
        [
            fill("Motif de la consultation", "demande 4711"),
            press("Chercher"),
            lambda page: page.locator("tbody a").first.click(),
            see("Personne ne sait si"),
        ],
    ),
    "a mail, decided meanwhile": (
        None,
        [
            meanwhile(press("Il est arrivé"), see("déclaré arrivé")),
            press("Il est arrivé"),
            see("Rien n’a été fait"),
        ],
    ),
    "figures": (f"{LOG}/chiffres", [unfold]),
    "figures of one offer": (None, [choose("Offre", "ia-et-territoires"), press("Filtrer")]),
    "erasing": (f"{LOG}/effacement", []),
    "erasing, mistakes": (
        None,
        [
            lambda page: page.evaluate("for (const form of document.forms) form.noValidate = true"),
            press("Voir ce qui sera effacé"),
        ],
    ),
    "erasing, asked": (
        f"{LOG}/personnes",
        [*search("maxence@ville.example"), press("Effacer ses données"), see("sans retour possible")],
    ),
    "erased": (None, [press("Effacer toutes ses données"), see("est demandé à tous les services")]),
    "log-ins": (f"{LOG}/connexions", []),
    "missing": (f"{LOG}/{SESSION}", []),
}
GIVE_UP = [fill("Pourquoi rien n’est perdu", "Écrit deux fois."), press("Abandonner")]
OPERATIONS: States = {
    "status": ("/courriels/exploitation", []),
    "incidents": (None, [press("Incidents à décider", "link")]),
    "an incident": (None, [press("Enregistrement illisible", "link")]),
    "an incident, again": (None, [press("Reprendre"), see("Il n’a pas pu être repris")]),
    "an incident, read": (
        None,
        [fill("Motif de la consultation", "ticket 12"), press("Voir le contenu"), see("zoe.durand@")],
    ),
    "an incident, given up": (
        None,
        [meanwhile(*GIVE_UP, see("abandonné, à votre nom")), *GIVE_UP, see("Rien n’a été fait")],
    ),
}


def test_every_page_of_the_notifier(chromium: Browser, served_notifier: ServedNotifier) -> None:
    with new_tab(chromium, base_url=served_notifier.url) as page:
        found = inspect(page, of_notifier(served_notifier))
        found += inspect(page, SUPPORT)
    with new_tab(chromium, base_url=served_notifier.url) as page:
        log_in(page, "/courriels/exploitation", notifier.ADMIN_TOKEN)
        found += inspect(page, OPERATIONS)
        log_in(page, DELEGATION_FIGURES, notifier.ADMIN_TOKEN)
        found += inspect(page, {"figures of delegations": (DELEGATION_FIGURES, [unfold])})
    assert not found, "\n".join(found)


PORTAL: States = {
    "home": ("/", [unfold]),
    "an agent": ("/agents/EX-101", [unfold]),
    "a long agent": ("/agents/EX-201", [unfold]),
    "an employer": (f"/employeurs/{SIRET}", [unfold]),
    "sessions": ("/sessions", [unfold]),
    "a session": (f"/sessions/{SESSION}?agent_id=EX-101", [unfold]),
    "a session, mistakes": (f"/sessions/{SESSION}", [press("Envoyer la demande"), unfold]),
    "events": ("/evenements", [unfold]),
    "missing": ("/nulle-part", []),
}


def test_every_page_of_the_example_portal(chromium: Browser, served_portal: ServedPortal) -> None:
    with new_tab(chromium, base_url=served_portal.url) as page:
        found = inspect(page, PORTAL, is_compressed=False)
    assert not found, "\n".join(found)
