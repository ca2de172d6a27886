import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import select, text
from sqlmodel import col

from services.enrolment.rules.seats import Seats
from services.enrolment.rules.states import SEATED, State
from services.enrolment.rules.waiting_list import WaitingGroup
from services.enrolment.tables import SessionRow
from shared import places
from shared.database import Row, Transaction
from shared.events.catalogue import SessionState
from shared.events.seances import NumberedSession
from shared.events.vocabulary import AgentKey, Employer
from shared.statements import insert_many


async def find(tx: Transaction, session_id: UUID) -> SessionState | None:
    row = await tx.get(SessionRow, session_id)
    return None if row is None else session_of(row)


async def find_row(tx: Transaction, session_id: UUID) -> SessionRow | None:
    return await tx.get(SessionRow, session_id)


async def states(tx: Transaction, session_ids: Collection[UUID]) -> dict[UUID, NumberedSession]:
    found = await tx.scalars(select(SessionRow).where(col(SessionRow.session_id).in_(session_ids)))
    return {row.session_id: session_of(row) for row in found}


async def all_rows(tx: Transaction) -> Sequence[SessionRow]:
    return (await tx.scalars(select(SessionRow))).all()


@dataclass(frozen=True, slots=True)
class LockedSession:
    """A session whose row this transaction has locked.

    Columns are read instead of ``SessionRow`` instances, which made batches of a hundred sessions 8 %
    slower.
    """

    state: NumberedSession
    version: int
    enrolled: int
    offered: int
    waiting: int
    next_ticket: int
    newest_receipt: datetime | None
    occupancy_version: int
    seats_by_employer: Mapping[str, Mapping[str, int]] | None
    next_release_at: datetime | None
    close_judged_for: datetime | None
    cancelled_at: datetime | None
    waiting_groups: Mapping[int, WaitingGroup]


async def lock(tx: Transaction, session_ids: Collection[UUID]) -> dict[UUID, LockedSession]:
    """Lock existing rows in the order of their ids: otherwise two batches would deadlock."""
    if not session_ids:
        return {}
    return {
        row.session_id: LockedSession(
            state=session_of(row),
            version=row.version,
            enrolled=row.enrolled,
            offered=row.offered,
            waiting=row.waiting,
            next_ticket=row.next_ticket,
            newest_receipt=row.newest_receipt,
            occupancy_version=row.occupancy_version,
            seats_by_employer=row.seats_by_employer,
            next_release_at=row.next_release_at,
            close_judged_for=row.close_judged_for,
            cancelled_at=row.cancelled_at,
            waiting_groups=_groups_of(row.waiting_groups),
        )
        for row in await tx.execute(_LOCK, {"ids": list(session_ids)})
    }


_GROUPS = TypeAdapter(dict[int, WaitingGroup])
_NO_GROUPS: Mapping[int, WaitingGroup] = MappingProxyType({})


def _groups_of(stored: object) -> Mapping[int, WaitingGroup]:
    return _NO_GROUPS if stored is None else _GROUPS.validate_python(stored)


def groups_json(groups: dict[int, WaitingGroup]) -> str | None:
    return _GROUPS.dump_json(groups).decode() if groups else None


async def others_of_offer(
    tx: Transaction, session: SessionState, agent: AgentKey | None, now: datetime
) -> list[tuple[SessionState, Seats]]:
    """Sort by the distance from this session. Without a known place the same organiser's come first.

    Leave out sessions where the agent has an enrolment.
    """
    parameters = {"session": session.session_id, "offer": session.offer_id, "now": now, "live": _LIVE}
    who = dict.fromkeys(AgentKey._fields) if agent is None else agent._asdict()
    rows = await tx.execute(_OTHERS_OF_OFFER, parameters | who)
    found = [(session_of(row), seats_of(row)) for row in rows]
    nearness = places.nearness(session)
    return sorted(found, key=lambda other: nearness(other[0]))


def seats_of(row: LockedSession | Row) -> Seats:
    seats = Seats(row.enrolled, row.offered)
    if row.seats_by_employer is not None:
        seats.by_delegation.update(row.seats_by_employer["delegation"])
        seats.by_siret.update(row.seats_by_employer["siret"])
    return seats


