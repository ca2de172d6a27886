"""What happened to an agent, in a session, because of a request: read for whoever asks why."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from services.enrolment.store.facts import session_of
from services.enrolment.store.requests import request_outcome
from shared.database import Transaction
from shared.events.catalogue import SessionState


@dataclass(frozen=True, slots=True)
class Story:
    """Rows of one enrolment: how it stands, the request that began it, its moves and its events, in order."""

    session: SessionState
    enrolment: Row[Any]
    began: Row[Any] | None
    changes: Sequence[Row[Any]]
    events: Sequence[Row[Any]]


async def of_agent(tx: Transaction, agent_id: str) -> list[Story]:
    """Every enrolment of an agent, the oldest first."""
    return await _stories(tx, "agent_id = :about", agent_id)


async def of_request(tx: Transaction, request_id: UUID) -> list[Story]:
    """The enrolments that a request began or moved."""
    return await _stories(
        tx,
        "request_id = :about OR enrolment_id IN "
        "(SELECT enrolment_id FROM enrolment_change WHERE request_id = :about)",
        request_id,
    )


async def requests_of_agent(tx: Transaction, agent_id: str) -> Sequence[Row[Any]]:
    """What was asked about an agent by name, the oldest first."""
    result = await tx.execute(_REQUESTS_OF_AGENT, {"agent": agent_id})
    return result.all()


async def session(tx: Transaction, session_id: UUID) -> tuple[SessionState, Row[Any]] | None:
    """A session as it is known, with its row; None: no such."""
    row = (await tx.execute(_SESSION, {"id": session_id})).one_or_none()
    return None if row is None else (session_of(row), row)


async def answers_in(tx: Transaction, session_id: UUID) -> Sequence[Row[Any]]:
    """How many requests for a session came to what, and why: kind, outcome, reason, number."""
    return (await tx.execute(_ANSWERS, {"id": session_id})).all()


async def moves_in(tx: Transaction, session_id: UUID, limit: int) -> Sequence[Row[Any]]:
    """The last moves in a session, the oldest first."""
    return list(reversed((await tx.execute(_MOVES, {"id": session_id, "limit": limit})).all()))


async def _stories(tx: Transaction, condition: str, about: str | UUID) -> list[Story]:
    enrolments = await tx.execute(
        text(f"SELECT * FROM enrolment WHERE {condition} ORDER BY received_at, enrolment_id LIMIT 1000"),  # noqa: S608 one of the two above
        {"about": about},
    )
    stories = []
    for enrolment in enrolments.all():
        known = await session(tx, enrolment.session_id)
        if known is None:
            continue
        changes = await tx.execute(_CHANGES, {"id": enrolment.enrolment_id})
        events = await tx.execute(_EVENTS, {"agent": enrolment.agent_id, "id": str(enrolment.enrolment_id)})
        stories.append(
            Story(
                session=known[0],
                enrolment=enrolment,
                began=await request_outcome(tx, enrolment.request_id),
                changes=changes.all(),
                events=events.all(),
            )
        )
    return stories


_REQUESTS_OF_AGENT = text("SELECT * FROM request WHERE agent_id = :agent ORDER BY number LIMIT 1000")
_SESSION = text("SELECT * FROM session WHERE session_id = :id")
_ANSWERS = text(
    "SELECT kind, outcome, reason, count(*) AS number FROM request WHERE session_id = :id "
    "GROUP BY kind, outcome, reason ORDER BY number DESC"
)
_MOVES = text(
    "SELECT * FROM enrolment_change WHERE session_id = :id ORDER BY at DESC, version DESC LIMIT :limit"
)
_CHANGES = text("SELECT * FROM enrolment_change WHERE enrolment_id = :id ORDER BY version")
_EVENTS = text(
    "SELECT event_id, type, sent_at, data::jsonb->>'version' AS version FROM outbox "
    "WHERE key = :agent AND data::jsonb->>'enrolment_id' = :id ORDER BY id"
)
