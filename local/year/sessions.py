"""The sessions of the year, beside the offer's own: small, so that few people fill them."""

from typing import Any

from local.year.acts import iso

PUBLISHED = "2025-02-27 10:00"
OPENS = "2025-03-03 09:00"


def local_event(title: str, starts: str, ends: str, capacity: int | None, **terms: Any) -> dict[str, Any]:
    """A local event; the first in line is enrolled unless `terms` say otherwise."""
    usual = {"organiser": "bretagne", "venue": "Délégation Bretagne, Rennes", "waiting_list": "automatic"}
    return _draft("ia-et-territoires", title, starts, ends, {"capacity": capacity, **usual, **terms})


def webinar(title: str, starts: str, ends: str, capacity: int | None) -> dict[str, Any]:
    """A webinar."""
    link = {"organiser": "inset-nancy", "join_url": "https://webinaires.example.org/direct"}
    return _draft("webinaires-acculturation-ia", title, starts, ends, {"capacity": capacity, **link})


def of_inet(title: str, starts: str, ends: str, capacity: int, **terms: Any) -> dict[str, Any]:
    """A session of INET."""
    usual = {"organiser": "inet", "venue": "Inet, Strasbourg", "capacity": capacity}
    return _draft("inet-conduire-transition-numerique", title, starts, ends, {**usual, **terms})


def private(title: str, starts: str, ends: str, capacity: int) -> dict[str, Any]:
    """What a delegation and an authority agree on."""
    return {
        "offer_id": "sur-mesure-enjeux-ia",
        "title": title,
        "starts_at": iso(starts),
        "ends_at": iso(ends),
        "timezone": "Europe/Paris",
        "capacity": capacity,
        "venue": "Hôtel de ville",
    }


def _draft(offer: str, title: str, starts: str, ends: str, terms: dict[str, Any]) -> dict[str, Any]:
    return {
        "offer_id": offer,
        "title": title,
        "enrolment_opens_at": iso(OPENS),
        "starts_at": iso(starts),
        "ends_at": iso(ends),
        "timezone": "Europe/Paris",
        **terms,
    }
