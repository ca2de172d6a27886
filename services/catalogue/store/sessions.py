"""Sessions: read, claimed, locked, stored with their events; and how full they are."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, Row, Select, and_, func, or_, select, true, tuple_

from services.catalogue import rules, tables
from services.catalogue.rules import Announcement, Done, Plan, Session
from services.catalogue.store import trail
from services.catalogue.store.trail import Line, outbox
from shared.database import Transaction, insert_many, update_many
from shared.events.enrolment import SessionOccupancyChanged
from shared.events.vocabulary import Delegation, EnrolmentWindow, Format, Status

_PLAN = TypeAdapter(Plan)
_PLAN_FIELDS = tuple(field.name for field in fields(Plan))
_JSON_FIELDS = frozenset(("modules", "audience", "reserved_seats"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Presentation:
    """What is shown of a session and told to no other service.

    ``source`` is where the offer's files have it from; None: an organiser made it here.
    """

    summary: str | None = None
    experts: tuple[str, ...] = ()
    source: str | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Occupancy:
    """How full a session is. ``capacity`` None: no limit."""

    version: int
    capacity: int | None
    enrolled: int
    waiting: int
    offered: int


@dataclass(frozen=True, slots=True)
class Listed:
    """A session as it is shown. ``occupancy`` None: the enrolment service has not spoken of it yet."""

    session: Session
    presentation: Presentation
    occupancy: Occupancy | None


@dataclass(frozen=True, slots=True)
class Loaded:
    """A session and the plan that the offer's files last gave it; None where they gave none."""

    session: Session
    presentation: Presentation
    plan: Plan | None


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks: the public sees what was published, a delegation its own drafts too, an admin all."""

    everywhere: bool = False
    delegation: str | None = None


PUBLIC = Viewer()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which sessions to list; None restricts nothing. ``now`` is what ``enrolment`` is judged by."""

    now: datetime
    viewer: Viewer = PUBLIC
    format: Format | None = None
    organiser: Delegation | None = None
    offer_id: str | None = None
    status: Status | None = None
    enrolment: EnrolmentWindow | None = None
    starts_after: datetime | None = None
    starts_before: datetime | None = None


# ------------------------------------------------------------------------------------------- to show


async def shown(tx: Transaction, session_id: UUID, viewer: Viewer) -> Listed | None:
    """The session, if ``viewer`` may see it."""
    query = _LISTING.where(tables.session.c.session_id == session_id, _visible_to(viewer))
    row = (await tx.execute(query)).one_or_none()
    return None if row is None else _listed(row)


async def page(
    tx: Transaction, wanted: Wanted, after: tuple[datetime, UUID] | None, limit: int
) -> list[Listed]:
    """At most ``limit`` sessions by start, then id, that come after ``after``."""
    columns = tables.session.c
    query = _LISTING.where(_visible_to(wanted.viewer), *_conditions(wanted))
    if after is not None:
        query = query.where(tuple_(columns.starts_at, columns.session_id) > tuple_(*after))
    query = query.order_by(columns.starts_at, columns.session_id).limit(limit)
    return [_listed(row) for row in await tx.execute(query)]


def _listing() -> Select[Any]:
    seats = tables.occupancy.c
    return select(
        tables.session,
        seats.version.label("seats_version"),
        seats.capacity.label("seats_capacity"),
        seats.enrolled,
        seats.waiting,
        seats.offered,
    ).outerjoin(tables.occupancy, seats.session_id == tables.session.c.session_id)


_LISTING = _listing()


