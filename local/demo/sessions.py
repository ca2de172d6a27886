from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from local.model.session import CatalogueSession
from local.people import TOWNS

_OFFERS = {
    "event": "ia-et-territoires",
    "webinar": "webinaires-acculturation-ia",
    "inet": "inet-conduire-transition-numerique",
}
WITH_CONTACT = "inset-angers"
ORGANISERS_ADDRESS = "organisation.angers@cnfpt.example"

# The shortest time between now and a session's dates, so that the clock decides nothing.
_MARGIN = timedelta(minutes=10)
# Days before a session on which scheduled letters leave.
_LETTERS_DAYS_BEFORE = (1, 7, 15)
_PARIS = ZoneInfo("Europe/Paris")
_IN_EUROPE = 13  # the first delegations are in Europe; the others have other clocks


@dataclass(frozen=True)
class DemoSessions:
    mooc: Sequence[CatalogueSession]
    local_events: Sequence[CatalogueSession]
    webinars: Sequence[CatalogueSession]
    selective: Sequence[CatalogueSession]
    not_yet_open: Sequence[CatalogueSession]
    closed: Sequence[CatalogueSession]
    small: Mapping[str, Sequence[CatalogueSession]]

    def of_part(self, part: str) -> CatalogueSession:
        (session,) = self.small[part]
        return session

    def all(self) -> list[CatalogueSession]:
        groups = (
            self.mooc, self.local_events, self.webinars, self.selective, self.not_yet_open, self.closed,
            *self.small.values(),
        )  # fmt: skip
        return list({session.session_id: session for group in groups for session in group}.values())


def choose_sessions(
    documents: Sequence[Mapping[str, Any]],
    small: Mapping[str, Sequence[CatalogueSession]],
    now: datetime,
    most: int | None = None,
) -> DemoSessions:
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
        return [session for session in plain if session.format == name and is_open(session)][:most]

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
        ][:most],
        not_yet_open=[session for session in plain if session.opens_at > now + _MARGIN][:most],
        closed=[session for session in plain if session.closes_at < now - _MARGIN][:most],
        small=small,
    )


def _has_letters_now(document: Mapping[str, Any], now: datetime) -> bool:
    """The demonstration cannot know how many reminders or joining instructions leave about now."""
    zone = ZoneInfo(document["timezone"])
    start = datetime.fromisoformat(document["starts_at"]).astimezone(zone)
    moments = [start - timedelta(days=days) for days in _LETTERS_DAYS_BEFORE]
    return any(abs(moment - now) < _MARGIN for moment in moments)


def daytime_zone(now: datetime) -> str:
    """Return a zone where it is day now. At night, the letter about a replay would wait for the morning."""
    zones = ("Europe/Paris", "America/Martinique", "Indian/Reunion", "Pacific/Noumea")
    return next(zone for zone in zones if 8 <= now.astimezone(ZoneInfo(zone)).hour < 19)


def small_sessions(now: datetime) -> dict[str, list[dict[str, Any]]]:
    parts = yaml.safe_load(Path(__file__).with_name("sessions.yaml").read_text())
    return {
        part: [draft(now, number, **terms) for number in terms.pop("numbers")]
        for part, terms in parts.items()
    }


def private_session(now: datetime) -> dict[str, Any]:
    starts_at = _morning(now + timedelta(days=60))
    return {
        "offer_id": "sur-mesure-enjeux-ia",
        "title": "S’approprier les enjeux de l’IA à la Ville de Mas-d’Orb",
        "starts_at": _iso(starts_at),
        "ends_at": _iso(starts_at + timedelta(hours=7)),
        "timezone": "Europe/Paris",
        "capacity": 12,
        "venue": "Hôtel de ville de Mas-d’Orb",
    }


def draft(
    now: datetime, number: int, *, kind: str, title: str, begun: bool = False, reserved: int = 0, **terms: Any
) -> dict[str, Any]:
    starts_at = _morning(now + timedelta(days=30 + number))
    closes_at = starts_at - timedelta(days=5)
    if begun:
        # Enrolment closes a while after the start, so that moving its end causes no letter.
        starts_at, closes_at = now - timedelta(minutes=30), now + timedelta(hours=1)
    seats = {"delegation": "bretagne", "seats": reserved, "release_at": _iso(now + timedelta(days=20))}
    return {
        "offer_id": _OFFERS[kind],
        "title": title.format(number).replace("n° ", "n°\N{NO-BREAK SPACE}"),
        "organiser": "inet" if kind == "inet" else list(TOWNS)[number % _IN_EUROPE],
        "enrolment_opens_at": _iso(now - timedelta(days=1)),
        "enrolment_closes_at": _iso(closes_at),
        "starts_at": _iso(starts_at),
        "ends_at": _iso(starts_at + (timedelta(hours=2.5) if begun else timedelta(hours=2))),
        # The letter about a replay waits for the morning in the session's zone. By day it leaves at once.
        "timezone": daytime_zone(now) if kind == "webinar" and begun else "Europe/Paris",
        "waiting_list": "none" if kind == "webinar" else "automatic",
        "approval": "none",
        **(
            {"join_url": f"https://webinaires.example.org/demonstration-{number}"}
            if kind == "webinar"
            else {"venue": "Inet, Strasbourg" if kind == "inet" else f"Salle {number}, délégation régionale"}
        ),
        **({"reserved_seats": [seats]} if reserved else {}),
        **terms,
    }


def _morning(moment: datetime) -> datetime:
    local = moment.astimezone(_PARIS)
    weekend = 7 - local.weekday() if local.weekday() > 4 else 0
    return (local + timedelta(days=weekend)).replace(hour=9, minute=30, second=0)


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(microsecond=0).isoformat()
