from collections.abc import Mapping
from typing import Any

from services.catalogue.service.session_fields import SESSION_FIELDS
from shared.web.labels import AUDIENCES, DELEGATIONS

CHOICES: Mapping[str, str] = {
    **{name: field.choice for name, field in SESSION_FIELDS.items() if field.choice},
    "format": "le format",
    "themes": "les thèmes",
    "terms": "les conditions d’inscription",
    "joining_days_before": "le jour de la convocation",
    "reminder_days_before": "le jour du premier rappel",
    "last_reminder_days_before": "le jour du dernier rappel",
}
FIELDS: Mapping[str, str] = {
    **{name: field.label for name, field in SESSION_FIELDS.items()},
    "status": "état",
    "format": "format",
    "cancellation_reason": "motif de l’annulation",
    "closes_days_before": "jours entre la clôture des inscriptions et le début",
    "joining_days_before": "jours entre la convocation et le début",
    "reminder_days_before": "jours entre le premier rappel et le début",
    "last_reminder_days_before": "jours entre le dernier rappel et le début",
    "url": "adresse",
    "kind": "nature",
    "themes": "thèmes",
    "session_id": "session enregistrée",
    "source": "origine",
    "street": "rue",
    "postal_code": "code postal",
    "commune": "commune",
    "illimite": "limite de places",
    "choices": "ce que l’annonce ne dit pas",
    "template": "nom du modèle",
}
FORM_FIELDS: Mapping[str, str] = {
    **FIELDS,
    "organiser": "délégation qui organise",
    "timezone": "heures de",
    "delegation": "délégation",
    "seats": "places pour elle",
    "last_day": "dernier jour",
    "release_at": "réservées jusqu’au",
    **{function.value: audience for function, audience in AUDIENCES.items()},
    "question_id": "question",
    "kind": "ce qui est attendu",
    "label": "question",
    "choices": "réponses proposées",
    "required": "réponse obligatoire",
    "kept_days": "jours de conservation",
    "audience-functions": "fonctions",
    "audience-delegations": "délégations",
    "audience-sirets": "collectivités, par leur SIRET",
    "answer": "réponse",
    "message": "message",
    "reason": "motif",
    "advisor_name": "nom",
    "advisor_email": "courriel",
    "resource_kind": "nature",
    "copie": "début de la copie",
    "modele": "nom du modèle",
    "towns": "villes",
    "town": "ville",
    "replay_title": "titre du replay",
    "replay_url": "adresse du replay",
    "replay_summary": "présentation du replay",
    "replay_theme": "thème",
}
FORM_ROWS: Mapping[str, str] = {
    "modules": "Séance",
    "reserved_seats": "Réservation",
    "questions": "Question",
    "towns": "Ville",
}
_BOXES: Mapping[str, Mapping[Any, str]] = {"functions": AUDIENCES, "delegations": DELEGATIONS}


def form_field(name: str) -> str | None:
    """Return a label such as ``Séance 2, fin``, or None for an unknown name."""
    group, _, rest = name.partition("-")
    middle, _, last = rest.partition("-")
    if name in FORM_FIELDS:
        label = FORM_FIELDS[name]
    elif group in FORM_ROWS and middle.isdecimal() and last in FORM_FIELDS:
        label = f"{FORM_ROWS[group]} {int(middle) + 1}, {FORM_FIELDS[last]}"
    elif group == "audience" and last in _BOXES.get(middle, {}):
        label = f"{FORM_FIELDS[f'audience-{middle}']}, {_BOXES[middle][last]}"
    else:
        return None
    return label[:1].upper() + label[1:]
