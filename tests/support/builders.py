"""Builders that take only what matters to a test."""

import itertools
import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from shared import clock
from shared.events.catalogue import SessionScheduled, SessionState
from shared.events.vocabulary import Agent

OPENS = datetime(2025, 2, 26, 8, 0, tzinfo=UTC)
CLOSES = datetime(2025, 5, 10, 22, 0, tzinfo=UTC)
STARTS = datetime(2025, 5, 15, 7, 30, tzinfo=UTC)
ENDS = datetime(2025, 5, 15, 15, 0, tzinfo=UTC)
DURING = datetime(2025, 3, 20, 10, 0, tzinfo=UTC)
"""While enrolment is open."""

_numbers = itertools.count(1)


def an_agent(agent_id: str | None = None, **changes: Any) -> Agent:
    """An agent of Rennes; ``agent_id`` is new unless given."""
    agent_id = agent_id or f"IEL-{next(_numbers):07d}"
    values: dict[str, Any] = {
        "agent_id": agent_id,
        "email": f"{agent_id.lower()}@ville-exemple.fr",
        "given_name": "Zoé",
        "family_name": "Durand",
        "function": "agent",
        "employer": {"siret": "21350238800019", "name": "Ville de Rennes", "delegation": "bretagne"},
    }
    return Agent.model_validate(values | changes)


def a_session(**changes: Any) -> SessionState:
    """A published local event with a waiting list and 20 seats, open at :data:`DURING`."""
    values: dict[str, Any] = {
        "session_id": uuid.uuid4(),
        "version": 1,
        "offer_id": "ia-et-territoires",
        "format": "local_event",
        "title": "IA et territoires",
        "status": "published",
        "phase": "upcoming",
        "enrolment": "open",
        "enrolment_opens_at": OPENS,
        "enrolment_closes_at": CLOSES,
        "starts_at": STARTS,
        "ends_at": ENDS,
        "timezone": "Europe/Paris",
        "capacity": 20,
        "waiting_list": "automatic",
        "organiser": "bretagne",
        "venue": "Rennes, 2 rue du Test",
    }
    return SessionScheduled.model_validate(values | changes)


def a_question(question_id: str = "repas", kind: str = "yes_no", **changes: Any) -> dict[str, Any]:
    """A question of a session, as its state has it; of a choice « végétarien » and « sans gluten »."""
    question = {
        "question_id": question_id,
        "kind": kind,
        "label": f"Que répondez-vous à « {question_id} » ?",
        "choices": ["végétarien", "sans gluten"] if kind == "choice" else [],
        "required": False,
        "functions": [],
        "kept_days": 30,
    }
    return question | changes


def open_now(**changes: Any) -> SessionState:
    """A session that is open at this very moment and starts in a month."""
    now = clock.now()
    dates = {
        "enrolment_opens_at": now - timedelta(days=10),
        "enrolment_closes_at": now + timedelta(days=20),
        "starts_at": now + timedelta(days=30),
        "ends_at": now + timedelta(days=30, hours=7),
    }
    return a_session(**(dates | changes))


def headers(
    event_type: str,
    *,
    event_id: uuid.UUID | None = None,
    source: str = "/portals/essai",
    **changes: bytes | None,
) -> list[tuple[str, bytes | None]]:
    """Binary-mode CloudEvents headers, as a portal sends them; ``changes`` replace some."""
    values: dict[str, bytes | None] = {
        "ce_specversion": b"1.0",
        "ce_id": str(event_id or uuid.uuid4()).encode(),
        "ce_type": event_type.encode(),
        "ce_source": source.encode(),
        "ce_time": datetime.now(UTC).isoformat().encode(),
        "content-type": b"application/json",
    }
    return list((values | changes).items())


def as_json(document: Mapping[str, Any]) -> bytes:
    """A record's value."""
    return json.dumps(document, ensure_ascii=False).encode()


def enrolment_request(
    session_id: uuid.UUID | str, agent: Agent | None = None, **changes: Any
) -> dict[str, Any]:
    """The data of an EnrolmentRequested, as a portal writes it."""
    agent = agent or an_agent()
    document = {"session_id": str(session_id), "agent": agent.model_dump(mode="json"), "approval": None}
    return document | changes
