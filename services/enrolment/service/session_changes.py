"""Notifies the portals of all agents in a changed session, slice by slice."""

from uuid import UUID

from services.enrolment.rules.session_changes import change_event
from services.enrolment.store import session_changes, sessions
from services.enrolment.store.outbox import OUTBOX
from shared.database import Transaction


async def oldest(tx: Transaction) -> UUID | None:
    return await session_changes.oldest(tx)


async def next_slice(tx: Transaction, *, most: int) -> int | None:
    """Return the number of notified agents, or None if no change is left."""
    session_id = await session_changes.oldest(tx)
    if session_id is None:
        return None
    row = (await sessions.lock(tx, [session_id])).get(session_id)
    change = await session_changes.of_session(tx, session_id)
    if row is None or change is None:
        return 0  # another process notified the last agents while this one waited for the lock
    agents = await session_changes.next_agents(tx, change, most)
    await OUTBOX.publish(tx, [change_event(row.state, change.changed, enrolment) for enrolment in agents])
    if len(agents) < most:
        await session_changes.end(tx, change)
    else:
        await session_changes.go_on_after(tx, change, agents[-1])
    return len(agents)
