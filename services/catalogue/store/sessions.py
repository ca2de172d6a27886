import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, fields, replace
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import Select, delete, func, select, text
from sqlmodel import col

from services.catalogue.rules.lifecycle import next_announcement_at
from services.catalogue.rules.sessions import (
    Announcement,
    Done,
    Loaded,
    Plan,
    Presentation,
    Session,
    ShownSession,
    Trainer,
)
from services.catalogue.store import audit_log
from services.catalogue.store.audit_log import Action, AuditEntry
from services.catalogue.store.outbox import OUTBOX
from services.catalogue.tables import SessionRow, TrainerRow
from shared.database import Transaction
from shared.events.catalogue import Module
from shared.events.vocabulary import Format, Status
from shared.statements import insert_many, update_many

_PLAN = TypeAdapter(Plan)
_LOADED = TypeAdapter(Loaded)
_MODULES = TypeAdapter(tuple[Module, ...])
_PLAN_FIELDS = tuple(field.name for field in fields(Plan) if field.name != "trainers")
_TRAINER = (
    col(TrainerRow.session_id),
    col(TrainerRow.trainer_id),
    col(TrainerRow.name),
    col(TrainerRow.email),
)
_JSON_FIELDS = frozenset(("modules", "audience", "reserved_seats", "questions", "prerequisite"))
_LOCK_NEW = text("SELECT pg_advisory_xact_lock(hashtextextended(:session_id, 0))")
_LOCK_REFERENCES = text("SELECT pg_advisory_xact_lock(7_497_062)")  # "ref"


async def by_ids(
    tx: Transaction, ids: Collection[UUID], *, organiser: str | None = None
) -> dict[UUID, Session]:
    return await _by_id(tx, _query(ids, organiser))


async def lock(
    tx: Transaction, ids: Collection[UUID], *, organiser: str | None = None
) -> dict[UUID, Session]:
    """Lock existing sessions until the transaction ends.

    Ids are public: with ``organiser``, other organisers' sessions are not locked.
    """
    query = _query(ids, organiser).order_by(col(SessionRow.session_id)).with_for_update()
    return await _by_id(tx, query.execution_options(populate_existing=True))


def _query(ids: Collection[UUID], organiser: str | None) -> Select[SessionRow]:
    query = select(SessionRow).where(col(SessionRow.session_id).in_(ids))
    return query if organiser is None else query.where(col(SessionRow.organiser) == organiser)


async def _by_id(tx: Transaction, query: Select[SessionRow]) -> dict[UUID, Session]:
    # Read trainers by a second statement: the first may have waited for a transaction that changed them.
    found = {row.session_id: _session(row) for row in await tx.scalars(query)}
    return {session.session_id: session for session in await with_trainers(tx, list(found.values()))}


_Shown = TypeVar("_Shown", bound=ShownSession)


async def with_trainers(tx: Transaction, found: Sequence[_Shown]) -> list[_Shown]:
    if not found:
        return []
    ids = [shown.session_id for shown in found]
    query = select(*_TRAINER).where(col(TrainerRow.session_id).in_(ids)).order_by(col(TrainerRow.place))
    trainers: defaultdict[UUID, list[Trainer]] = defaultdict(list)
    for row in await tx.execute(query):
        trainers[row.session_id].append(Trainer(row.trainer_id, row.name, row.email))
    return [
        replace(shown, plan=replace(shown.plan, trainers=tuple(trainers[shown.session_id])))
        if shown.session_id in trainers
        else shown
        for shown in found
    ]


async def with_trainer(tx: Transaction, addresses: Collection[str]) -> list[UUID]:
    query = select(col(TrainerRow.session_id)).where(func.lower(col(TrainerRow.email)).in_(addresses))
    return list(await tx.scalars(query.distinct()))


async def not_over_of(tx: Transaction, offer_id: str, now: datetime) -> list[UUID]:
    query = select(col(SessionRow.session_id)).where(
        col(SessionRow.offer_id) == offer_id,
        col(SessionRow.status) != Status.CANCELLED.value,
        col(SessionRow.ends_at) > now,
    )
    return list(await tx.scalars(query))


