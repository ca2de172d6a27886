"""The words of the pages: what codes are called in French, and sentences about sessions. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from services.catalogue.rules.availability import Access, Availability
from services.catalogue.rules.sessions import Plan, Session
from shared.events.vocabulary import Format, Status, WaitingList
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


def door(session: Session, known: Availability) -> str:
    """How the door of a session stands: ``12 places restantes``, ``Complet, liste d’attente ouverte``."""
    said = _door(session, known)
    return f"Session en cours, {said[:1].lower()}{said[1:]}" if known.running else said


def _door(session: Session, known: Availability) -> str:
    plan = session.plan
    match known.access:
        case Access.CANCELLED:
            return "Session annulée"
        case Access.OVER:
            return "Session terminée"
        case Access.NOT_YET_OPEN:
            return f"Inscriptions {since(plan)}"
        case Access.CLOSED:
            return f"Inscriptions closes le {_closed(plan)}"
        case Access.APPLICATION:
            total = "" if known.seats is None else f", {seats(known.seats)} au total"
            return f"Candidatures ouvertes{total}"
        case Access.UNLIMITED:
            return "Inscriptions ouvertes, sans limite de places"
        case Access.SEATS:
            return f"{seats(known.seats or 0)} {_plural(known.seats or 0, 'restante')}{_kept(known)}"
        case Access.RESERVED:
            kept = f"{seats(known.seats or 0)} {_plural(known.seats or 0, 'réservée')}"
            return f"{kept} {_to(known.delegations)}, liste d’attente ouverte"
        case Access.QUEUE:
            waiting = f" ({known.waiting} {_plural(known.waiting, 'personne')})" if known.waiting else ""
            return f"Complet, liste d’attente ouverte{waiting}"
        case Access.FULL if session.format is Format.WEBINAR:
            return "Complet, le replay sera accessible à tous"
    return "Complet"


def _kept(known: Availability) -> str:
    """What of the seats left is not for everyone: ``, dont 60 au plus réservées aux …``."""
    if not known.reserved:
        return ""
    reserved = f"{_plural(known.reserved, 'réservée')} {_to(known.delegations)}"
    if known.reserved != known.seats:
        at_most = "" if known.surely == known.reserved else " au plus"
        return f", dont {counted(known.reserved)}{at_most} {reserved}"
    every = "toutes " if known.reserved > 1 else ""
    return f", {every}{reserved}" if known.surely == known.seats else f", peut-être {every}{reserved}"


def _to(delegations: Sequence[str]) -> str:
    """``aux agentes et agents de la délégation Bretagne``, ``des délégations Bretagne et Corse``."""
    names = [labels.delegation(code) for code in dict.fromkeys(delegations)]
    if len(names) > _MOST_NAMED:
        return f"aux agentes et agents de {len(names)} délégations"
    where_from = "de la délégation" if len(names) == 1 else "des délégations"
    return f"aux agentes et agents {where_from} {french.listed(names)}"


_MOST_NAMED = 3


def since(plan: Plan) -> str:
    """The first moment to ask: a day where it begins at midnight."""
    return f"à partir du {french.beginning(plan.enrolment_opens_at, plan.timezone)}"


def until(plan: Plan) -> str:
    """The last moment to ask, in a sentence about an open session."""
    return f"jusqu’au {french.deadline(plan.enrolment_closes_at, plan.timezone)}"


def _closed(plan: Plan) -> str:
    return french.deadline(plan.enrolment_closes_at, plan.timezone).removesuffix(" inclus")


def reserved(plan: Plan, now: datetime) -> list[str]:
    """A sentence for each reservation that is not released yet."""
    return [
        f"{seats(one.seats)} {_plural(one.seats, 'réservée')} {_to((one.delegation,))} "
        f"jusqu’au {french.deadline(one.release_at, plan.timezone)}"
        for one in plan.reserved_seats
        if one.release_at > now
    ]


def without_reservation(plan: Plan) -> str:
    """What awaits the others where every seat left may be reserved."""
    refused = plan.waiting_list is WaitingList.NONE
    others = "sont refusées" if refused else "entrent en liste d’attente"
    return f"S’il ne reste que des places réservées, les autres demandes {others}."


def audience(plan: Plan) -> str:
    """Who may enrol."""
    who = french.listed([labels.AUDIENCES[function] for function in plan.audience.functions])
    where_from = french.listed([labels.delegation(code) for code in plan.audience.delegations])
    sentence = (who[:1].upper() + who[1:]) if who else "Toutes les agentes et tous les agents territoriaux"
    if plan.audience.sirets:  # never which: the page is for everyone
        sentence += " des collectivités que la délégation a désignées"
    return f"{sentence}, délégation {where_from}" if where_from else sentence


def not_stated(choices: tuple[str, ...]) -> str:
    """What the announcement does not say of an entry that it announces."""
    return french.listed(list(dict.fromkeys(_CHOICES.get(name, name) for name in choices)))


def seats(number: int) -> str:
    """``1 place``, ``120 places``."""
    return f"{counted(number)}{french.NBSP}{_plural(number, 'place')}"


def _plural(number: int, word: str) -> str:
    return f"{word}s" if number > 1 else word


def counted(number: int) -> str:
    """A number as French writes it: ``1 200`` with a narrow no-break space."""
    return f"{number:,}".replace(",", "\u202f")


def sessions(number: int) -> str:
    """``aucune session``, ``1 session``, ``37 sessions``."""
    return f"{counted(number)} {_plural(number, 'session')}" if number else "aucune session"


def ended(number: int) -> str:
    """``la session terminée qui correspond``, ``les 37 sessions terminées qui correspondent``."""
    if number == 1:
        return "la session terminée qui correspond"
    return f"les {counted(number)} sessions terminées qui correspondent"


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