async def limited(tx: Transaction, session_ids: Collection[UUID]) -> dict[UUID, bool]:
    rows = await tx.execute(_LIMITED, {"ids": list(session_ids)})
    return {row.session_id: row.limited for row in rows}


async def lock_new(tx: Transaction, states: Mapping[UUID, SessionState]) -> dict[UUID, LockedSession]:
    """Lock the sessions. A missing row is created with version 0 and the given state.

    Its counts and cancellation date come from existing enrolments, in case the row was lost.
    """
    if not states:
        return {}
    rows = [
        {
            "session_id": session_id,
            "version": 0,
            "state": state.model_dump_json(),
            "enrolled": 0,
            "offered": 0,
            "waiting": 0,
            "seat_ceiling": state.capacity,
            "next_ticket": 1,
            "occupancy_version": 0,
        }
        for session_id, state in sorted(states.items())
    ]
    inserted = await insert_many(
        tx, SessionRow, rows, then="ON CONFLICT (session_id) DO NOTHING RETURNING session_id"
    )
    await tx.execute(_COUNT_ENROLMENTS, {"ids": list(inserted.scalars())})
    return await lock(tx, states)


async def due(tx: Transaction, over: datetime, now: datetime) -> list[UUID]:
    """Reserved seats count by ``now``, everything else by ``over``. At most a hundred sessions."""
    return list((await tx.execute(_DUE, {"now": now, "over": over})).scalars())


async def with_undecided_requests(tx: Transaction) -> set[UUID]:
    return set((await tx.execute(_WITH_UNDECIDED_REQUESTS)).scalars())


@dataclass(frozen=True, slots=True)
class SeatsOfEmployer:
    session_id: UUID
    employer: Employer
    number: int


async def seats_by_employer(tx: Transaction, session_ids: Sequence[UUID]) -> list[SeatsOfEmployer]:
    if not session_ids:
        return []
    rows = await tx.execute(_SEATS_BY_EMPLOYER, {"ids": list(session_ids), "holding": _HOLDING})
    return [
        SeatsOfEmployer(
            row.session_id,
            Employer.model_construct(siret=row.siret, name="", delegation=row.delegation),
            row.number,
        )
        for row in rows
    ]


@dataclass(frozen=True, slots=True)
class EnrolmentCounts:
    enrolled: int = 0
    offered: int = 0
    waiting: int = 0


async def counts(tx: Transaction) -> dict[UUID, EnrolmentCounts]:
    return {
        row.session_id: EnrolmentCounts(row.enrolled, row.offered, row.waiting)
        for row in await tx.execute(_COUNTS)
    }


def session_of(row: SessionRow | Row) -> NumberedSession:
    """Return the catalogue's state of a session. The last few thousand states stay decoded."""
    if row.version == 0:  # inserted in this transaction, which may still be rolled back
        return NumberedSession.model_validate(row.state)
    return _decoded(row.session_id, row.version, _NotCompared(row.state))


@dataclass(frozen=True, slots=True)
class _NotCompared:
    """Id and version identify a state, so the cache does not compare this value."""

    value: Any = field(compare=False)


@functools.lru_cache(maxsize=4096)
def _decoded(_session_id: UUID, _version: int, state: _NotCompared) -> NumberedSession:
    return NumberedSession.model_validate(state.value)