async def lock_references(tx: Transaction) -> None:
    """Wait for transactions that give references to sessions: two of them could make the same session.

    Call it before any session is locked: a transaction that already holds a session's lock would deadlock
    here.
    """
    await tx.execute(_LOCK_REFERENCES)


async def lock_new(tx: Transaction, session_id: UUID) -> None:
    """Wait for transactions that make this session: the same form may be sent twice."""
    await tx.execute(_LOCK_NEW, {"session_id": str(session_id)})


async def by_references(
    tx: Transaction, references: Collection[str], organiser: str | None
) -> dict[tuple[str, str], UUID]:
    """Return sessions by organiser and reference in lower case: case does not tell sessions apart."""
    reference = func.lower(col(SessionRow.reference))
    query = select(col(SessionRow.organiser), reference.label("reference"), col(SessionRow.session_id))
    query = query.where(reference.in_({name.lower() for name in references}))
    if organiser is not None:
        query = query.where(col(SessionRow.organiser) == organiser)
    return {(row.organiser, row.reference): row.session_id for row in await tx.execute(query)}


async def existing(tx: Transaction, ids: Collection[UUID]) -> set[UUID]:
    query = select(col(SessionRow.session_id)).where(col(SessionRow.session_id).in_(ids))
    return set(await tx.scalars(query))


async def all_published(tx: Transaction) -> list[Session]:
    rows = await tx.scalars(select(SessionRow).where(col(SessionRow.status) != Status.DRAFT.value))
    return await with_trainers(tx, [_session(row) for row in rows])


async def raise_versions(tx: Transaction, versions: Mapping[UUID, int]) -> None:
    await tx.execute(_RAISE_VERSIONS, {"ids": list(versions), "versions": list(versions.values())})


async def claim_due(tx: Transaction, now: datetime, *, most: int) -> list[Session]:
    """Skip sessions that other transactions have locked."""
    due_at = col(SessionRow.next_announcement_at)
    query = select(SessionRow).where(due_at <= now).order_by(due_at).limit(most)
    rows = await tx.scalars(query.with_for_update(skip_locked=True))
    return await with_trainers(tx, [_session(row) for row in rows])


async def next_announcement_after(tx: Transaction, now: datetime) -> datetime | None:
    due_at = col(SessionRow.next_announcement_at)
    return await tx.scalar(select(func.min(due_at)).where(due_at > now))


async def save_announced(tx: Transaction, announced: Sequence[Done]) -> None:
    if announced:
        rows = [_changing_columns(done.session) for done in announced]
        await update_many(tx, SessionRow, rows, by="session_id")
        await OUTBOX.publish(tx, [event for done in announced for event in done.events])


async def save(
    tx: Transaction, changes: Sequence[tuple[Session | None, Done]], *, actor: str, action: Action
) -> None:
    """Store sessions that ``actor`` changed, each with its former state (None if it is new), with events.

    Each session has an audit entry, unless only the copy of the files differs.
    """
    added = [_columns(done.session) for before, done in changes if before is None]
    if added:
        await insert_many(tx, SessionRow, added)
    changed = [_changing_columns(done.session) for before, done in changes if before is not None]
    if changed:
        await update_many(tx, SessionRow, changed, by="session_id")
    await _save_trainers(tx, changes)
    await OUTBOX.publish(tx, [event for _, done in changes for event in done.events])
    await OUTBOX.publish(tx, [done.trainers for _, done in changes if done.trainers is not None])
    entries = [_entry(actor, action, before, done.session) for before, done in changes]
    await audit_log.record(tx, [entry for entry in entries if entry is not None])


async def _save_trainers(tx: Transaction, changes: Sequence[tuple[Session | None, Done]]) -> None:
    differing = [
        (before, done.session)
        for before, done in changes
        if done.session.plan.trainers != (() if before is None else before.plan.trainers)
    ]
    if not differing:
        return
    of_those = col(TrainerRow.session_id).in_([after.session_id for _, after in differing])
    await tx.execute(delete(TrainerRow).where(of_those))
    rows = [
        {"session_id": after.session_id, "place": place, **asdict(trainer)}
        for _, after in differing
        for place, trainer in enumerate(after.plan.trainers)
    ]
    if rows:
        await insert_many(tx, TrainerRow, rows)


