"""Replays, dossiers and communities, stored with the events that tell of them."""

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, or_, select, text

from services.catalogue import tables
from services.catalogue.store import trail
from services.catalogue.store.offers import NEVER
from services.catalogue.store.trail import Line, outbox
from shared.database import Transaction, insert_many
from shared.events.catalogue import ReplayPublished, ResourceKind, ResourcePublished

REPLAY = "replay"
_COLUMNS = tables.columns_of(tables.resource)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A resource open to everyone. ``kind`` is ``replay``, ``dossier`` or ``community``.

    ``changed_at`` is when it was stored, which makes no difference between two resources.
    """

    resource_id: UUID
    kind: str
    title: str
    url: str
    published_at: datetime
    summary: str | None = None
    themes: tuple[str, ...] = ()
    organiser: str | None = None
    session_id: UUID | None = None
    source: str | None = None
    version: int = 1
    changed_at: datetime = field(default=NEVER, compare=False)


async def page(
    tx: Transaction,
    after: tuple[datetime, UUID] | None,
    limit: int,
    *,
    kind: str | None = None,
    theme: str | None = None,
    organiser: str | None = None,
    text: str | None = None,
) -> list[Resource]:
    """At most ``limit`` resources, the newest first, that come after ``after``; None restricts nothing."""
    columns = tables.resource.c
    query = select(*_COLUMNS).order_by(columns.published_at.desc(), columns.resource_id).limit(limit)
    if kind is not None:
        query = query.where(columns.kind == kind)
    if organiser is not None:
        query = query.where(columns.organiser == organiser)
    if theme is not None:
        query = query.where(columns.themes.contains([theme]))
    if text is not None:
        query = query.where(tables.matches(columns.search_vector, text))
    if after is not None:
        moment, resource_id = after
        later = columns.published_at < moment
        query = query.where(
            or_(later, (columns.published_at == moment) & (columns.resource_id > resource_id))
        )
    return [_resource(row) for row in await tx.execute(query)]


async def by_ids(tx: Transaction, ids: Collection[UUID]) -> dict[UUID, Resource]:
    """Those of the resources that exist, locked until the transaction ends."""
    columns = tables.resource.c
    query = select(*_COLUMNS).where(columns.resource_id.in_(ids)).order_by(columns.resource_id)
    return {row.resource_id: _resource(row) for row in await tx.execute(query.with_for_update())}


async def of_session(tx: Transaction, session_id: UUID) -> list[Resource]:
    """The replays of a session, the newest first."""
    columns = tables.resource.c
    query = select(*_COLUMNS).where(columns.session_id == session_id)
    query = query.order_by(columns.published_at.desc(), columns.resource_id)
    return [_resource(row) for row in await tx.execute(query)]


async def at(tx: Transaction, kind: str, organiser: str, url: str) -> Resource | None:
    """The resource of ``organiser`` at this address. Until the transaction ends, nobody else asks for it.

    The address is locked, not the row: an address that is free is to stay so for who is about to take it, and
    two that want each other's address do not wait for each other.
    """
    await tx.execute(_LOCK_ADDRESS, {"address": f"{kind}/{organiser}/{url}"})
    columns = tables.resource.c
    query = select(*_COLUMNS).where(columns.url == url, columns.kind == kind, columns.organiser == organiser)
    row = (await tx.execute(query.order_by(columns.published_at).limit(1))).one_or_none()
    return None if row is None else _resource(row)


_LOCK_ADDRESS = text("SELECT pg_advisory_xact_lock(hashtextextended(:address, 0))")


async def by_id(tx: Transaction, resource_id: UUID) -> Resource | None:
    """The resource, if there is one."""
    query = select(*_COLUMNS).where(tables.resource.c.resource_id == resource_id)
    row = (await tx.execute(query)).one_or_none()
    return None if row is None else _resource(row)


Told = tuple[Resource | None, Resource]
"""A resource before (None: it is new), and as everyone is told of it."""


async def publish(tx: Transaction, changes: Sequence[Told], *, actor: str) -> None:
    """Insert or replace resources, and tell of them, unless a replica was faster."""
    if not changes:
        return
    rows = [_columns(resource) for _, resource in changes]
    stored = set((await insert_many(tx, tables.resource, rows, then=_NEWER)).scalars())
    told = [(before, resource) for before, resource in changes if resource.resource_id in stored]
    await outbox.publish(tx, [_event(resource) for _, resource in told])
    await trail.record(tx, [_line(actor, before, resource) for before, resource in told])


def _line(actor: str, before: Resource | None, after: Resource) -> Line:
    """The audit line: what was published, or each field that was corrected."""
    if before is None:
        said = {"url": [None, after.url], "title": [None, after.title]}
        return Line(actor, "published", after.resource_id, after.version, said)
    old, new = (_audited(one) for one in (before, after))
    changes = {name: [old[name], value] for name, value in new.items() if old[name] != value}
    return Line(actor, "changed", after.resource_id, after.version, changes)


def _audited(resource: Resource) -> dict[str, Any]:
    session_id = None if resource.session_id is None else str(resource.session_id)
    said = _columns(resource) | {"themes": list(resource.themes), "session_id": session_id}
    return {name: said[name] for name in CHANGEABLE}


CHANGEABLE = tuple(
    name
    for name in Resource.__dataclass_fields__
    if name not in ("resource_id", "version", "published_at", "changed_at")
)
"""What may differ from one version of a resource to the next."""


_NEWER = (
    "ON CONFLICT (resource_id) DO UPDATE SET version = excluded.version, kind = excluded.kind, "
    "title = excluded.title, summary = excluded.summary, url = excluded.url, themes = excluded.themes, "
    "published_at = excluded.published_at, organiser = excluded.organiser, "
    "session_id = excluded.session_id, source = excluded.source "
    "WHERE resource.version < excluded.version RETURNING resource_id"
)


def _event(resource: Resource) -> ReplayPublished | ResourcePublished:
    state = asdict(resource)
    if resource.kind == REPLAY:
        return ReplayPublished(**{name: state[name] for name in ReplayPublished.model_fields})
    kind = ResourceKind(resource.kind)
    return ResourcePublished(
        **{name: state[name] for name in ResourcePublished.model_fields} | {"kind": kind}
    )


def _resource(row: Row[Any]) -> Resource:
    state = {name: getattr(row, name) for name in Resource.__dataclass_fields__}
    return Resource(**state | {"themes": tuple(row.themes)})


def _columns(resource: Resource) -> dict[str, Any]:
    columns = asdict(resource) | {"themes": json.dumps(resource.themes)}
    del columns["changed_at"]  # the database's own
    return columns
