"""The sessions that sample letters are about."""

from typing import Any
from uuid import UUID

from services.notifier.letters import NumberedSession

_SESSION = UUID("6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a11")
_OTHER = UUID("6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a12")
_MOOC = UUID("2f1c1f5e-61d2-5ab8-8d0b-4d4cbb3f7f10")


def event(**changes: Any) -> NumberedSession:
    """A local event in Rennes; its own agents wait for offers."""
    fields: dict[str, Any] = {
        "session_id": _SESSION,
        "version": 2,
        "offer_id": "ia-et-territoires",
        "format": "local_event",
        "title": "IA et territoires : le CNFPT s’engage pour développer les compétences",
        "status": "published",
        "phase": "upcoming",
        "enrolment": "open",
        "enrolment_opens_at": "2025-02-26T00:00:00+01:00",
        "enrolment_closes_at": "2025-03-29T00:00:00+01:00",
        "starts_at": "2025-04-03T09:30:00+02:00",
        "ends_at": "2025-04-03T17:00:00+02:00",
        "timezone": "Europe/Paris",
        "capacity": 80,
        "waiting_list": "offer",
        "organiser": "bretagne",
        "venue": "Le Couvent des Jacobins, 20 place Sainte-Anne, Rennes",
    }
    return NumberedSession.model_validate(fields | changes)


def mooc() -> NumberedSession:
    """The MOOC of the offer, open for four weeks."""
    modules = [
        {"title": title, "starts_at": start, "ends_at": end}
        for title, start, end in (
            ("Séance 1 : comprendre", "2025-03-17T00:00:00+01:00", "2025-03-24T00:00:00+01:00"),
            ("Séance 2 : pratiquer", "2025-03-24T00:00:00+01:00", "2025-03-31T00:00:00+02:00"),
            ("Séance 3 : agir", "2025-03-31T00:00:00+02:00", "2025-04-12T00:00:00+02:00"),
        )
    ]
    return event(
        session_id=_MOOC,
        format="mooc",
        title="Les fondamentaux de l’IA",
        starts_at="2025-03-17T00:00:00+01:00",
        ends_at="2025-04-12T00:00:00+02:00",
        capacity=None,
        waiting_list="none",
        organiser="inset-montpellier",
        venue=None,
        join_url="https://mooc.example/ia",
        modules=modules,
    )


def inet(**changes: Any) -> NumberedSession:
    """Three days in Strasbourg, whose title has guillemets."""
    days = (
        (13, "5", "Journée 1 : comprendre"),
        (14, "5", "Journée 2 : organiser"),
        (5, "6", "Journée 3 : évaluer"),
    )
    modules = [
        {
            "title": title,
            "starts_at": f"2025-0{month}-{day:02}T09:30:00+02:00",
            "ends_at": f"2025-0{month}-{day:02}T17:00:00+02:00",
        }
        for day, month, title in days
    ]
    return event(
        format="inet",
        title="Conduire la transition numérique : le rôle de l’encadrement, « du cap au cadre »",
        enrolment_closes_at="2025-04-22T00:00:00+02:00",
        starts_at="2025-05-13T09:30:00+02:00",
        ends_at="2025-06-05T17:00:00+02:00",
        capacity=20,
        organiser="inet",
        venue="Institut national des études territoriales, Strasbourg",
        modules=modules,
        **changes,
    )


def webinar() -> NumberedSession:
    """One in another zone, on line."""
    return event(
        session_id=_OTHER,
        format="webinar",
        title="IA : quels enjeux pour les collectivités ?",
        starts_at="2025-03-20T14:00:00+04:00",
        ends_at="2025-03-20T15:30:00+04:00",
        timezone="Indian/Reunion",
        waiting_list="none",
        organiser="la-reunion",
        venue=None,
        join_url="https://visio.example/ia",
    )
