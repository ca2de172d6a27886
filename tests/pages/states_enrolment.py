"""The states of the enrolment service's pages: before a session, and from its day on."""

from datetime import timedelta

from shared.events.reasons import Reason
from shared.web.links import ARRIVAL, Purpose
from tests.pages.served_enrolment import ADMIN_TOKEN, ANOTHER_CODE, OWN_CODE, TOKEN, KnownEnrolments
from tests.pages.slow_time import MOMENT
from tests.pages.states import (
    States,
    Step,
    choose,
    choose_sheet,
    fill,
    follow,
    forget_log_in,
    go,
    log_in,
    make_old,
    open_row,
    press,
)
from tests.pages.visitor import Visitor
from tests.unit.local.portal.test_pages import SESSION

MANAGE = "/inscriptions/gestion"
SOMEBODY = "Trouver une personne par son nom, son courriel ou son identifiant"


async def rank_all(visitor: Visitor) -> None:
    while visitor.named("Classer ensuite", "button"):
        await visitor.press("Classer ensuite")


def rank(*ranks: str) -> Step:
    """Type these ranks of the first candidates."""

    def step(visitor: Visitor) -> None:
        fields = [field for field in visitor.all("input") if field.get("name", "").startswith("rang")]
        for field, typed in zip(fields, ranks, strict=False):
            field.set("value", typed)

    return step


SAVE_DRAFT = press("Enregistrer le brouillon", -1)


def see_others_first(visitor: Visitor) -> None:
    """Have somebody else have recorded another attendance of the first person since the page was opened."""
    before = next(field for field in visitor.all("input") if field.get("name", "").startswith("avant-"))
    before.set("value", "absent")
    mark = next(field for field in visitor.all("input") if field.get("type") == "radio")
    visitor.check(mark)


async def read_code(visitor: Visitor) -> None:
    """Go where the code of the first person of a roster leads."""
    person = visitor.links_of_rows()[0]
    await visitor.go(f"{ARRIVAL}/{person.partition('?')[0].rpartition('/')[2]}")


def before_a_session(known: KnownEnrolments) -> States:
    at = {name: f"{MANAGE}/sessions/{session_id}" for name, session_id in known.sessions.items()}
    return {
        "today": (MANAGE, [log_in(MANAGE, TOKEN)]),
        "tasks": (f"{MANAGE}/a-faire", []),
        "tasks, none": (f"{MANAGE}/a-faire?quoi=x", []),
        "the week": (f"{MANAGE}/semaine", []),
        "find a person": (f"{MANAGE}/personnes", []),
        "find a person, found": (
            None,
            [fill(SOMEBODY, "durand"), press("Chercher")],
        ),
        "find a person, nobody": (None, [fill(SOMEBODY, "zzz"), press("Chercher")]),
        "log-ins": (f"{MANAGE}/connexions", []),
        "roster": (at["full"], []),
        "roster, long names": (at["long"], []),
        "roster, nobody": (at["empty"], []),
        "roster, nobody found": (
            at["full"],
            [fill("Nom, courriel ou employeur", "zzz"), press("Chercher dans")],
        ),
        "a person": (at["full"], [open_row(0)]),
        "a person, mistakes": (None, [press("Enregistrer le désistement")]),
        "a person, a note": (
            at["full"],
            [
                open_row(0),
                fill("Nouvelle note", "À rappeler"),
                press("Ajouter la note"),
            ],
        ),
        "a person, a note taken away": (None, [press("Retirer la note du")]),
        "a person, changed meanwhile": (
            at["full"],
            [
                open_row(0),
                make_old,
                fill("Prénom", "Zoë"),
                press("Enregistrer la correction"),
            ],
        ),
        "a person, a move asks": (
            f"{at['full']}?etat=place",
            [
                open_row(0),
                choose("Nouvelle session", str(known.sessions["empty"])),
                press("Changer de session"),
            ],
        ),
        "the last person": (at["full"], [open_row(-1)]),
        "a person, an offer": (f"{at['full']}?etat=proposee", [open_row(0)]),
        "a person, an approval": (
            at["approval"],
            [open_row(0), press("Enregistrer la réponse")],
        ),
        "a person who waits": (f"{at['full']}/attente", [open_row(-1)]),
        "several persons": (
            f"{at['full']}?etat=place&tri=nom",
            [follow("Choisir toute la page"), press("Enregistrer leur désistement")],
        ),
        "several persons, moved": (
            None,
            [
                follow("Ne rien changer"),
                follow("Choisir toute la page"),
                press("Changer de session"),
            ],
        ),
        "several persons, withdrawn": (
            None,
            [
                follow("Ne rien changer"),
                follow("Choisir toute la page"),
                press("Enregistrer leur désistement"),
            ],
        ),
        "several persons, done": (
            f"{at['full']}?etat=attente",
            [
                follow("Choisir toute la page"),
                press("Changer la priorité"),
                fill("Priorité", "3"),
                fill("Motif", "Décision du comité"),
                press("Changer la priorité de"),
            ],
        ),
        "a person, to be enrolled again": (
            f"{at['full']}?etat=fin",
            [open_row(0), follow("Inscrire de nouveau")],
        ),
        "a long person": (at["long"], [open_row(0)]),
        "who waits": (f"{at['full']}/attente", []),
        "who waits, nobody": (f"{at['empty']}/attente", []),
        "by hand": (f"{at['full']}/ajout", []),
        "by hand, mistakes": (None, [press("Ajouter")]),
        "a list": (f"{at['full']}/liste", []),
        "a list, mistakes": (None, [press("Vérifier la liste")]),
        "a list, tried": (None, [fill("Liste", A_LIST), press("Vérifier la liste")]),
        "candidates": (f"{at['ranking']}/candidatures", []),
        "candidates, mistakes": (
            None,
            [
                rank("zéro"),
                SAVE_DRAFT,
            ],
        ),
        "candidates, nobody": (f"{at['empty']}/candidatures", []),
        "candidates, tried": (
            f"{at['ranking']}/candidatures",
            [rank_all, press("Enregistrer et voir le résultat")],
        ),
        "candidates, one rank twice": (
            f"{at['ranking']}/candidatures",
            [rank("1", "1"), SAVE_DRAFT],
        ),
        "candidates, ranked meanwhile": (
            None,
            [make_old, SAVE_DRAFT],
        ),
        "agreements": (f"{at['approval']}/candidatures", []),
    }


