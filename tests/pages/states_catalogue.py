"""The states of the catalogue's pages: of anybody, and of organisers."""

from datetime import timedelta

from services.catalogue.rules.offers import loaded_session_id
from tests.pages.served_catalogue import EVERYWHERE, TOKEN
from tests.pages.slow_time import MOMENT
from tests.pages.states import (
    States,
    choose,
    choose_sheet,
    fill,
    follow,
    forget_log_in,
    log_in,
    make_old,
    open_row,
    press,
    show_again,
    within,
)
from tests.pages.visitor import Visitor

MOOC = loaded_session_id("mooc-fondamentaux-ia", "printemps-2025")
RENNES = loaded_session_id("ia-et-territoires", "rennes")
PAGES = {
    "home": "/",
    "near": "/?delegation=bretagne",
    "list": "/sessions",
    "calendar": "/sessions?vue=calendrier",
    "map": "/sessions?vue=carte&format=local_event",
    "filtered": "/sessions?format=webinar&ouvertes=oui&delegation=inet",
    "nothing": "/sessions?recherche=zzz",
    "wrong": "/sessions?du=hier&delegation=atlantide",
    "mooc": f"/sessions/{MOOC}",
    "local-event": f"/sessions/{RENNES}",
    "offer": "/offres/ia-et-territoires",
    "bespoke": "/offres/sur-mesure-enjeux-ia",
    "resources": "/ressources",
    "accessibility": "/accessibilite",
    "legal-notice": "/mentions-legales",
    "personal-data": "/donnees-personnelles",
    "missing": "/rien",
}
PUBLIC: States = {name: (path, []) for name, path in PAGES.items()}


async def find_postponable(visitor: Visitor) -> None:
    """Come to a session that is published and to come."""
    await visitor.go("/gestion?etat=published&passees=oui")
    for address in visitor.links_of_rows():
        await visitor.go(address)
        if visitor.named("Reporter", "a"):
            return
    raise AssertionError("no session to come")


async def change_seats(visitor: Visitor) -> None:
    await visitor.go(visitor.url.replace("/reporter", "/places"))


def come_later(visitor: Visitor) -> None:
    """Fill in that it begins two years later."""
    typed = visitor.field("Nouveau début").attrib["value"]
    visitor.fill("Nouveau début", f"{int(typed[:4]) + 2}{typed[4:]}")


def limit_seats(visitor: Visitor) -> None:
    visitor.check(visitor.field("Sans limite de places"), False)


async def edit(visitor: Visitor) -> None:
    """Change what a session is."""
    await visitor.go(visitor.url.partition("?")[0] + "?etape=quoi")


async def confirm(visitor: Visitor) -> None:
    [button] = [button for button in visitor.all("button") if button.get("name") == "confirmer"]
    await visitor.send(button)


async def draft(visitor: Visitor) -> None:
    """Make a draft of a day."""
    await visitor.follow("Nouvelle session")
    visitor.choose("Offre", "ia-et-territoires")
    visitor.fill("Titre", "Rencontre de Lorient")
    await visitor.press("Continuer : quand")
    visitor.fill("Début", LATER.strftime("%Y-%m-%dT09:30"))
    visitor.fill("Heure de fin", "17:00")
    visitor.fill("Ouverture des inscriptions", (LATER - timedelta(days=30)).strftime("%Y-%m-%dT09:00"))
    await visitor.press("Continuer : où")
    visitor.fill("Lieu", "Vannes")
    await visitor.press("Enregistrer le brouillon")


