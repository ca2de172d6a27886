"""What codes, fields, numbers and dates of the catalogue are called in French; sentences are in templates."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from services.catalogue.rules.sessions import Plan
from shared.events.vocabulary import Format, Status
from shared.web import french, labels

PARIS = "Europe/Paris"

KINDS_OF = {"replay": "Replays", "dossier": "Dossiers documentaires", "community": "E-communautés"}
OPENED = {"replay": "Mis en ligne", "dossier": "Publié", "community": "Ouverte"}

_CHOICES = {
    "title": "le titre",
    "summary": "la présentation",
    "experts": "les intervenants",
    "terms": "les conditions d’inscription",
    "starts_at": "les dates de la session",
    "ends_at": "les dates de la session",
    "enrolment_opens_at": "l’ouverture des inscriptions",
    "enrolment_closes_at": "la clôture des inscriptions",
    "modules": "les dates des séances",
    "timezone": "le fuseau horaire",
    "organiser": "l’organisateur",
    "join_url": "l’adresse de connexion",
    "venue": "le lieu",
    "capacity": "le nombre de places",
    "waiting_list": "la liste d’attente",
    "offer_hold_hours": "le délai de réponse",
    "approval": "l’accord préalable",
    "audience": "le public",
    "reserved_seats": "les places réservées",
    "quota_per_authority": "les places par collectivité",
}
DEMANDS = {
    "received": "À traiter",
    "qualified": "Besoin précisé",
    "proposed": "Proposition faite",
    "agreed": "Accord",
    "declined": "Refusée",
}
ANSWERS = {
    "qualified": "La demande est recevable et nous préparons une proposition",
    "proposed": "Voici notre proposition",
    "agreed": "Nous sommes d’accord\u00a0: voici la session",
    "declined": "Nous ne pouvons pas répondre favorablement",
}
_OVERSEAS = {
    "guadeloupe": "America/Guadeloupe",
    "martinique": "America/Martinique",
    "guyane": "America/Cayenne",
    "la-reunion": "Indian/Reunion",
    "mayotte": "Indian/Mayotte",
}
_ACTIONS = {
    "created": "brouillon créé",
    "duplicated": "copiée d’une autre session",
    "imported": "importée d’un fichier",
    "loaded": "chargée avec l’offre",
    "changed": "modifiée",
    "published": "publiée",
    "cancelled": "annulée",
    "agreed": "créée en réponse à une collectivité",
}
_FIELDS = {
    "title": "titre",
    "summary": "présentation",
    "experts": "intervenants",
    "starts_at": "début",
    "ends_at": "fin",
    "enrolment_opens_at": "ouverture des inscriptions",
    "enrolment_closes_at": "clôture des inscriptions",
    "timezone": "fuseau horaire",
    "modules": "séances",
    "capacity": "places",
    "waiting_list": "liste d’attente",
    "offer_hold_hours": "délai de réponse",
    "approval": "accord",
    "audience": "public",
    "reserved_seats": "places réservées",
    "quota_per_authority": "places par collectivité",
    "venue": "lieu",
    "join_url": "adresse de connexion",
    "url": "adresse",
    "kind": "type",
    "themes": "thèmes",
    "organiser": "délégation",
    "session_id": "session enregistrée",
    "source": "origine",
    "illimite": "limite de places",
}
_ROWS = {"modules": "Séance", "reserved_seats": "Réservation"}
_LABELS = {
    "offer_id": "offre",
    "organiser": "délégation qui organise",
    "timezone": "heures de",
    "delegation": "délégation",
    "seats": "places pour elle",
    "release_at": "réservées jusqu’au",
    "audience-functions": "fonctions",
    "audience-delegations": "délégations",
    "audience-sirets": "collectivités, par leur SIRET",
    "answer": "réponse",
    "message": "message",
    "advisor_name": "votre nom",
    "advisor_email": "votre courriel",
    "copie": "début de la copie",
    "replay_title": "titre du replay",
    "replay_url": "adresse du replay",
    "replay_summary": "présentation du replay",
    "replay_theme": "thème",
}


def when(plan: Plan) -> str:
    """``mardi 8 avril 2025 de 9 h 30 à 17 h, heure de Paris``."""
    return french.period(plan.starts_at, plan.ends_at, plan.timezone)


def where(plan: Plan) -> str:
    """The place; never the address of a meeting, which only who enrolled is told."""
    return plan.venue or "En ligne"


def since(plan: Plan) -> str:
    """The first moment to ask: a day where it begins at midnight."""
    return f"à partir du {french.beginning(plan.enrolment_opens_at, plan.timezone)}"


def until(plan: Plan) -> str:
    """The last moment to ask, in a sentence about an open session."""
    return f"jusqu’au {french.deadline(plan.enrolment_closes_at, plan.timezone)}"


def not_stated(choices: tuple[str, ...]) -> str:
    """What the announcement does not say of an entry that it announces."""
    return french.listed(list(dict.fromkeys(_CHOICES.get(name, name) for name in choices)))


def seats(number: int) -> str:
    """``1 place``, ``120 places``."""
    return f"{counted(number)}{french.NBSP}{plural(number, 'place')}"


def plural(number: int, word: str) -> str:
    """``place``, and ``places`` from two on."""
    return f"{word}s" if number > 1 else word


def counted(number: int) -> str:
    """A number as French writes it: ``1 200`` with a narrow no-break space."""
    return f"{number:,}".replace(",", "\u202f")


def sessions(number: int) -> str:
    """``aucune session``, ``1 session``, ``37 sessions``."""
    return f"{counted(number)} {plural(number, 'session')}" if number else "aucune session"


def published_on(moment: datetime) -> str:
    """``mardi 11 mars 2025``, in Paris."""
    return french.day(moment.astimezone(ZoneInfo(PARIS)))


def done(action: str) -> str:
    """What somebody did to a session, as its history says it."""
    return _ACTIONS.get(action, action)


def changed(changes: Iterable[str]) -> str:
    """Which fields somebody changed."""
    return french.listed([_FIELDS.get(name, name) for name in changes])


def field(name: str) -> str:
    """What a form calls a field, a row's with its row: ``Séance 2, fin``."""
    group, _, rest = name.partition("-")
    number, _, part = rest.partition("-")
    row = f"{_ROWS[group]} {int(number) + 1}, " if group in _ROWS and number.isdigit() else ""
    label = _LABELS.get(name) or _LABELS.get(part or name) or _FIELDS.get(part or name, name)
    return row + (label if row else label[:1].upper() + label[1:])


def zone_of(delegation: str) -> str:
    """The time zone of a delegation's own sessions."""
    return _OVERSEAS.get(delegation, PARIS)


def zones(current: str) -> Mapping[str, str]:
    """The time zones of a form, and that of a session that has another: it would lose it by being shown."""
    return labels.ZONES if not current or current in labels.ZONES else {current: current, **labels.ZONES}


def stamp(moment: datetime) -> str:
    """``mardi 11 mars 2025 à 9 h 30, heure de Paris``."""
    return french.moment(moment, "Europe/Paris")


def used_filters(used: Mapping[str, str | None]) -> list[str]:
    """Which filters of a delegation's list are in use: ``« Rennes »``, ``Brouillon``, ``Webinaire``."""
    names: dict[str, Callable[[str], str]] = {
        "recherche": lambda text: f"«\u00a0{text}\u00a0»",
        "etat": lambda code: labels.STATUSES[Status(code)],
        "format": lambda code: labels.FORMATS[Format(code)],
        "delegation": labels.delegation,
        "passees": lambda _: "sessions terminées comprises",
    }
    return [said(value) for name, said in names.items() if (value := used.get(name))]
