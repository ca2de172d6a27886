"""Events for the notifier's tests: say only what matters."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from shared import clock
from shared.events.catalogue import (
    BespokeRequestAnswered,
    ReplayPublished,
    SessionCancelled,
    SessionChanged,
    SessionScheduled,
)
from shared.events.enrolment import AgentDetailsCorrected, AgentEnrolled, EnrolmentWithdrawn
from shared.events.vocabulary import AgentKey
from tests.unit.notifier.builders import SESSION_ID, a_decision, a_session, an_agent, at

ZOE = AgentKey("iel", "IEL-0048151")
"""The agent of `a_decision`, whose address is this."""
ADDRESS = "zoe.durand@ville-exemple.fr"
TODAY = clock.now()
"""Fixed once: a test that runs across midnight still speaks of one day."""


def noon(days: int) -> datetime:
    """So many days from today, in the middle of the day."""
    return (TODAY + timedelta(days=days)).replace(hour=11, minute=0, second=0, microsecond=0)


def in_days(days: int) -> dict[str, datetime]:
    """The dates of a session that starts in so many days."""
    return {"starts_at": noon(days), "ends_at": noon(days) + timedelta(hours=3)}


def scheduled(**changes: Any) -> SessionScheduled:
    return SessionScheduled.model_validate(a_session(**changes).model_dump())


def changed(**changes: Any) -> SessionChanged:
    return SessionChanged.model_validate(a_session(**{"version": 2} | changes).model_dump())


def cancelled(**changes: Any) -> SessionCancelled:
    values = {"version": 2, "status": "cancelled"}
    return SessionCancelled.model_validate(a_session(**values | changes).model_dump())


def enrolled(number: int, **changes: Any) -> AgentEnrolled:
    """An agent of their own has a seat."""
    agent = an_agent(agent_id=f"A-{number}", email=f"a{number}@ville.example")
    event: AgentEnrolled = a_decision(AgentEnrolled, **{"enrolment_id": uuid4(), "agent": agent} | changes)
    return event


def withdrawn(seat: AgentEnrolled, **changes: Any) -> EnrolmentWithdrawn:
    """The agent gives a seat back."""
    return EnrolmentWithdrawn.model_validate(seat.model_dump() | {"version": 2, "by": "agent"} | changes)


def corrected(email: str | None, agent: AgentKey = ZOE, **changes: Any) -> AgentDetailsCorrected:
    values = {**agent._asdict(), "email": email, "corrected_at": clock.now()}
    return AgentDetailsCorrected.model_validate(values | changes)


def a_session_replay(**changes: Any) -> ReplayPublished:
    """The replay of a session, too old to be news."""
    fields = {
        "resource_id": uuid4(),
        "version": 1,
        "title": "Replay : IA et droit",
        "url": "https://replay.example/1",
        "published_at": at("2025-05-01T10:00+02:00"),
        "organiser": "bretagne",
        "session_id": SESSION_ID,
    }
    return ReplayPublished.model_validate(fields | changes)


def bespoke_answered() -> BespokeRequestAnswered:
    """A letter to an officer, who is no agent."""
    return BespokeRequestAnswered.model_validate(
        {
            "request_id": uuid4(),
            "siret": "21350238800019",
            "answer": "proposed",
            "requested_by": {"name": "Anne Le Bris", "email": "anne.lebris@ville.example"},
            "advisor": {"name": "Yann Le Goff", "email": "yann.legoff@cnfpt.example"},
            "message": "Deux journées à Rennes.",
        }
    )
