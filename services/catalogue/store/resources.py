import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text
from sqlmodel import col

from services.catalogue.rules.resources import CHANGEABLE, Kind, Resource
from services.catalogue.rules.searching import Position
from services.catalogue.store import audit_log
from services.catalogue.store.audit_log import Action, AuditEntry
from services.catalogue.store.outbox import OUTBOX
from services.catalogue.store.search import matches
from services.catalogue.tables import ResourceRow
from shared.database import Transaction
from shared.events.catalogue import (
    ReplayPublished,
    ResourceEvent,
    ResourceKind,
    ResourcePublished,
    ResourceWithdrawn,
)
from shared.statements import in_order, insert_many, next_to

_LOCK_ADDRESS = text("SELECT pg_advisory_xact_lock(hashtextextended(:address, 0))")
_REPLACE_IF_NEWER = (
    "ON CONFLICT (resource_id) DO UPDATE SET version = excluded.version, kind = excluded.kind, "
    "title = excluded.title, summary = excluded.summary, url = excluded.url, themes = excluded.themes, "
    "published_at = excluded.published_at, organiser = excluded.organiser, "
    "session_id = excluded.session_id, source = excluded.source, withdrawn_at = excluded.withdrawn_at "
    "WHERE resource.version < excluded.version RETURNING resource_id"
)
_PLACE = (col(ResourceRow.published_at), col(ResourceRow.resource_id))
_OPEN = col(ResourceRow.withdrawn_at).is_(None)


async def page(
    tx: Transaction,
    after: Position | None,
    limit: int,
    *,
    kind: Kind | None = None,
    theme: str | None = None,
    organiser: str | None = None,
    text: str | None = None,
    withdrawn_too: bool = False,
    before: Position | None = None,
) -> list[Resource]:
    query = next_to(select(ResourceRow), _PLACE, after, before, descending=True).limit(limit)
    if not withdrawn_too:
        query = query.where(_OPEN)
    if kind is not None:
        query = query.where(col(ResourceRow.kind) == kind.value)
    if organiser is not None:
        query = query.where(col(ResourceRow.organiser) == organiser)
    if theme is not None:
        query = query.where(col(ResourceRow.themes).contains([theme]))
    if text is not None:
        query = query.where(matches(ResourceRow, text))
    return in_order([_resource(row) for row in await tx.scalars(query)], before)


async def by_id(tx: Transaction, resource_id: UUID) -> Resource | None:
    row = await tx.get(ResourceRow, resource_id)
    return None if row is None else _resource(row)


async def lock(tx: Transaction, ids: Collection[UUID]) -> dict[UUID, Resource]:
    query = select(ResourceRow).where(col(ResourceRow.resource_id).in_(ids))
    query = query.order_by(col(ResourceRow.resource_id)).with_for_update()
    return {row.resource_id: _resource(row) for row in await tx.scalars(query)}


async def of_session(tx: Transaction, session_id: UUID) -> list[Resource]:
    query = select(ResourceRow).where(col(ResourceRow.session_id) == session_id, _OPEN)
    query = next_to(query, _PLACE, None, descending=True)
    return [_resource(row) for row in await tx.scalars(query)]


async def at(tx: Transaction, kind: Kind, organiser: str, url: str) -> Resource | None:
    """Lock the address, and return its resource. ``organiser`` "" is no delegation.

    The address is locked, not the row: a free address must stay free, and two transactions that want each
    other's address must not deadlock.
    """
    await tx.execute(_LOCK_ADDRESS, {"address": f"{kind}/{organiser}/{url}"})
    query = select(ResourceRow).where(
        col(ResourceRow.url) == url,
        col(ResourceRow.kind) == kind.value,
        func.coalesce(col(ResourceRow.organiser), "") == organiser,
        _OPEN,
    )
    row = (await tx.scalars(query.order_by(col(ResourceRow.published_at)).limit(1))).one_or_none()
    return None if row is None else _resource(row)


async def publish(
    tx: Transaction, changes: Sequence[tuple[Resource | None, Resource]], *, actor: str
) -> None:
    """Store resources, each with its former state (None if it is new), with events and audit entries.

    A resource is left out if another replica has stored this version or a later one.
    """
    if not changes:
        return
    rows = [_columns(resource) for _, resource in changes]
    stored = set((await insert_many(tx, ResourceRow, rows, then=_REPLACE_IF_NEWER)).scalars())
    changes = [(before, after) for before, after in changes if after.resource_id in stored]
    await OUTBOX.publish(tx, [_event(after) for _, after in changes])
    await audit_log.record(tx, [_entry(actor, before, after) for before, after in changes])


async def events(tx: Transaction) -> list[ResourceEvent]:
    return [_event(_resource(row)) for row in await tx.scalars(select(ResourceRow))]


async def raise_versions(tx: Transaction, versions: Mapping[UUID, int]) -> None:
    await tx.execute(_RAISE_VERSIONS, {"ids": list(versions), "versions": list(versions.values())})


def _entry(actor: str, before: Resource | None, after: Resource) -> AuditEntry:
    """A withdrawal has no field: the content may be the mistake."""
    if before is None:
        published = {"url": [None, after.url], "title": [None, after.title]}
        return AuditEntry(actor, Action.PUBLISHED, after.resource_id, after.version, published)
    if after.withdrawn_at is not None:
        return AuditEntry(actor, Action.WITHDRAWN, after.resource_id, after.version, {})
    old, new = _audited(before), _audited(after)
    changes = {name: [old[name], value] for name, value in new.items() if old[name] != value}
    return AuditEntry(actor, Action.CHANGED, after.resource_id, after.version, changes)


def _audited(resource: Resource) -> dict[str, Any]:
    session_id = None if resource.session_id is None else str(resource.session_id)
    audited = _columns(resource) | {"themes": list(resource.themes), "session_id": session_id}
    return {name: audited[name] for name in CHANGEABLE}


def _event(resource: Resource) -> ResourceEvent:
    state = asdict(resource)
    if resource.withdrawn_at is not None:
        return ResourceWithdrawn(**{name: state[name] for name in ResourceWithdrawn.model_fields})
    if resource.kind is Kind.REPLAY:
        return ReplayPublished(**{name: state[name] for name in ReplayPublished.model_fields})
    state["kind"] = ResourceKind(resource.kind)
    return ResourcePublished(**{name: state[name] for name in ResourcePublished.model_fields})


def _resource(row: ResourceRow) -> Resource:
    state = {field.name: getattr(row, field.name) for field in fields(Resource)}
    return Resource(**state | {"kind": Kind(row.kind), "themes": tuple(row.themes)})


def _columns(resource: Resource) -> dict[str, Any]:
    columns = asdict(resource) | {"kind": resource.kind.value, "themes": json.dumps(resource.themes)}
    del columns["changed_at"]  # the database sets it
    return columns


_RAISE_VERSIONS = text(
    "UPDATE resource SET version = published.version "
    "FROM unnest(CAST(:ids AS uuid[]), CAST(:versions AS integer[])) AS published (id, version) "
    "WHERE resource.resource_id = published.id AND resource.version < published.version"
)