A_LIST = """Mail\tPrénom\tNom\tFonction\tSIRET\tEmployeur\tDélégation\tTaille
anne.riou@ville-exemple.fr\tAnne\tRiou\tagente\t21350238800019\tVille de Rennes\tBretagne\tM
loic.le-goff@ville-exemple.fr\tLoïc\tLe Goff\tmaire\t21350238800019\tVille de Rennes\tBretagne\tL"""


async def choose_ranking(visitor: Visitor) -> None:
    """Fill in the sheet of candidates, otherwise than any draft of before, and choose it."""
    heading, *lines = await exported(visitor, "candidatures")
    visitor.choose("Contenu du fichier", "classement")
    ranked = [f"{rank}{line}" for rank, line in enumerate(reversed(lines), 1)]
    choose_sheet("\n".join([heading, *ranked]))(visitor)


async def choose_attendance(visitor: Visitor) -> None:
    """Fill in the sheet of attendance, the last line as nobody can read it, and choose it."""
    heading, *lines, last = await exported(visitor, "presences")
    choose_sheet("\n".join([heading, *(f"absence{line}" for line in lines), f"peut-être{last}"]))(visitor)


async def exported(visitor: Visitor, sheet: str) -> list[str]:
    path = f"{visitor.url.partition('?')[0]}/{sheet}.csv"
    return (await visitor.client.get(path)).text.splitlines()


async def open_files(visitor: Visitor) -> None:
    await visitor.go(f"{visitor.url.partition('/messages')[0]}/fichiers")


