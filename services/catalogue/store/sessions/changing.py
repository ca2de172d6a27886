"""Sessions locked, claimed, and stored with their events and the line that says who changed what."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select

from services.catalogue import tables
from services.catalogue.rules import Done, Session
from services.catalogue.store import trail
from services.catalogue.store.sessions import rows
from services.catalogue.store.sessions.facts import Loaded, Presentation
from services.catalogue.store.trail import outbox
from shared.database import Transaction, insert_many, update_many
from shared.events.catalogue import SessionState


@dataclass(frozen=True, slots=True)
class Change:
    """What a load makes of a session: before (None: it is new), after, and the events that tell of it."""

    before: Loaded | None
    after: Loaded
    events: tuple[SessionState, ...] = ()

    @property
    def can_be_seen(self) -> bool:
        """Whether anything but what the files gave differs."""
        before, after = self.before, self.after
        return before is None or (before.session, before.presentation) != (after.session, after.presentation)


async def for_update(tx: Transaction, session_id: UUID) -> Loaded | None:
    """The session, locked until the transaction ends."""
    query = select(*rows.COLUMNS).where(tables.session.c.session_id == session_id).with_for_update()
    row = (await tx.execute(query)).one_or_none()
    return None if row is None else rows.loaded(row)


async def claim_due(tx: Transaction, now: datetime, *, most: int) -> list[Session]:
    """Sessions to which the clock owes something by ``now``, locked; what others have locked is skipped."""
    due_at = tables.session.c.next_announcement_at
    query = select(*rows.COLUMNS).where(due_at <= now).order_by(due_at).limit(most)
    return [rows.session(row) for row in await tx.execute(query.with_for_update(skip_locked=True))]


async def next_announcement_after(tx: Transaction, now: datetime) -> datetime | None:
    """When the clock next owes anything to any session."""
    due_at = tables.session.c.next_announcement_at
    moment: datetime | None = await tx.scalar(select(func.min(due_at)).where(due_at > now))
    return moment


async def loaded_for_update(tx: Transaction, ids: Collection[UUID]) -> dict[UUID, Loaded]:
    """Those of the sessions that exist, locked."""
    columns = tables.session.c
    query = select(*rows.COLUMNS).where(columns.session_id.in_(ids)).order_by(columns.session_id)
    return {row.session_id: rows.loaded(row) for row in await tx.execute(query.with_for_update())}


async def save_announced(tx: Transaction, announced: Sequence[Done]) -> None:
    """Store sessions as the clock left them, and the events."""
    if announced:
        await update_many(
            tx, tables.session, [rows.changing(done.session) for done in announced], by="session_id"
        )
        await outbox.publish(tx, [event for done in announced for event in done.events])


async def save(
    tx: Transaction, before: Loaded, done: Done, presentation: Presentation, *, actor: str, action: str
) -> None:
    """Store a session that ``actor`` changed, the events that tell of it, and the audit line."""
    after = Loaded(done.session, presentation, before.given)
    stored = rows.changing(done.session) | rows.presenting(after)
    await update_many(tx, tables.session, [stored], by="session_id")
    await outbox.publish(tx, done.events)
    await trail.record(tx, [rows.line(actor, action, before, after)])


async def delete(tx: Transaction, before: Loaded, *, actor: str) -> None:
    """Delete a session of which nobody was told; the audit line keeps what it was."""
    await tx.execute(tables.session.delete().where(tables.session.c.session_id == before.session.session_id))
    await trail.record(tx, [rows.last_line(actor, before)])


async def add(
    tx: Transaction, added: Sequence[tuple[Done, Presentation]], *, actor: str, action: str = "created"
) -> None:
    """Store sessions that ``actor`` made, the events of those that are published, and the audit lines."""
    new = [Loaded(done.session, shown, None) for done, shown in added]
    if new:
        await _insert(tx, new)
        await outbox.publish(tx, [event for done, _ in added for event in done.events])
        await trail.record(tx, [rows.line(actor, action, None, one) for one in new])


async def save_loaded(tx: Transaction, changes: Sequence[Change], *, actor: str) -> None:
    """Store sessions as a load left them, the events, and an audit line of each that differs."""
    new = [change.after for change in changes if change.before is None]
    known = [change.after for change in changes if change.before is not None]
    if new:
        await _insert(tx, new)
    if known:
        stored = [rows.changing(one.session) | rows.presenting(one) for one in known]
        await update_many(tx, tables.session, stored, by="session_id")
    await outbox.publish(tx, [event for change in changes for event in change.events])
    lines = [
        rows.line(actor, "loaded", change.before, change.after) for change in changes if change.can_be_seen
    ]
    await trail.record(tx, lines)


async def _insert(tx: Transaction, sessions: Sequence[Loaded]) -> None:
    stored = [
        {
            "offer_id": one.session.offer_id,
            "format": one.session.format.value,
            "organiser": one.session.organiser,
        }
        | rows.changing(one.session)
        | rows.presenting(one)
        for one in sessions
    ]
    await insert_many(tx, tables.session, stored)
