"""Who is enrolled, offered a seat, waiting in which order, pending, refused and why: for organisers."""

from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from services.enrolment.rules import State
from services.enrolment.store.facts import session_of
from shared.database import Transaction
from shared.events.catalogue import SessionState
from shared.events.vocabulary import EARLIEST, Agent

_SEATED = [state.value for state in State if state.has_seat]
_PARTS = [
    State.OFFERED,
    State.WAITLISTED,
    State.PENDING_APPROVAL,
    State.PENDING_SELECTION,
    State.REFUSED,
    State.LAPSED,
    State.WITHDRAWN,
    State.SESSION_CANCELLED,
]
"""The order of the roster, after those who have a seat."""

Key = tuple[int, int, int, datetime, UUID]
"""Where an entry stands in the roster: part, minus priority in line, ticket, time of receipt, id."""

_FIRST: Key = (-1, 0, 0, EARLIEST, UUID(int=0))


@dataclass(frozen=True, slots=True)
class Entry:
    """One enrolment as an organiser sees it. ``marks``: attendance by module, counted from 0."""

    key: Key
    enrolment_id: UUID
    version: int
    state: State
    reason: str | None
    position: int | None
    priority: int
    agent: Agent
    address_is_bad: bool
    received_at: datetime
    updated_at: datetime
    hold_until: datetime | None
    marks: Mapping[int, str]


async def session(tx: Transaction, session_id: UUID) -> SessionState | None:
    """A session as the catalogue last told it."""
    row = (await tx.execute(_SESSION, {"id": session_id})).one_or_none()
    return None if row is None else session_of(row)


async def page(
    tx: Transaction, session_id: UUID, after: Key | None, limit: int, *, states: Collection[State] = ()
) -> list[Entry]:
    """The next ``limit`` entries of a roster, of these states or of all."""
    result = await tx.execute(_PAGE, _parameters(session_id, states) | _beginning(after) | {"limit": limit})
    return [_entry(row) for row in result]


async def whole(tx: Transaction, session_id: UUID, *, states: Collection[State] = ()) -> AsyncIterator[Entry]:
    """The whole roster as of one moment, row by row."""
    parameters = _parameters(session_id, states) | _beginning(None) | {"limit": None}
    result = await tx.stream(_PAGE, parameters)
    async for row in result:
        yield _entry(row)


async def entry(tx: Transaction, session_id: UUID, enrolment_id: UUID) -> Entry:
    """One entry, which exists."""
    result = await tx.execute(_ONE, _parameters(session_id, ()) | {"enrolment": enrolment_id})
    return _entry(result.one())


def _parameters(session_id: UUID, states: Collection[State]) -> dict[str, Any]:
    return {
        "id": session_id,
        "states": [state.value for state in states] or None,
        "seated": _SEATED,
        "parts": [state.value for state in _PARTS],
    }


def _beginning(after: Key | None) -> dict[str, Any]:
    part, priority, ticket, received_at, enrolment_id = after or _FIRST
    return {
        "part": part,
        "priority": priority,
        "ticket": ticket,
        "received": received_at,
        "enrolment": enrolment_id,
    }


def _entry(row: Row[Any]) -> Entry:
    return Entry(
        key=(row.part, row.before, row.ticket or 0, row.received_at, row.enrolment_id),
        enrolment_id=row.enrolment_id,
        version=row.version,
        state=State(row.state),
        reason=row.reason,
        position=row.position,
        priority=row.priority,
        agent=Agent.model_validate(row.agent),
        address_is_bad=row.address_is_bad,
        received_at=row.received_at,
        updated_at=row.updated_at,
        hold_until=row.hold_until if row.state == State.OFFERED else None,
        marks={int(module): mark for module, mark in (row.marks or {}).items()},
    )


_SESSION = text("SELECT * FROM session WHERE session_id = :id")
_ROSTER = (
    "WITH roster AS (SELECT enrolment.*, CASE WHEN state = ANY(CAST(:seated AS text[])) THEN 0 "
    "ELSE array_position(CAST(:parts AS text[]), CAST(state AS text)) END AS part, "
    "CASE WHEN state = 'waitlisted' THEN -priority ELSE 0 END AS before FROM enrolment "
    "WHERE session_id = :id AND (CAST(:states AS text[]) IS NULL OR state = ANY(CAST(:states AS text[])))), "
    "line AS (SELECT enrolment_id, row_number() OVER (ORDER BY priority DESC, ticket) AS position "
    "FROM enrolment WHERE session_id = :id AND state = 'waitlisted') "
)
_ORDER = "part, before, coalesce(ticket, 0), received_at, enrolment_id"
# What is looked up for each entry, only for those of the page.
_DETAILS = (
    "SELECT page.*, position, bad_address.agent_id IS NOT NULL AS address_is_bad, "
    "(SELECT jsonb_object_agg(module, attendance) FROM attendance "
    "WHERE attendance.enrolment_id = page.enrolment_id) AS marks "
    "FROM page LEFT JOIN line USING (enrolment_id) "
    "LEFT JOIN bad_address ON bad_address.agent_id = page.agent_id "
)
_PAGE = text(
    f"{_ROSTER}, page AS (SELECT * FROM roster WHERE ({_ORDER}) "  # noqa: S608 our own words
    "> (:part, :priority, CAST(:ticket AS bigint), CAST(:received AS timestamptz), CAST(:enrolment AS uuid)) "
    f"ORDER BY {_ORDER} LIMIT :limit) {_DETAILS} ORDER BY {_ORDER}"
)
_ONE = text(f"{_ROSTER}, page AS (SELECT * FROM roster WHERE enrolment_id = :enrolment) {_DETAILS}")  # noqa: S608
