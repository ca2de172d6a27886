"""Session changes whose agents are being notified. The session's row is locked for each access."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text

from services.enrolment.rules.enrolments import Enrolment
from services.enrolment.store.enrolments import enrolment_of
from services.enrolment.tables import LIVE_SQL, SessionChangeRow
from shared.database import Transaction
from shared.events.enrolment import SessionPart
from shared.statements import insert_many


@dataclass(frozen=True, slots=True)
class UnpublishedChange:
    """The agents after ``issuer`` and ``agent_id`` are still to be notified."""

    session_id: UUID
    changed: set[SessionPart]
    issuer: str
    agent_id: str


async def add(tx: Transaction, changed: Mapping[UUID, Iterable[SessionPart]]) -> None:
    """If a change of the session is in progress, it starts again, combined with the new one."""
    rows = [
        {"session_id": session_id, "changed": json.dumps(sorted(parts)), "issuer": "", "agent_id": ""}
        for session_id, parts in changed.items()
    ]
    if rows:
        await insert_many(tx, SessionChangeRow, rows, then=_THEN)


async def oldest(tx: Transaction) -> UUID | None:
    session_id: UUID | None = await tx.scalar(_OLDEST)
    return session_id


async def of_session(tx: Transaction, session_id: UUID) -> UnpublishedChange | None:
    row = await tx.get(SessionChangeRow, session_id)
    if row is None:
        return None
    parts = {SessionPart(part) for part in row.changed}
    return UnpublishedChange(session_id, parts, row.issuer, row.agent_id)


async def next_agents(tx: Transaction, change: UnpublishedChange, most: int) -> list[Enrolment]:
    parameters: dict[str, Any] = {
        "session": change.session_id,
        "issuer": change.issuer,
        "agent": change.agent_id,
        "most": most,
    }
    return [enrolment_of(row) for row in await tx.execute(_NEXT, parameters)]


async def go_on_after(tx: Transaction, change: UnpublishedChange, last: Enrolment) -> None:
    agent = {"issuer": last.agent.issuer, "agent": last.agent.agent_id}
    await tx.execute(_GO_ON, {"session": change.session_id, **agent})


async def end(tx: Transaction, change: UnpublishedChange) -> None:
    await tx.execute(_END, {"session": change.session_id})


# Behind the other sessions: otherwise a session that changes again and again would block their notices.
_THEN = (
    "ON CONFLICT (session_id) DO UPDATE SET issuer = excluded.issuer, agent_id = excluded.agent_id, "
    "since = excluded.since, changed = session_change.changed || excluded.changed"
)
_OLDEST = text("SELECT session_id FROM session_change ORDER BY since, session_id LIMIT 1")
# In the order of the index of live enrolments by session, so that each slice reads only its own rows.
_NEXT = text(
    f"SELECT * FROM enrolment WHERE session_id = :session AND state IN ({LIVE_SQL}) "  # noqa: S608 our states
    "AND (issuer, agent_id) > (:issuer, :agent) ORDER BY issuer, agent_id LIMIT :most"
)
_GO_ON = text("UPDATE session_change SET issuer = :issuer, agent_id = :agent WHERE session_id = :session")
_END = text("DELETE FROM session_change WHERE session_id = :session")