def _visible_to(viewer: Viewer) -> ColumnElement[bool]:
    """A draft is its maker's; a bespoke session is private to one authority."""
    columns = tables.session.c
    if viewer.everywhere:
        return true()
    public = and_(columns.status != Status.DRAFT.value, columns.format != Format.BESPOKE.value)
    return public if viewer.delegation is None else or_(public, columns.organiser == viewer.delegation)


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    columns = tables.session.c
    conditions: list[ColumnElement[bool]] = []
    for name in ("format", "organiser", "offer_id", "status"):
        value = getattr(wanted, name)
        if value is not None:
            conditions.append(columns[name] == str(value))
    if wanted.starts_after is not None:
        conditions.append(columns.starts_at >= wanted.starts_after)
    if wanted.starts_before is not None:
        conditions.append(columns.starts_at < wanted.starts_before)
    if wanted.enrolment is not None:
        opens, closes, now = columns.enrolment_opens_at, columns.enrolment_closes_at, wanted.now
        # The same line between open and closed as rules.enrolment_at; nobody enrols in a cancelled session.
        conditions.append(columns.status != Status.CANCELLED.value)
        conditions.append(
            {
                EnrolmentWindow.NOT_YET_OPEN: and_(opens > now, closes > now),
                EnrolmentWindow.OPEN: and_(opens <= now, closes > now),
                EnrolmentWindow.CLOSED: closes <= now,
            }[wanted.enrolment]
        )
    return conditions


# ------------------------------------------------------------------------------------------ to change


async def for_update(tx: Transaction, session_id: UUID) -> Session | None:
    """The session, locked until the transaction ends."""
    query = select(tables.session).where(tables.session.c.session_id == session_id).with_for_update()
    row = (await tx.execute(query)).one_or_none()
    return None if row is None else _session(row)


async def claim_due(tx: Transaction, now: datetime, *, most: int) -> list[Session]:
    """Sessions to which the clock owes something by ``now``, locked; what others have locked is skipped."""
    due_at = tables.session.c.next_transition_at
    query = select(tables.session).where(due_at <= now).order_by(due_at).limit(most)
    return [_session(row) for row in await tx.execute(query.with_for_update(skip_locked=True))]


async def next_announcement_after(tx: Transaction, now: datetime) -> datetime | None:
    """When the clock next owes anything to any session."""
    due_at = tables.session.c.next_transition_at
    moment: datetime | None = await tx.scalar(select(func.min(due_at)).where(due_at > now))
    return moment


async def loaded_for_update(tx: Transaction, ids: Collection[UUID]) -> dict[UUID, Loaded]:
    """Those of the sessions that exist, locked."""
    columns = tables.session.c
    query = select(tables.session).where(columns.session_id.in_(ids)).order_by(columns.session_id)
    return {row.session_id: _loaded(row) for row in await tx.execute(query.with_for_update())}


async def save_announced(tx: Transaction, announced: Sequence[Done]) -> None:
    """Store sessions as the clock left them, and the events."""
    if announced:
        await update_many(
            tx, tables.session, [_changing(done.session) for done in announced], by="session_id"
        )
        await outbox.publish(tx, [event for done in announced for event in done.events])


async def save(tx: Transaction, before: Session, done: Done, *, actor: str, action: str) -> None:
    """Store a session that ``actor`` changed, the events that tell of it, and the audit line."""
    await update_many(tx, tables.session, [_changing(done.session)], by="session_id")
    await outbox.publish(tx, done.events)
    await trail.record(tx, [_line(actor, action, before, done.session)])


async def add(tx: Transaction, done: Done, presentation: Presentation, *, actor: str) -> None:
    """Store a session that ``actor`` made, the events if it is published, and the audit line."""
    await _insert(tx, [Loaded(done.session, presentation, None)])
    await outbox.publish(tx, done.events)
    await trail.record(tx, [_line(actor, "created", None, done.session)])


async def save_loaded(
    tx: Transaction, changes: Sequence[tuple[Session | None, Done, Presentation, Plan]], *, actor: str
) -> None:
    """Store sessions as a load left them: before (None: new), after, what is shown, the files' plan."""
    new = [Loaded(done.session, shown, plan) for before, done, shown, plan in changes if before is None]
    known = [Loaded(done.session, shown, plan) for before, done, shown, plan in changes if before is not None]
    if new:
        await _insert(tx, new)
    if known:
        rows = [_changing(one.session) | _presenting(one) for one in known]
        await update_many(tx, tables.session, rows, by="session_id")
    await outbox.publish(tx, [event for _, done, _, _ in changes for event in done.events])
    await trail.record(
        tx,
        [
            _line(actor, "loaded", before, done.session)
            for before, done, _, _ in changes
            if before != done.session
        ],
    )