async def remove(tx: Transaction, session: Session, *, actor: str) -> None:
    """The audit entry keeps the session's content."""
    await tx.execute(delete(SessionRow).where(col(SessionRow.session_id) == session.session_id))
    changes = {name: [value, None] for name, value in _audited(session).items()}
    await audit_log.record(
        tx, [AuditEntry(actor, Action.DELETED, session.session_id, session.version, changes)]
    )


def modules_of(stored: list[Any]) -> Sequence[Module]:
    return _MODULES.validate_python(stored) if stored else ()


def shown(row: Any) -> ShownSession:
    return ShownSession(**_state(row))


def _session(row: SessionRow) -> Session:
    return Session(**_state(row), loaded=None if row.loaded is None else _LOADED.validate_python(row.loaded))


def _state(row: Any) -> dict[str, Any]:
    return {
        "session_id": row.session_id,
        "offer_id": row.offer_id,
        "format": Format(row.format),
        "organiser": row.organiser,
        "reference": row.reference,
        "plan": _PLAN.validate_python({name: getattr(row, name) for name in _PLAN_FIELDS}),
        "presentation": Presentation(
            summary=row.summary, experts=tuple(row.experts), source=row.source, choices=tuple(row.choices)
        ),
        "version": row.version,
        "status": Status(row.status),
        "cancellation_reason": row.cancellation_reason,
        "announced": Announcement(row.announced),
    }


def _columns(session: Session) -> dict[str, Any]:
    fixed = {
        "offer_id": session.offer_id,
        "format": session.format.value,
        "organiser": session.organiser,
    }
    return fixed | _changing_columns(session)


def _changing_columns(session: Session) -> dict[str, Any]:
    plan = _PLAN.dump_python(session.plan, mode="json")
    shown, loaded = session.presentation, session.loaded
    return {
        "session_id": session.session_id,
        "reference": session.reference,
        "version": session.version,
        "status": session.status.value,
        "cancellation_reason": session.cancellation_reason,
        "announced": int(session.announced),
        "next_announcement_at": next_announcement_at(session),
        **{name: getattr(session.plan, name) for name in _PLAN_FIELDS},
        **{
            name: None if plan[name] is None else json.dumps(plan[name], ensure_ascii=False)
            for name in _JSON_FIELDS
        },
        "summary": shown.summary,
        "experts": json.dumps(shown.experts, ensure_ascii=False),
        "source": shown.source,
        "choices": json.dumps(shown.choices),
        "loaded": None if loaded is None else _LOADED.dump_json(loaded).decode(),
    }


def _entry(actor: str, action: Action, before: Session | None, after: Session) -> AuditEntry | None:
    if before is not None and replace(before, loaded=after.loaded) == after:
        return None
    old = {} if before is None else _audited(before)
    changes = {
        name: [old.get(name), value]
        for name, value in _audited(after).items()
        if before is None or old[name] != value
    }
    return AuditEntry(actor, action, after.session_id, after.version, changes)


def _audited(session: Session) -> dict[str, Any]:
    plan: dict[str, Any] = _PLAN.dump_python(session.plan, mode="json")
    # The log is kept for years as evidence, so it names no trainer.
    plan["trainers"] = [trainer["trainer_id"] for trainer in plan["trainers"]]
    shown = {"summary": session.presentation.summary, "experts": list(session.presentation.experts)}
    return (
        plan
        | shown
        | {
            "reference": session.reference,
            "status": session.status,
            "cancellation_reason": session.cancellation_reason,
        }
    )


_RAISE_VERSIONS = text(
    "UPDATE session SET version = published.version "
    "FROM unnest(CAST(:ids AS uuid[]), CAST(:versions AS integer[])) AS published (id, version) "
    "WHERE session.session_id = published.id AND session.version < published.version"
)