_LIVE = [state.value for state in State if state.is_live]
_HOLDING = [state.value for state in State if state.holds_seat]
_SEATED_SQL = ", ".join(f"'{state}'" for state in SEATED)
_COUNTED = (
    f"SELECT session_id, CAST(count(*) FILTER (WHERE state IN ({_SEATED_SQL})) AS integer) AS enrolled, "  # noqa: S608 our own states
    "CAST(count(*) FILTER (WHERE state = 'offered') AS integer) AS offered, "
    "CAST(count(*) FILTER (WHERE state = 'waitlisted') AS integer) AS waiting, "
    "count(ticket) + 1 AS next_ticket, max(received_at) FILTER (WHERE ticket IS NOT NULL) AS newest_receipt "
    "FROM enrolment"
)
_COUNTS = text(f"{_COUNTED} GROUP BY session_id")
_COUNT_ENROLMENTS = text(
    f"""
    UPDATE session SET enrolled = counted.enrolled, offered = counted.offered, waiting = counted.waiting,
        next_ticket = counted.next_ticket, newest_receipt = counted.newest_receipt,
        cancelled_at = (SELECT min(at) FROM enrolment_change AS change
            WHERE change.session_id = session.session_id AND cause = 'session_cancelled'),
        waiting_groups = (SELECT jsonb_object_agg(ticket,
                jsonb_build_object('priority', priority, 'members', members))
            FROM (SELECT ticket, priority, count(*) AS members FROM enrolment
                WHERE enrolment.session_id = session.session_id AND state = 'waitlisted' AND waits_together
                GROUP BY 1, 2) AS together),
        seat_ceiling = CASE WHEN seat_ceiling IS NOT NULL
            THEN greatest(seat_ceiling, counted.enrolled + counted.offered) END
    FROM ({_COUNTED} WHERE session_id = ANY(CAST(:ids AS uuid[])) GROUP BY session_id) AS counted
    WHERE session.session_id = counted.session_id
    """  # noqa: S608 our own states
)
# Select columns: an object read earlier in this transaction would not be refreshed.
_LOCK = text(
    "SELECT session_id, version, state, enrolled, offered, waiting, next_ticket, newest_receipt, "
    "occupancy_version, seats_by_employer, next_release_at, close_judged_for, cancelled_at, waiting_groups "
    "FROM session "
    "WHERE session_id = ANY(CAST(:ids AS uuid[])) ORDER BY session_id FOR UPDATE"
)
_OTHERS_OF_OFFER = text(
    "SELECT session_id, version, session.state, enrolled, offered, seats_by_employer FROM session "
    "WHERE enrolment_closes_at > :now AND session_id <> :session AND session.state->>'offer_id' = :offer "
    "AND NOT EXISTS (SELECT FROM enrolment WHERE enrolment.session_id = session.session_id "
    "AND agent_id = :agent_id AND issuer = :issuer AND enrolment.state = ANY(CAST(:live AS text[])))"
)
_LIMITED = text(
    "SELECT session_id, state->>'capacity' IS NOT NULL AS limited FROM session "
    "WHERE session_id = ANY(CAST(:ids AS uuid[]))"
)
# Only a move has a second session: the bodies of groups are large.
_WITH_UNDECIDED_REQUESTS = text(
    "SELECT DISTINCT session.session_id FROM request, LATERAL (VALUES (request.session_id), "
    "(CAST(CASE kind WHEN 'Swap' THEN body->>'to_session_id' END AS uuid))) AS of_request (session_id) "
    "JOIN session ON session.session_id = of_request.session_id WHERE decided_at IS NULL"
)
_DUE = text(
    "(SELECT session_id FROM enrolment WHERE state = 'offered' AND hold_until <= :over LIMIT 100) "
    "UNION (SELECT session_id FROM session WHERE next_release_at <= :now LIMIT 100) "
    "UNION (SELECT session_id FROM session WHERE close_due_at <= :over LIMIT 100) "
    "UNION (SELECT session_id FROM session WHERE groups_kept_until <= :over LIMIT 100) "
    "UNION (SELECT session_id FROM session WHERE waiting > 0 AND line_ends_at <= :over LIMIT 100) "
    "UNION (SELECT DISTINCT session_id FROM enrolment JOIN session USING (session_id) "
    "WHERE enrolment.state IN ('pending_approval', 'pending_selection') AND CASE enrolment.state "
    "WHEN 'pending_approval' THEN enrolment_closes_at "
    "ELSE CAST(session.state->>'ends_at' AS timestamptz) END <= :over LIMIT 100) LIMIT 100"
)
_SEATS_BY_EMPLOYER = text(
    "SELECT session_id, agent->'employer'->>'siret' AS siret, "
    "agent->'employer'->>'delegation' AS delegation, count(*) AS number FROM enrolment "
    "WHERE session_id = ANY(CAST(:ids AS uuid[])) AND state = ANY(CAST(:holding AS text[])) GROUP BY 1, 2, 3"
)
