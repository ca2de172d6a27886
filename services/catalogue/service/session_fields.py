from dataclasses import dataclass
from enum import Enum, auto


class FieldKind(Enum):
    """``PART`` has several fields of the form: rows or boxes."""

    TEXT = auto()
    NUMBER = auto()
    MOMENT = auto()
    NAMES = auto()
    TRAINERS = auto()
    OFFER = auto()
    PART = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionField:
    """``choice`` is the label with its article, for facts that the announcement does not state.

    ``column`` is None if sheets lack the field.
    """

    label: str
    choice: str = ""
    kind: FieldKind = FieldKind.TEXT
    may_be_empty: bool = False
    column: str | None = None
    is_required_in_sheets: bool = False


_DATES = "les dates de la session"
SESSION_FIELDS = {
    "offer_id": SessionField(label="offre", column="Offre", is_required_in_sheets=True),
    "organiser": SessionField(label="délégation", choice="l’organisateur", column="Délégation"),
    "reference": SessionField(label="référence", may_be_empty=True, column="Référence"),
    "title": SessionField(label="titre", choice="le titre", column="Titre"),
    "summary": SessionField(
        label="présentation", choice="la présentation", may_be_empty=True, column="Présentation"
    ),
    "experts": SessionField(
        label="intervenantes et intervenants",
        choice="les intervenantes et intervenants",
        kind=FieldKind.NAMES,
        may_be_empty=True,
        column="Intervenants",
    ),
    "trainers": SessionField(
        label="formatrices et formateurs",
        choice="les formatrices et formateurs",
        kind=FieldKind.TRAINERS,
        may_be_empty=True,
    ),
    "starts_at": SessionField(
        label="début", choice=_DATES, kind=FieldKind.MOMENT, column="Début", is_required_in_sheets=True
    ),
    "ends_at": SessionField(
        label="fin", choice=_DATES, kind=FieldKind.MOMENT, column="Fin", is_required_in_sheets=True
    ),
    "enrolment_opens_at": SessionField(
        label="ouverture des inscriptions",
        choice="l’ouverture des inscriptions",
        kind=FieldKind.MOMENT,
        column="Ouverture des inscriptions",
        is_required_in_sheets=True,
    ),
    "enrolment_closes_at": SessionField(
        label="clôture des inscriptions",
        choice="la clôture des inscriptions",
        kind=FieldKind.MOMENT,
        column="Clôture des inscriptions",
    ),
    "timezone": SessionField(label="fuseau horaire", choice="le fuseau horaire", column="Fuseau horaire"),
    "modules": SessionField(label="séances", choice="les dates des séances", kind=FieldKind.PART),
    "venue": SessionField(label="lieu", choice="le lieu", may_be_empty=True, column="Lieu"),
    "directions": SessionField(
        label="accès au lieu", choice="l’accès au lieu", may_be_empty=True, column="Accès"
    ),
    "join_url": SessionField(
        label="adresse de connexion", choice="l’adresse de connexion", may_be_empty=True, column="Lien"
    ),
    "evaluation_url": SessionField(
        label="adresse du questionnaire d’évaluation",
        choice="l’adresse du questionnaire d’évaluation",
        may_be_empty=True,
    ),
    "capacity": SessionField(
        label="places",
        choice="le nombre de places",
        kind=FieldKind.NUMBER,
        may_be_empty=True,
        column="Places",
    ),
    "minimum": SessionField(
        label="minimum", choice="le minimum", kind=FieldKind.NUMBER, may_be_empty=True, column="Minimum"
    ),
    "quota_per_authority": SessionField(
        label="places par collectivité",
        choice="les places par collectivité",
        kind=FieldKind.NUMBER,
        may_be_empty=True,
        column="Places par collectivité",
    ),
    "waiting_list": SessionField(
        label="liste d’attente", choice="la liste d’attente", column="Liste d’attente"
    ),
    "offer_hold_hours": SessionField(
        label="délai de réponse",
        choice="le délai de réponse",
        kind=FieldKind.NUMBER,
        column="Heures pour répondre",
    ),
    "approval": SessionField(label="accord", choice="l’accord préalable", column="Accord"),
    "prerequisite": SessionField(
        label="attestation exigée", choice="l’attestation exigée", kind=FieldKind.OFFER, may_be_empty=True
    ),
    "reserved_seats": SessionField(
        label="places réservées", choice="les places réservées", kind=FieldKind.PART
    ),
    "audience": SessionField(label="public", choice="le public", kind=FieldKind.PART),
    "questions": SessionField(
        label="questions à l’inscription", choice="les questions à l’inscription", kind=FieldKind.PART
    ),
}

OF_NEW = ("offer_id", "organiser")


def of_kind(kind: FieldKind) -> tuple[str, ...]:
    return tuple(name for name, field in SESSION_FIELDS.items() if field.kind is kind)


NEVER_NULL = tuple(
    name
    for name, field in SESSION_FIELDS.items()
    if name not in OF_NEW and (not field.may_be_empty or field.kind in (FieldKind.NAMES, FieldKind.TRAINERS))
)
