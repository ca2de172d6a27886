"""The small sessions that the demonstration publishes beside the real offer, which fill within seconds."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from local.people import TOWNS

LOCAL_EVENT_OFFER = "ia-et-territoires"
WEBINAR_OFFER = "webinaires-acculturation-ia"
INET_OFFER = "inet-conduire-transition-numerique"
BESPOKE_OFFER = "sur-mesure-enjeux-ia"
RESERVED_FOR = "bretagne"

_PARIS = ZoneInfo("Europe/Paris")
_IN_EUROPE = 13  # of the delegations, which come first: the others have clocks of their own


def where_it_is_day(now: datetime) -> str:
    """A zone in whose day news may leave now: the letter of a replay waits for the morning of its session."""
    zones = ("Europe/Paris", "America/Martinique", "Indian/Reunion", "Pacific/Noumea")
    return next(zone for zone in zones if 8 <= now.astimezone(ZoneInfo(zone)).hour < 19)


def drafts(now: datetime) -> dict[str, list[dict[str, Any]]]:
    """Return the sessions to draft, by the part that they play."""
    opened = now - timedelta(days=1)

    def event(number: int, title: str, capacity: int, **terms: object) -> dict[str, Any]:
        place = {"venue": f"Salle {number}, délégation régionale"}
        return _draft(LOCAL_EVENT_OFFER, title, opened, number, {**place, "capacity": capacity, **terms})

    def webinar(number: int, title: str, capacity: int, **terms: object) -> dict[str, Any]:
        link = f"https://webinaires.example.org/demonstration-{number}"
        usual = {"join_url": link, "capacity": capacity, "waiting_list": "none"}
        return _draft(WEBINAR_OFFER, title, opened, number, {**usual, **terms})

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
                timezone=where_it_is_day(now),
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
        "groups": [event(17, "L’IA en équipe, atelier local", 8)],
        "reserved": [
            event(
                18,
                "L’IA et les petites communes, rencontre bretonne",
                6,
                organiser=RESERVED_FOR,
                reserved_seats=[reserved],
            )
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
