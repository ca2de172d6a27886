"""The sessions of the demonstration: those of the real offer, and small ones that fill within seconds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from local.model.session import CatalogueSession
from local.people import TOWNS

LOCAL_EVENT_OFFER = "ia-et-territoires"
WEBINAR_OFFER = "webinaires-acculturation-ia"
INET_OFFER = "inet-conduire-transition-numerique"
BESPOKE_OFFER = "sur-mesure-enjeux-ia"
RESERVED_FOR = "bretagne"
WITH_CONTACT = "inset-angers"
ORGANISERS_ADDRESS = "organisation.angers@cnfpt.example"
"""Of the only organiser here who has one, where it is written what their sessions need."""

# How far a session's dates must be from now, so that no clock decides what the model cannot know.
_MARGIN = timedelta(minutes=10)
# How many days before a session letters go out that nobody requests.
_LETTERS_DAYS_BEFORE = (1, 7, 15)
_PARIS = ZoneInfo("Europe/Paris")
_IN_EUROPE = 13  # of the delegations, which come first: the others have clocks of their own


@dataclass(frozen=True)
class DemoSessions:
    """The sessions of the day: of the real offer by kind, and the `small` ones by the part they play."""

    mooc: Sequence[CatalogueSession]
    local_events: Sequence[CatalogueSession]
    webinars: Sequence[CatalogueSession]
    selective: Sequence[CatalogueSession]
    not_yet_open: Sequence[CatalogueSession]
    closed: Sequence[CatalogueSession]
    small: Mapping[str, Sequence[CatalogueSession]]

    def of_part(self, part: str) -> CatalogueSession:
        """Return the only small session that plays this part."""
        (session,) = self.small[part]
        return session

    def all(self) -> list[CatalogueSession]:
        """Return every session for which there are requests, once."""
        groups = (
            self.mooc, self.local_events, self.webinars, self.selective, self.not_yet_open, self.closed,
            *self.small.values(),
        )  # fmt: skip
        return list({session.session_id: session for group in groups for session in group}.values())


def choose_sessions(
    documents: Sequence[Mapping[str, Any]], small: Mapping[str, Sequence[CatalogueSession]], now: datetime
) -> DemoSessions:
    """Choose among all published sessions, as the API showed them, beside the small ones."""
    small_ids = {session.session_id for group in small.values() for session in group}
    real = [
        CatalogueSession.of(document)
        for document in documents
        if document["status"] == "published"
        and document["session_id"] not in small_ids
        and not _has_letters_now(document, now)
    ]
    plain = [session for session in real if session.approval == "none"]

    def is_open(session: CatalogueSession) -> bool:
        return session.opens_at < now - _MARGIN and session.closes_at > now + _MARGIN

    def of_format(name: str) -> list[CatalogueSession]:
        return [session for session in plain if session.format == name and is_open(session)]

    return DemoSessions(
        mooc=of_format("mooc"),
        local_events=of_format("local_event"),
        webinars=of_format("webinar"),
        selective=[
            session
            for session in real
            if session.approval != "none"
            and session.functions
            and "agent" not in session.functions
            and is_open(session)
        ],
        not_yet_open=[session for session in plain if session.opens_at > now + _MARGIN],
        closed=[session for session in plain if session.closes_at < now - _MARGIN],
        small=small,
    )


def _has_letters_now(document: Mapping[str, Any], now: datetime) -> bool:
    """Say whether a reminder or joining instructions go out about now: nobody can count who gets them."""
    zone = ZoneInfo(document["timezone"])
    start = datetime.fromisoformat(document["starts_at"]).astimezone(zone)
    moments = [start - timedelta(days=days) for days in _LETTERS_DAYS_BEFORE]
    return any(abs(moment - now) < _MARGIN for moment in moments)


def daytime_zone(now: datetime) -> str:
    """Return a zone where it is day now: the letter of a replay waits for the morning of its session."""
    zones = ("Europe/Paris", "America/Martinique", "Indian/Reunion", "Pacific/Noumea")
    return next(zone for zone in zones if 8 <= now.astimezone(ZoneInfo(zone)).hour < 19)


def small_sessions(now: datetime) -> dict[str, list[dict[str, Any]]]:
    """Return the sessions to draft, by the part that they play."""
    opened = now - timedelta(days=1)

    def event(number: int, title: str, capacity: int, **terms: object) -> dict[str, Any]:
        place = {"venue": f"Salle {number}, délégation régionale"}
        return _draft(LOCAL_EVENT_OFFER, title, opened, number, {**place, "capacity": capacity, **terms})

    def webinar(number: int, title: str, capacity: int, **terms: object) -> dict[str, Any]:
        link = f"https://webinaires.example.org/demonstration-{number}"
        usual = {"join_url": link, "capacity": capacity, "waiting_list": "none"}
        return _draft(WEBINAR_OFFER, title, opened, number, {**usual, **terms})

    # Enrolment goes on for a while after the start: then nobody hears of it when its end is moved.
    begun = {
        "organiser": WITH_CONTACT,
        "minimum": 3,
        "starts_at": _iso(now - timedelta(minutes=30)),
        "ends_at": _iso(now + timedelta(hours=2)),
        "enrolment_closes_at": _iso(now + timedelta(hours=1)),
    }
    reserved = {"delegation": RESERVED_FOR, "seats": 3, "release_at": _iso(now + timedelta(days=20))}
    return {
        "events": [
            event(n, f"L’IA et l’accueil des usagers, atelier n°\N{NO-BREAK SPACE}{n}", 10 + n)
            for n in range(1, 7)
        ],
        "webinars": [
            webinar(n, f"L’IA pas à pas, webinaire n°\N{NO-BREAK SPACE}{n}", 15 + n) for n in range(7, 11)
        ],
        "popular": [event(11, "L’IA à l’état civil, une rencontre très demandée", 30)],
        "to_cancel": [webinar(12, "Webinaire qui sera annulé", 100)],
        # A replay is of what has begun; one may still join.
        "recorded": [
            webinar(
                13,
                "L’IA et le droit des collectivités",
                80,
                starts_at=_iso(now - timedelta(minutes=30)),
                ends_at=_iso(now + timedelta(hours=2)),
                enrolment_closes_at=_iso(now + timedelta(hours=1)),
                timezone=daytime_zone(now),
            )
        ],
        "offers": [event(14, "L’IA au quotidien, atelier local", 3, waiting_list="offer")],
        "by_link": [event(15, "Écrire avec l’IA, atelier local", 2, waiting_list="offer")],
        "selection": [
            _draft(
                INET_OFFER,
                "Conduire la transition numérique, matinée de Strasbourg",
                opened,
                16,
                {"capacity": 5, "organiser": "inet", "approval": "selection", "venue": "Inet, Strasbourg"},
            )
        ],
        "two_steps": [
            _draft(
                INET_OFFER,
                "Conduire la transition numérique, après l’accord de l’employeur",
                opened,
                24,
                {
                    "capacity": 4,
                    "organiser": "inet",
                    "approval": "employer_then_selection",
                    "venue": "Inet, Strasbourg",
                },
            )
        ],
        "groups": [event(17, "L’IA en équipe, atelier local", 8)],
        "together": [event(23, "L’IA ensemble, atelier local", 3, waiting_list="automatic")],
        "by_hand": [event(25, "L’IA et l’accessibilité, atelier local", 3)],
        "full": [event(26, "L’IA en salle comble, atelier local", 3, **begun)],
        "too_few": [event(27, "L’IA en petit comité, atelier local", 8, **begun)],
        "reserved": [
            event(
                18,
                "L’IA et les petites communes, rencontre bretonne",
                6,
                organiser=RESERVED_FOR,
                reserved_seats=[reserved],
            )
        ],
        "moving": [
            event(20, "L’IA et les archives, atelier local", 3),
            event(21, "L’IA et les archives, une autre date", 3),
        ],
        "approval": [event(19, "L’IA et le budget, atelier local", 10, approval="employer")],
    }


def private_session(now: datetime) -> dict[str, Any]:
    """Return what a delegation and an authority agree on."""
    starts_at = _morning(now + timedelta(days=60))
    return {
        "offer_id": BESPOKE_OFFER,
        "title": "S’approprier les enjeux de l’IA à la Ville de Mas-d’Orb",
        "starts_at": _iso(starts_at),
        "ends_at": _iso(starts_at + timedelta(hours=7)),
        "timezone": "Europe/Paris",
        "capacity": 12,
        "venue": "Hôtel de ville de Mas-d’Orb",
    }


def _draft(
    offer: str, title: str, opened: datetime, number: int, terms: Mapping[str, object]
) -> dict[str, Any]:
    """A session of the offer. `number` tells its organiser, and its day from the others'."""
    starts_at = _morning(opened + timedelta(days=31 + number))
    return {
        "offer_id": offer,
        "title": title,
        "organiser": list(TOWNS)[number % _IN_EUROPE],
        "enrolment_opens_at": _iso(opened),
        "enrolment_closes_at": _iso(starts_at - timedelta(days=5)),
        "starts_at": _iso(starts_at),
        "ends_at": _iso(starts_at + timedelta(hours=2)),
        "timezone": "Europe/Paris",
        "waiting_list": "automatic",
        "approval": "none",
        **terms,
    }


def _morning(moment: datetime) -> datetime:
    """Half past nine of that day in Paris, or of the Monday after."""
    local = moment.astimezone(_PARIS)
    weekend = 7 - local.weekday() if local.weekday() > 4 else 0
    return (local + timedelta(days=weekend)).replace(hour=9, minute=30, second=0)


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(microsecond=0).isoformat()