def from_its_day_on(known: KnownEnrolments) -> States:
    at = {name: f"{MANAGE}/sessions/{session_id}" for name, session_id in known.sessions.items()}
    return {
        "attendance": (None, [log_in(MANAGE, TOKEN), go(f"{at['past']}/presence")]),
        "attendance, recorded meanwhile": (
            None,
            [see_others_first, press("Enregistrer les présences", -1)],
        ),
        "attendance, long names": (f"{at['long']}/presence", []),
        "attendance, nobody": (f"{at['empty']}/presence", []),
        "check-in": (f"{at['past']}/pointage", []),
        "check-in, one came": (None, [press("Pointer :")]),
        "check-in, undone": (None, [press("Annuler l’arrivée")]),
        "a code": (at["past"], [read_code]),
        "a code, one came": (None, [press("Pointer l’arrivée")]),
        "a code, undone": (None, [press("Annuler")]),
        "check-in, mistake": (
            f"{at['past']}/pointage",
            [fill("Référence de l’inscription", "K"), press("Pointer")],
        ),
        "check-in, by hand": (f"{at['full']}/pointage", [follow("Ajouter une personne")]),
        "by hand, once it is over": (f"{at['past']}/ajout", []),
        "check-in, long names": (f"{at['long']}/pointage", []),
        "check-in, nobody": (f"{at['empty']}/pointage", []),
        "messages": (f"{at['full']}/messages", []),
        "messages, mistakes": (None, [press("Relire avant l’envoi")]),
        "messages, tried": (
            None,
            [fill("Message", "Au 2e étage."), press("Relire avant l’envoi")],
        ),
        "messages, one to leave": (
            f"{at['full']}/messages",
            [
                fill("Message", "Au 2e étage.\n\nApportez de quoi écrire."),
                fill("Envoi", (MOMENT + timedelta(days=9)).strftime("%Y-%m-%dT10:00")),
                press("Relire avant l’envoi"),
                press("Envoyer à ce moment"),
            ],
        ),
        "files": (None, [press("Retirer"), open_files]),
        "files, mistake": (None, [press("Voir les changements")]),
        "files, attendance tried": (
            f"{at['past']}/fichiers",
            [choose_attendance, press("Voir les changements")],
        ),
        "files, a ranking tried": (
            f"{at['ranking']}/fichiers",
            [choose_ranking, press("Voir les changements")],
        ),
        "groups": (f"{at['full']}/groupes", []),
        "groups, nobody": (f"{at['empty']}/groupes", []),
        "history": (f"{at['full']}/historique", []),
        "history, nothing": (f"{at['empty']}/historique", []),
        "missing": (f"{MANAGE}/sessions/{SESSION}", []),
        "a certificate": ("/attestations", []),
        "a certificate, mistake": (None, [fill("Code de vérification", "x"), press("Vérifier")]),
        "logged in too late": (
            f"{at['full']}/messages",
            [
                fill("Message", "Au 2e étage."),
                forget_log_in,
                press("Relire avant l’envoi"),
            ],
        ),
        "how it stands": (
            "/inscriptions/exploitation/connexion",
            [log_in("/inscriptions/exploitation", ADMIN_TOKEN)],
        ),
        "no incident": ("/inscriptions/exploitation/incidents", []),
    }


def mark_attendance(*marks: str) -> Step:
    """Mark the persons of the list, in this order."""

    def step(visitor: Visitor) -> None:
        for row, mark in zip(visitor.all("fieldset"), marks, strict=True):
            visitor.check(next(field for field in row.iter("input") if field.get("value") == mark))

    return step


def by_link(known: KnownEnrolments) -> States:
    """What agents, trainers and anybody come to; last of all, since agents answer for themselves."""
    links = known.links
    return {
        "attendance, recorded": (
            None,
            [
                log_in(MANAGE, TOKEN),
                go(f"{MANAGE}/sessions/{known.sessions['held']}/presence"),
                mark_attendance("attended", "absent", "attended", "absent_justified"),
                press("Enregistrer les présences", -1),
            ],
        ),
        "withdrawal": (links["withdrawal"], []),
        "withdrawn": (None, [press("Oui, je me désiste")]),
        "withdrawn already": (links["withdrawal"], []),
        "my enrolments": (links["enrolments"], []),
        "an offer": (None, [follow("Répondre à la proposition")]),
        "an offer, taken": (None, [press("Oui, j’accepte")]),
        "another session": (links["enrolments"], [follow("Changer de session")]),
        "another session, which asks": (None, [press("Choisir : Quimper")]),
        "another session, taken": (None, [press("Changer de session")]),
        "my enrolments, after": (links["enrolments"], []),
        "another address": (None, [follow("adresse")]),
        "another address, mistake": (None, [press("Envoyer le courriel")]),
        "a new address": (links["new address"], []),
        "a new address, confirmed": (None, [press("Oui, c’est mon adresse")]),
        "a link to the new address": (links["enrolments at the new address"], []),
        "a correction": (links["correction"], []),
        "a correction, confirmed": (None, [press("Oui, ce changement est juste")]),
        "a correction, confirmed already": (links["correction"], []),
        "a link that is forged": (f"{Purpose.OFFER.value}/x", []),
        "a roster for a trainer": (links["roster"], []),
        "an officer's list": (links["list"], []),
        "an officer's list, mistakes": (None, [press("Vérifier la liste")]),
        "an officer's list, tried": (None, [fill("Liste", A_LIST), press("Vérifier la liste")]),
        "a certificate, valid": (
            "/attestations",
            [fill("Code de vérification", OWN_CODE), press("Vérifier")],
        ),
        "a certificate, withdrawn": (
            "/attestations",
            [fill("Code de vérification", ANOTHER_CODE), press("Vérifier")],
        ),
        "an act from the new address, confirmed": (
            links["enrolments at the new address"],
            [follow("Me désister"), press("Oui, je me désiste")],
        ),
        "an act from the new address, in the history": (
            f"{MANAGE}/sessions/{known.sessions['full']}/historique",
            [],
        ),
        "a problem of the API": ("/problems/wrong_partition", []),
        "a reason of a refusal": (f"/problems/{Reason.DEADLINE_PASSED.value}", []),
    }
