"""The states of the notifier's pages: by links, of support, and of operators."""

from shared.web.links import DELEGATION_FIGURES, Purpose
from tests.pages import served_notifier as notifier
from tests.pages.states import States, Step, choose, fill, follow, log_in, meanwhile, press
from tests.pages.visitor import Visitor
from tests.unit.local.portal.test_pages import SESSION


def subscribe_to_first(visitor: Visitor) -> None:
    visitor.check(next(field for field in visitor.all("input") if field.get("type") == "checkbox"))


async def open_first_mail(visitor: Visitor) -> None:
    await visitor.go(next(link.attrib["href"] for rows in visitor.all("tbody") for link in rows.iter("a")))


LOG = notifier.LOG


def search(text: str) -> list[Step]:
    return [fill("Personne", text), fill("Motif de la consultation", "demande 4711"), press("Chercher")]


def of_notifier(link: dict[Purpose, str]) -> States:
    return {
        "news": ("/courriels/abonnement?offre=ia-et-territoires&delegation=bretagne", []),
        "news, mistakes": (None, [press("M’abonner")]),
        "news, asked": (
            None,
            [
                fill("Votre adresse électronique (obligatoire)", "c@ville.example"),
                subscribe_to_first,
                press("M’abonner"),
            ],
        ),
        "lost link": ("/courriels/mes-inscriptions", []),
        "lost link, mistake": (None, [press("Recevoir le lien")]),
        "log-in to confirm": (link[Purpose.CONFIRM_LOG_IN], []),
        "log-in of another browser": (None, [press("Confirmer ma connexion")]),
        "confirm": (link[Purpose.CONFIRM], []),
        "confirmed": (None, [press("Confirmer mon abonnement")]),
        "preferences": (link[Purpose.PREFERENCES], []),
        "unsubscribe": (link[Purpose.UNSUBSCRIBE], []),
        "digest": (link[Purpose.DIGEST], []),
        "forged": (f"{Purpose.DIGEST.value}/x", []),
    }


SUPPORT: States = {
    "log in": (f"{LOG}/connexion", []),
    "persons": (
        f"{LOG}/personnes",
        [log_in(LOG, notifier.TOKEN), follow("Personnes")],
    ),
    "persons, mistakes": (
        None,
        [
            press("Chercher"),
        ],
    ),
    "persons, nobody": (f"{LOG}/personnes", search("nobody")),
    "persons, some": (None, [*search("dur")]),
    "a person": (None, [press("Voir l’historique de Yann Durand")]),
    "a person, mistakes": (
        None,
        [
            fill("Nouvelle adresse", "x"),
            press("Corriger l’adresse"),
        ],
    ),
    "a person, requests rejected": (
        f"{LOG}/personnes",
        [*search("1002"), follow("Demandes rejetées, Courriels")],
    ),
    "a long person": (f"{LOG}/personnes", search("maxence@ville.example")),
    "a letter that left": (None, [follow("Courriel : Votre inscription est confirmée")]),
    "mails": (LOG, []),
    "mails, mistakes": (
        None,
        [
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
            open_first_mail,
        ],
    ),
    "a mail, decided meanwhile": (
        None,
        [
            meanwhile(press("Il est arrivé")),
            press("Il est arrivé"),
        ],
    ),
    "figures": (f"{LOG}/chiffres", []),
    "figures of one offer": (None, [choose("Offre", "ia-et-territoires"), press("Filtrer")]),
    "erasing": (f"{LOG}/effacement", []),
    "erasing, mistakes": (
        None,
        [
            press("Voir ce qui sera effacé"),
        ],
    ),
    "erasing, asked": (
        f"{LOG}/personnes",
        [*search("maxence@ville.example"), press("Effacer ses données")],
    ),
    "erased": (None, [press("Effacer toutes ses données")]),
    "log-ins": (f"{LOG}/connexions", []),
    "missing": (f"{LOG}/{SESSION}", []),
}
GIVE_UP = [fill("Pourquoi rien n’est perdu", "Écrit deux fois."), press("Abandonner")]
OPERATIONS: States = {
    "status": (None, [log_in("/courriels/exploitation", notifier.ADMIN_TOKEN)]),
    "incidents": (None, [follow("Incidents à décider")]),
    "an incident": (None, [follow("Enregistrement illisible")]),
    "an incident, again": (None, [press("Reprendre")]),
    "an incident, read": (
        None,
        [fill("Motif de la consultation", "ticket 12"), press("Voir le contenu")],
    ),
    "an incident, given up": (
        None,
        [meanwhile(*GIVE_UP), *GIVE_UP],
    ),
    "figures of delegations": (
        DELEGATION_FIGURES,
        [log_in(DELEGATION_FIGURES, notifier.ADMIN_TOKEN)],
    ),
}
