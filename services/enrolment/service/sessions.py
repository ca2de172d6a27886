from collections.abc import Collection, Mapping
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

from services.enrolment.rules import expiry, session_changes
from services.enrolment.rules.answering import decide
from services.enrolment.rules.policy import Policy
from services.enrolment.service.failures import NotFound
from services.enrolment.store import outbox, requests, rosters, sessions
from shared import read_log
from shared.auth import Principal
from shared.database import Transaction
from shared.events.catalogue import SessionState
from shared.events.enrolment import SessionOccupancyChanged
from shared.events.seances import numbered
from shared.read_log import Reading, ReadKind

_NOTHING: Mapping[UUID, SessionOccupancyChanged] = MappingProxyType({})


async def apply_states(
    tx: Transaction,
    newest: Mapping[UUID, SessionState],
    policy: Policy,
    now: datetime,
    published: Mapping[UUID, SessionOccupancyChanged] = _NOTHING,
) -> None:
    """``published`` has the last published occupancies of sessions that may have lost their row."""
    rows = {
        session_id: row
        for session_id, row in (await sessions.lock_new(tx, newest)).items()
        if row.version < newest[session_id].version
        or (session_id in published and row.occupancy_version < published[session_id].version)
    }
    states = {
        session_id: numbered(newest[session_id], row.state if row.version else None)
        for session_id, row in rows.items()
    }
    answerable = await requests.undecided(tx, rows)
    by_session = rosters.by_session(answerable)
    loaded = await rosters.load(tx, rows, policy, now, requests=by_session, newest=states)
    for session_id, roster in loaded.items():
        if session_id in published:
            roster.resume_from(published[session_id])
        if roster.is_new or roster.session.version < states[session_id].version:
            session_changes.apply_state(roster, states[session_id])
    # Decide at the end: one agent may be in several of these sessions, whose rosters share a schedule.
    decide(loaded, answerable)
    await rosters.save(tx, loaded.values())


async def restore(
    tx: Transaction,
    newest: Mapping[UUID, SessionState],
    published: Mapping[UUID, SessionOccupancyChanged],
    policy: Policy,
    now: datetime,
) -> None:
    await apply_states(tx, newest, policy, now, {**published, **await outbox.unsent_occupancies(tx)})


async def due(tx: Transaction, policy: Policy, read_until: datetime, now: datetime) -> list[UUID]:
    """Return up to 100 sessions. Every request received before ``read_until`` has been processed."""
    return await sessions.due(tx, min(read_until, now) - policy.grace, now)


async def expire(
    tx: Transaction, session_id: UUID, policy: Policy, read_until: datetime, now: datetime
) -> bool:
    """Return whether anything changed."""
    until = min(read_until, now)
    rows = await sessions.lock(tx, [session_id])
    loaded = await rosters.load(tx, rows, policy, now, over_by=until - policy.grace)
    for roster in loaded.values():
        expiry.expire(roster, until)
    await rosters.save(tx, loaded.values())
    return any(roster.changes for roster in loaded.values())


async def find_own(tx: Transaction, session_id: UUID, organiser: Principal) -> SessionState | None:
    session = await sessions.find(tx, session_id)
    return session if session is not None and organiser.finds(session.organiser) else None


async def read_own(
    tx: Transaction,
    session_id: UUID,
    organiser: Principal,
    reading: Reading,
    kind: ReadKind = ReadKind.ROSTER,
) -> SessionState | None:
    session = await find_own(tx, session_id, organiser)
    if session is not None:
        await read_log.record(tx, reading, kind, session_id=session_id)
    return session


async def lock_own(tx: Transaction, session_id: UUID, organiser: Principal) -> SessionState:
    """Lock an organiser's session until the transaction ends. Raises ``NotFound``."""
    locked = (await sessions.lock(tx, [session_id])).get(session_id)
    if locked is None or not organiser.finds(locked.state.organiser):
        raise NotFound(f"session {session_id}")
    return locked.state


async def states(tx: Transaction, session_ids: Collection[UUID]) -> Mapping[UUID, SessionState]:
    return await sessions.states(tx, session_ids)
