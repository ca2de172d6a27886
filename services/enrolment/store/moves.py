"""The moves of enrolments that followed from one request: for whoever asks why, and to say who asked."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from shared.database import Transaction


async def caused_by(
    tx: Transaction, request_id: UUID, session_id: UUID, decided_at: datetime, agent_id: str | None
) -> Sequence[Row[Any]]:
    """Cause and state of each move that a request made: of its own agent first, then of others."""
    parameters = {"request": request_id, "session": session_id, "at": decided_at, "agent": agent_id}
    return (await tx.execute(_CAUSED_BY, parameters)).all()


async def sign(
    tx: Transaction, request_id: UUID, session_id: UUID, decided_at: datetime, author: str
) -> None:
    """Keep who made a request, beside the numbers of each move that it made."""
    parameters = {"request": request_id, "session": session_id, "at": decided_at, "author": author}
    await tx.execute(_SIGN, parameters)


# By session and time, which the index has: a request is decided at one moment.
_CAUSED_BY = text(
    "SELECT cause, state FROM enrolment_change WHERE session_id = :session AND at = :at "
    "AND request_id = :request ORDER BY agent_id = CAST(:agent AS text) DESC, version, enrolment_id"
)
_SIGN = text(
    "UPDATE enrolment_change SET facts = facts || jsonb_build_object('author', CAST(:author AS text)) "
    "WHERE session_id = :session AND at = :at AND request_id = :request"
)
