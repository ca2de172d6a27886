"""Sessions, decisions and mails for the notifier's tests: say only what matters."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from services.notifier.letters import (
    Interest,
    InterestKind,
    LetterType,
    Mail,
    NewsItem,
    NewsKind,
    NumberedSession,
)
from services.notifier.render import Renderer, Sender
from shared.events.enrolment import Decision
from shared.events.vocabulary import Agent

SENDER = Sender("CNFPT", "formations@cnfpt.example", "formations@cnfpt.example")
SESSION_ID = UUID("6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a11")
MOOC_ID = UUID("2f1c1f5e-61d2-5ab8-8d0b-4d4cbb3f7f10")
ENROLMENT_ID = UUID("0b7a4e52-58f3-4d0e-8a51-9f2f2b6a6c01")
MAIL_ID = UUID("d2719a4e-3b53-4a52-9d53-2b8f7f6f3a90")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def a_renderer() -> Renderer:
    return Renderer(SENDER, now=lambda: at("2025-03-10T14:06+01:00"))


def a_session(**changes: Any) -> NumberedSession:
    """A local event in Rennes, Thursday 3 April 2025, 9:30 to 17:00."""
    fields: dict[str, Any] = {
        "session_id": SESSION_ID,
        "version": 1,
        "offer_id": "ia-et-territoires",
        "format": "local_event",
        "title": "IA et territoires : le CNFPT s’engage pour développer les compétences",
        "status": "published",
        "phase": "upcoming",
        "enrolment": "open",
        "enrolment_opens_at": at("2025-02-26T00:00+01:00"),
        "enrolment_closes_at": at("2025-03-29T00:00+01:00"),
        "starts_at": at("2025-04-03T09:30+02:00"),
        "ends_at": at("2025-04-03T17:00+02:00"),
        "timezone": "Europe/Paris",
        "capacity": 80,
        "waiting_list": "automatic",
        "organiser": "bretagne",
        "venue": "Le Couvent des Jacobins, 20 place Sainte-Anne, Rennes",
    }
    return NumberedSession.model_validate(fields | changes)


def the_mooc(**changes: Any) -> NumberedSession:
    """The MOOC of the offer, with three séances."""
    fields: dict[str, Any] = {
        "session_id": MOOC_ID,
        "format": "mooc",
        "title": "Les fondamentaux de l’IA",
        "starts_at": at("2025-03-16T23:00+00:00"),
        "enrolment_closes_at": at("2025-03-28T23:00+00:00"),
        "ends_at": at("2025-04-11T22:00+00:00"),
        "capacity": None,
        "waiting_list": "none",
        "organiser": "inset-montpellier",
        "venue": None,
        "join_url": "https://mooc.example/ia",
        "modules": [
            {
                "title": f"Séance {n}",
                "starts_at": at(f"2025-0{m}T09:00+0{z}:00"),
                "ends_at": at(f"2025-0{m}T12:00+0{z}:00"),
            }
            for n, m, z in ((1, "3-17", 1), (2, "3-24", 1), (3, "4-01", 2))
        ],
    }
    return a_session(**(fields | changes))


def an_agent(**changes: Any) -> Agent:
    fields: dict[str, Any] = {
        "agent_id": "IEL-0048151",
        "issuer": "iel",
        "email": "zoe.durand@ville-exemple.fr",
        "given_name": "Zoé",
        "family_name": "Durand",
        "function": "agent",
        "employer": {"siret": "21350238800019", "name": "Ville de Rennes", "delegation": "bretagne"},
    }
    return Agent.model_validate(fields | changes)


def a_decision(kind: type[Decision], **changes: Any) -> Any:
    fields: dict[str, Any] = {
        "enrolment_id": ENROLMENT_ID,
        "version": 1,
        "request_id": uuid4(),
        "session_id": SESSION_ID,
        "agent": an_agent(),
    }
    return kind.model_validate(fields | changes)


def some_news(**changes: Any) -> NewsItem:
    fields: dict[str, Any] = {
        "item_id": UUID("4a1c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a99"),
        "kind": NewsKind.REPLAY,
        "title": "Replay : IA et droit",
        "summary": "Une heure pour comprendre.",
        "url": "https://replay.example/1",
        "interests": (Interest(InterestKind.THEME, "enjeux-ia"),),
        "published_at": at("2025-03-10T10:00+01:00"),
    }
    return NewsItem(**(fields | changes))


def a_mail(template: LetterType, **changes: Any) -> Mail:
    fields: dict[str, Any] = {
        "mail_id": MAIL_ID,
        "template": template,
        "details": {},
        "message_id": f"<{MAIL_ID.hex}@cnfpt.example>",
        "address": "zoe.durand@ville-exemple.fr",
        "given_name": "Zoé",
        "family_name": "Durand",
        "session_id": SESSION_ID,
        "enrolment_id": ENROLMENT_ID,
        "version": 1,
        "called_for_at": at("2025-03-10T14:05:30+01:00"),
    }
    return Mail(**(fields | changes))
