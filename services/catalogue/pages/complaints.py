"""What is wrong with a form, in French and beside its field."""

from collections.abc import Mapping

from pydantic import ValidationError

from services.catalogue.desk.failures import Impossible, Invalid
from services.catalogue.rules import Refusal

REFUSALS = {
    Refusal.DATES_OUT_OF_ORDER: "Les dates ne se suivent pas : une fin est avant son début, ou la clôture "
    "des inscriptions après la fin de la session.",
    Refusal.MODULE_OUTSIDE_SESSION: "Une séance n’est plus entre le début et la fin de la session : changez "
    "les séances par l’API.",
    Refusal.TOO_MANY_RESERVED_SEATS: "Il y a plus de places réservées que de places.",
    Refusal.DELEGATION_RESERVED_TWICE: "Une délégation a deux réservations.",
    Refusal.UNKNOWN_DELEGATION: "Cette délégation n’existe pas.",
    Refusal.NO_PLACE: "Indiquez un lieu ou une adresse de connexion : sans cela, une session ne peut être "
    "publiée.",
    Refusal.ALREADY_PUBLISHED: "La session est déjà publiée.",
    Refusal.NOT_PUBLISHED: "La session n’est pas publiée.",
    Refusal.ALREADY_CANCELLED: "La session est annulée, et le reste.",
    Refusal.SESSION_OVER: "La session est terminée : plus rien n’en peut changer.",
    Refusal.IN_THE_PAST: "Ce moment est passé, ou le serait : on ne change pas le passé.",
    Refusal.FIXED_ONCE_OPEN: "Cette règle ne change plus une fois les inscriptions ouvertes.",
    Refusal.NOT_STARTED: "La session n’a pas commencé : il n’y a encore rien à revoir.",
    Refusal.NOT_ANSWERABLE: "Cette réponse n’est plus possible.",
    Refusal.NO_SESSION: "Un accord va avec une session, et lui seul.",
}
WRONG = "Cette valeur n’est pas valide."
NEEDED = "Ce champ est obligatoire."
_BY_FIELD = {
    "capacity": "Indiquez un nombre entier de places, de 0 à 1 000 000.",
    "quota_per_authority": "Indiquez un nombre entier, au moins 1.",
    "offer_hold_hours": "Indiquez un nombre entier d’heures, de 1 à 1 440.",
    "title": "Le titre a de 1 à 300 caractères, sur une ligne.",
    "venue": "Le lieu a au plus 300 caractères, sur une ligne.",
    "join_url": "Indiquez une adresse complète, qui commence par https://.",
    "url": "Indiquez une adresse complète, qui commence par https://.",
    "summary": "La présentation a au plus 4 000 caractères.",
    "offer_id": "Cette offre n’existe pas.",
    "organiser": "Choisissez la délégation qui organise.",
    "timezone": "Ce fuseau horaire n’existe pas.",
    "answer": "Choisissez une réponse.",
    "message": "Le message a au plus 4 000 caractères.",
    "themes": "Ce thème n’existe pas.",
    "starts_at": "Indiquez une date et une heure, entre 2000 et 2100.",
    "ends_at": "Indiquez une date et une heure, entre 2000 et 2100.",
    "enrolment_opens_at": "Indiquez une date et une heure, entre 2000 et 2100.",
    "enrolment_closes_at": "Indiquez une date et une heure, entre 2000 et 2100.",
}


def of_request(error: ValidationError) -> dict[str, str]:
    """By field, what makes no sense in what was typed."""
    complaints: dict[str, str] = {}
    for fault in error.errors(include_url=False, include_input=False):
        field = str(fault["loc"][0]) if fault["loc"] else ""
        complaints.setdefault(field, NEEDED if fault["type"] == "missing" else _BY_FIELD.get(field, WRONG))
    return complaints


def of_field(field: str) -> str:
    """What to say of a field that cannot be read."""
    return _BY_FIELD.get(field, WRONG)


def of_rules(error: Impossible | Invalid) -> dict[str, str]:
    """By field, why it may not be done; "" for what is no field's."""
    if isinstance(error, Invalid):
        return {one.field: _BY_FIELD.get(one.field, WRONG) for one in error.wrong}
    complaints: dict[str, str] = {}
    for problem in error.problems:
        complaints.setdefault(problem.field or "", REFUSALS[problem.refusal])
    return complaints


def elsewhere(complaints: Mapping[str, str], fields: frozenset[str]) -> list[str]:
    """What is to be said above the form, because no field of it is meant."""
    return [said for field, said in complaints.items() if field not in fields]