async def _insert(tx: Transaction, sessions: Sequence[Loaded]) -> None:
    rows = [
        {
            "offer_id": one.session.offer_id,
            "format": one.session.format.value,
            "organiser": one.session.organiser,
        }
        | _changing(one.session)
        | _presenting(one)
        for one in sessions
    ]
    await insert_many(tx, tables.session, rows)


# ------------------------------------------------------------------------------------------ occupancy


async def record_occupancy(tx: Transaction, said: Sequence[SessionOccupancyChanged]) -> None:
    """Keep the newest word on each session: a version that is not newer than the known one is dropped."""
    newest: dict[UUID, SessionOccupancyChanged] = {}
    for one in said:
        known = newest.get(one.session_id)
        if known is None or one.version > known.version:
            newest[one.session_id] = one
    # In the order of ids, so that two consumers never wait for each other.
    rows = [newest[session_id].model_dump(include=_OCCUPANCY_FIELDS) for session_id in sorted(newest)]
    await insert_many(tx, tables.occupancy, rows, then=_NEWER_OCCUPANCY)


_OCCUPANCY_FIELDS = {"session_id", "version", "capacity", "enrolled", "waiting", "offered"}
_NEWER_OCCUPANCY = (
    "ON CONFLICT (session_id) DO UPDATE SET version = excluded.version, capacity = excluded.capacity, "
    "enrolled = excluded.enrolled, waiting = excluded.waiting, offered = excluded.offered "
    "WHERE occupancy.version < excluded.version"
)


# ------------------------------------------------------------------------------------- rows and facts


def _session(row: Row[Any]) -> Session:
    return Session(
        session_id=row.session_id,
        offer_id=row.offer_id,
        format=Format(row.format),
        organiser=row.organiser,
        version=row.version,
        status=Status(row.status),
        announced=Announcement(row.announced),
        plan=_PLAN.validate_python({name: getattr(row, name) for name in _PLAN_FIELDS}),
    )


def _loaded(row: Row[Any]) -> Loaded:
    plan = None if row.loaded is None else _PLAN.validate_python(row.loaded)
    return Loaded(_session(row), _presentation(row), plan)


def _listed(row: Row[Any]) -> Listed:
    occupancy = None
    if row.seats_version is not None:
        occupancy = Occupancy(row.seats_version, row.seats_capacity, row.enrolled, row.waiting, row.offered)
    return Listed(_session(row), _presentation(row), occupancy)


def _presentation(row: Row[Any]) -> Presentation:
    return Presentation(
        summary=row.summary, experts=tuple(row.experts), source=row.source, choices=tuple(row.choices)
    )


def _changing(session: Session) -> dict[str, Any]:
    """The columns of a session that can change, and its id."""
    plan = _PLAN.dump_python(session.plan, mode="json")
    return {
        "session_id": session.session_id,
        "version": session.version,
        "status": session.status.value,
        "announced": int(session.announced),
        "next_transition_at": rules.next_announcement_at(session),
    } | {
        name: json.dumps(plan[name], ensure_ascii=False)
        if name in _JSON_FIELDS
        else getattr(session.plan, name)
        for name in _PLAN_FIELDS
    }


def _presenting(one: Loaded) -> dict[str, Any]:
    return {
        "summary": one.presentation.summary,
        "experts": json.dumps(one.presentation.experts, ensure_ascii=False),
        "source": one.presentation.source,
        "choices": json.dumps(one.presentation.choices),
        "loaded": None if one.plan is None else _PLAN.dump_json(one.plan).decode(),
    }


def _line(actor: str, action: str, before: Session | None, after: Session) -> Line:
    """The audit line of a change: each field of the plan that differs, and the status."""
    old = {} if before is None else _PLAN.dump_python(before.plan, mode="json") | {"status": before.status}
    new = _PLAN.dump_python(after.plan, mode="json") | {"status": after.status}
    changes = {
        name: [old.get(name), value] for name, value in new.items() if before is None or old[name] != value
    }
    return Line(actor, action, after.session_id, after.version, changes)
