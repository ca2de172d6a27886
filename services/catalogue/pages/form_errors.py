"""What is wrong with a form, in French and beside its field.

A field of a request is named by a path (``modules.0.ends_at``), that of a form by ``modules-0-ends_at``.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from services.catalogue.rules.refusals import RefusalCode
from services.catalogue.service.failures import Impossible

REFUSALS = {
    RefusalCode.DATES_OUT_OF_ORDER: "Les dates ne se suivent pas\u00a0: une fin est avant son début, ou la "
    "clôture des inscriptions après la fin de la session.",
    RefusalCode.NOT_THIS_CENTURY: "Cette date, ou une autre qui en dépend, n’est pas entre 2000 et 2100.",
    RefusalCode.MODULE_OUTSIDE_SESSION: "La séance n’est pas entre le début et la fin de la session.",
    RefusalCode.TOO_MANY_RESERVED_SEATS: "Il y a plus de places réservées que de places, ou la session est "
    "sans limite de places.",
    RefusalCode.DELEGATION_RESERVED_TWICE: "Cette délégation a déjà une réservation.",
    RefusalCode.UNKNOWN_DELEGATION: "Cette délégation n’existe pas.",
    RefusalCode.NO_PLACE: "Indiquez un lieu ou une adresse de connexion\u00a0: sans cela, une session ne "
    "peut être publiée.",
    RefusalCode.NOT_PRIVATE: "Une session sur mesure est pour une seule collectivité\u00a0: indiquez son "
    "SIRET, et rien d’autre.",
    RefusalCode.ALREADY_PUBLISHED: "La session est déjà publiée.",
    RefusalCode.NOT_PUBLISHED: "La session n’est pas publiée.",
    RefusalCode.ALREADY_CANCELLED: "La session est annulée, et le reste.",
    RefusalCode.ANNOUNCED: "Une session qui a été publiée ne se supprime pas\u00a0: elle s’annule, tant "
    "qu’elle n’est pas terminée.",
    RefusalCode.SESSION_OVER: "La session est terminée\u00a0: plus rien n’en peut changer.",
    RefusalCode.IN_THE_PAST: "Ce moment est passé, ou le serait\u00a0: on ne change pas le passé.",
    RefusalCode.FIXED_ONCE_OPEN: "Cette règle ne change plus une fois les inscriptions ouvertes.",
    RefusalCode.NOT_STARTED: "La session n’a pas commencé\u00a0: il n’y a encore rien à revoir.",
    RefusalCode.NOT_ANSWERABLE: "Cette réponse n’est plus possible.",
    RefusalCode.NO_SESSION: "Un accord va avec une session, et lui seul.",
    RefusalCode.OF_THE_FILES: "Cette ressource vient de l’offre nationale\u00a0: elle se corrige dans les "
    "fichiers de celle-ci.",
}
WRONG = "Cette valeur n’est pas valide."
NEEDED = "Ce champ est obligatoire."
_BY_FIELD = {
    "capacity": "Indiquez un nombre entier de places, de 0 à 1\u202f000\u202f000.",
    "quota_per_authority": "Indiquez un nombre entier, au moins 1.",
    "offer_hold_hours": "Indiquez un nombre entier d’heures, de 1 à 1\u202f440.",
    "title": "Le titre a de 1 à 300 caractères, sur une ligne.",
    "venue": "Le lieu a au plus 300 caractères, sur une ligne.",
    "join_url": "Indiquez une adresse complète, qui commence par https://.",
    "url": "Indiquez une adresse complète, qui commence par https://.",
    "summary": "La présentation a au plus 4\u202f000 caractères.",
    "offer_id": "Cette offre n’existe pas.",
    "organiser": "Choisissez la délégation qui organise.",
    "timezone": "Ce fuseau horaire n’existe pas.",
    "answer": "Choisissez une réponse.",
    "message": "Le message a au plus 4\u202f000 caractères.",
    "themes": "Ce thème n’existe pas.",
    "starts_at": "Indiquez une date et une heure, entre 2000 et 2100.",
    "ends_at": "Indiquez une date et une heure, entre 2000 et 2100.",
    "enrolment_opens_at": "Indiquez une date et une heure, entre 2000 et 2100.",
    "enrolment_closes_at": "Indiquez une date et une heure, entre 2000 et 2100.",
    "release_at": "Indiquez une date et une heure, entre 2000 et 2100.",
    "seats": "Indiquez un nombre entier de places, de 1 à 1\u202f000\u202f000.",
    "delegation": "Choisissez une délégation.",
    "modules": "Une session a au plus 100 séances.",
    "reserved_seats": "Une session a au plus 100 réservations.",
    "sirets": "Indiquez au plus 5\u202f000 SIRET, un par ligne.",
}


def of_request(error: ValidationError) -> dict[str, str]:
    """By field, what makes no sense in what was typed."""
    complaints: dict[str, str] = {}
    for fault in error.errors(include_url=False):
        path = [str(step) for step in fault["loc"]]
        complaints.setdefault(_place(path), _said(path, fault["type"], fault["input"]))
    return complaints


def _said(path: Sequence[str], kind: str, typed: Any) -> str:
    if kind == "missing":
        return NEEDED
    if path[:2] == ["audience", "sirets"] and len(path) > 2:
        wrong = str(typed)[:40]
        return f"«\u00a0{wrong}\u00a0» n’est pas un SIRET\u00a0: il a 14 chiffres, dont une clé de contrôle."
    return of_field(path[-1]) if path else WRONG


def of_field(field: str) -> str:
    """What to say of a field that cannot be read."""
    return _BY_FIELD.get(field, WRONG)


def _place(path: Sequence[str]) -> str:
    """The field of the form: a row's own, and of who may enrol the list that it belongs to."""
    return "-".join(path[:2] if path[:1] == ["audience"] else path[:3])


def of_rules(error: Impossible) -> dict[str, str]:
    """By field, why it may not be done; "" for what is no field's."""
    complaints: dict[str, str] = {}
    for violation in error.violations:
        field = violation.field or ""
        text = of_field(field.rpartition(".")[2]) if violation.code is None else REFUSALS[violation.code]
        complaints.setdefault(_place(field.split(".")), text)
    return complaints