LATER = MOMENT + timedelta(days=60)
WRONG_SHEET = "Offre;Titre;Début;Fin;Ouverture des inscriptions\nrien;;hier;demain;jamais\n"
SHEET = f"""Offre;Titre;Début;Fin;Ouverture des inscriptions;Lieu
ia-et-territoires;Rencontre de Crozon;{LATER:%d/%m/%Y} 09:30;{LATER:%d/%m/%Y} 17:00;01/01/2025 09:00;Crozon
"""
MANAGED: States = {
    "log in": ("/gestion/connexion", []),
    "wrong token": (None, [fill("Jeton d’accès", "presque"), press("Se connecter")]),
    "sessions": ("/gestion", [log_in("/gestion", TOKEN)]),
    "none found": ("/gestion?etat=cancelled&recherche=zzz", []),
    "log-ins": ("/gestion/connexions", []),
    "new session": ("/gestion/sessions/nouvelle", []),
    "new session, mistakes": (
        None,
        [press("Enregistrer le brouillon")],
    ),
    "new session, when": (
        None,
        [choose("Offre", "ia-et-territoires"), press("Continuer : quand")],
    ),
    "new session, where": (
        None,
        [
            fill("Début", LATER.strftime("%Y-%m-%dT09:30")),
            fill("Heure de fin", "17:00"),
            press("Continuer : où"),
        ],
    ),
    "new session, seats": (None, [fill("Lieu", "Vannes"), press("Continuer : places")]),
    "new session, for whom": (None, [press("Continuer : pour qui")]),
    "history": (
        "/gestion?passees=oui",
        [
            open_row(0),
            follow("Historique des réglages"),
        ],
    ),
    "postponed": (
        None,
        [
            find_postponable,
            follow("Reporter"),
            come_later,
            press("Voir les conséquences"),
        ],
    ),
    "another number of seats": (
        None,
        [
            change_seats,
            fill("Nombre de places", "500"),
            limit_seats,
            press("Voir les conséquences"),
        ],
    ),
    "another number of seats, changed meanwhile": (
        None,
        [make_old, confirm],
    ),
    "series": ("/gestion/sessions/serie", []),
    "series, mistakes": (
        None,
        [press("Voir ce qui serait créé")],
    ),
    "series, seen before it is made": (
        "/gestion/sessions/serie",
        [
            choose("Offre", "ia-et-territoires"),
            fill("Titre", "L’IA à {ville}"),
            press("Continuer : quand"),
            fill("Début", LATER.strftime("%Y-%m-%dT09:30")),
            fill("Heure de fin", "17:00"),
            fill("Ouverture des inscriptions", MOMENT.strftime("%Y-%m-%dT09:00")),
            press("Continuer : où"),
            fill("Ville", "Ploërmel"),
            fill("Lieu dans la ville", "Mairie de Ploërmel"),
            press("Voir ce qui serait créé"),
        ],
    ),
    "a draft": ("/gestion", [draft]),
    "a draft, mistakes": (
        None,
        [edit, fill("Titre", ""), press("Enregistrer")],
    ),
    "a draft, changed meanwhile": (
        None,
        [edit, make_old, press("Enregistrer")],
    ),
    "a draft, to be deleted": (None, [show_again, within("supprimer")]),
    "a draft, to be published": (
        None,
        [follow("Garder le brouillon"), follow("Vérifier et publier")],
    ),
    "drafts, to be published": (
        "/gestion?etat=draft&tous=oui",
        [press("Publier", -1)],
    ),
    "drafts, published": (None, [press("Publier")]),
    "published": (
        "/gestion?etat=published&tri=modifiees",
        [open_row(0)],
    ),
    "to be cancelled": (None, [show_again, within("annuler")]),
    "to be cancelled, mistakes": (
        None,
        [
            fill("Motif, facultatif", "La salle manque. " * 40),
            press("Annuler la session"),
        ],
    ),
    "cancelled": (
        None,
        [fill("Motif, facultatif", "La salle manque."), press("Annuler la session")],
    ),
    "offers": ("/gestion/offres", []),
    "offers, none found": ("/gestion/offres?recherche=zzz", []),
    "an offer": ("/gestion/offres/ia-et-territoires", []),
    "an offer, history": ("/gestion/offres/ia-et-territoires/historique", []),
    "import": ("/gestion/sessions/importer", []),
    "import, mistakes": (None, [choose_sheet(WRONG_SHEET), press("Envoyer le fichier")]),
    "import, tried": (None, [choose_sheet(SHEET), press("Envoyer le fichier")]),
    "requests": ("/gestion/demandes", []),
    "a request": (None, [follow("Ville de Rennes")]),
    "a request, mistakes": (None, [press("Envoyer la réponse")]),
    "a request, answered meanwhile": (
        None,
        [
            make_old,
            fill("Votre nom", "Yann Le Goff"),
            fill("Votre courriel", "yann.legoff@cnfpt.example"),
            press("Envoyer la réponse"),
        ],
    ),
    "a request, to hand over": (
        "/gestion/demandes",
        [follow("Ville de Rennes"), follow("La confier à quelqu’un")],
    ),
    "a request, to hand over, mistakes": (
        None,
        [press("Confier la demande")],
    ),
    "requests, listed": ("/gestion/demandes/liste", []),
    "requests, listed, none": ("/gestion/demandes/liste?etat=declined", []),
    "resources": ("/gestion/ressources", []),
    "a new resource": ("/gestion/ressources/nouvelle", []),
    "a new resource, mistakes": (None, [press("Mettre en ligne")]),
    "a resource": (
        None,
        [
            choose("Nature", "dossier"),
            fill("Titre", "L’IA au musée"),
            fill("Adresse", "https://ressources.example.org/musee"),
            press("Mettre en ligne"),
        ],
    ),
    "a resource, mistakes": (
        None,
        [fill("Titre", ""), press("Enregistrer les corrections")],
    ),
    "to be withdrawn": (None, [show_again, within("retirer")]),
    "withdrawn": (None, [press("Retirer la ressource")]),
    "logged in too late": (
        "/gestion/sessions/nouvelle",
        [fill("Titre", "L’IA"), forget_log_in, press("Enregistrer le brouillon")],
    ),
    "what was typed, after the log-in": (
        None,
        [fill("Jeton d’accès", TOKEN), press("Se connecter")],
    ),
    "a new offer": (
        "/gestion/connexion",
        [
            log_in("/gestion", EVERYWHERE),
            follow("Offres"),
            follow("Nouvelle offre"),
        ],
    ),
    "a new offer, mistakes": (None, [press("Enregistrer l’offre")]),
    "an offer of mine": ("/gestion/offres/ia-et-territoires", []),
    "an offer of mine, changed meanwhile": (
        None,
        [make_old, press("Enregistrer les modifications")],
    ),
    "an offer, to take back": ("/gestion/offres/ia-et-territoires/retirer", []),
    "an offer, in use": (None, [press("Retirer l’offre")]),
    "an offer, taken back": (
        "/gestion/offres/sur-mesure-transition-numerique/retirer",
        [press("Retirer l’offre")],
    ),
    "a withdrawn page": ("/offres/sur-mesure-transition-numerique", []),
    "an offer, had again": (
        "/gestion/offres/sur-mesure-transition-numerique",
        [press("Remettre l’offre")],
    ),
}
