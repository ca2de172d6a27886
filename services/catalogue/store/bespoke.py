from collections.abc import Collection, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import ColumnElement, false, func, or_, select, true, update
from sqlmodel import col

from services.catalogue.rules.bespoke import BespokeRequest, BespokeState
from services.catalogue.rules.searching import Position, Viewer
from services.catalogue.store import audit_log
from services.catalogue.store.audit_log import Action, AuditEntry
from services.catalogue.store.outbox import OUTBOX
from services.catalogue.tables import BespokeRequestRow
from shared.database import Transaction
from shared.events.catalogue import BespokeRequestAnswered
from shared.events.vocabulary import Contact
from shared.references import ids_of
from shared.statements import in_order, insert_many, next_to

_SAME = tuple(
    field.name for field in fields(BespokeRequest) if field.name not in ("state", "requester", "advisor")
)


async def add(tx: Transaction, requests: Sequence[BespokeRequest]) -> list[BespokeRequest]:
    """Return the new requests. Known requests stay as they are.

    A request with the ``ce_id`` of another portal's request gets another id, the same each time.
    """
    if not requests:
        return []
    known = col(BespokeRequestRow.bespoke_id)
    taken = set(
        await tx.scalars(select(known).where(known.in_([request.bespoke_id for request in requests])))
    )
    rows = []
    for request in requests:
        columns = _columns(request)
        if request.bespoke_id in taken:
            columns["bespoke_id"] = uuid5(request.bespoke_id, request.source)
        taken.add(request.bespoke_id)
        rows.append(columns)
    once = "ON CONFLICT (request_id, source) DO NOTHING RETURNING request_id, source"
    added = {
        (row.request_id, row.source) for row in await insert_many(tx, BespokeRequestRow, rows, then=once)
    }
    return [request for request in requests if (request.request_id, request.source) in added]


async def page(
    tx: Transaction,
    viewer: Viewer,
    after: Position | None,
    limit: int,
    *,
    before: Position | None = None,
    state: BespokeState | None = None,
    delegation: str | None = None,
    sought: str = "",
) -> list[BespokeRequest]:
    place = (col(BespokeRequestRow.received_at), col(BespokeRequestRow.bespoke_id))
    query = select(BespokeRequestRow).where(_visible_to(viewer))
    if state is not None:
        query = query.where(col(BespokeRequestRow.state) == state.value)
    if delegation is not None:
        query = query.where(col(BespokeRequestRow.delegation) == delegation)
    if sought:
        query = query.where(_found_by(sought))
    rows = await tx.scalars(next_to(query, place, after, before, descending=True).limit(limit))
    return in_order([_request(row) for row in rows], before)


async def counts(tx: Transaction, viewer: Viewer) -> dict[BespokeState, int]:
    state = col(BespokeRequestRow.state)
    query = select(state, func.count().label("number")).where(_visible_to(viewer)).group_by(state)
    return {BespokeState(row.state): row.number for row in await tx.execute(query)}


async def in_state(tx: Transaction, viewer: Viewer, state: BespokeState, limit: int) -> list[BespokeRequest]:
    """Open requests come by age, others newest first."""
    moved_at = func.coalesce(col(BespokeRequestRow.answered_at), col(BespokeRequestRow.received_at))
    query = select(BespokeRequestRow).where(_visible_to(viewer), col(BespokeRequestRow.state) == state.value)
    order = moved_at if state.is_open else moved_at.desc()
    rows = await tx.scalars(query.order_by(order, col(BespokeRequestRow.bespoke_id)).limit(limit))
    return [_request(row) for row in rows]


async def by_id(tx: Transaction, bespoke_id: UUID, *, lock: bool = False) -> BespokeRequest | None:
    query = select(BespokeRequestRow).where(col(BespokeRequestRow.bespoke_id) == bespoke_id)
    row = (await tx.scalars(query.with_for_update() if lock else query)).one_or_none()
    return None if row is None else _request(row)


async def open_of(tx: Transaction, addresses: Collection[str], until: datetime) -> list[BespokeRequest]:
    waiting = [state.value for state in BespokeState if state.is_open]
    query = select(BespokeRequestRow).where(
        func.lower(col(BespokeRequestRow.requester_email)).in_(addresses),
        col(BespokeRequestRow.received_at) <= until,
        col(BespokeRequestRow.state).in_(waiting),
    )
    return [_request(row) for row in await tx.scalars(query)]


async def save(
    tx: Transaction,
    before: BespokeRequest,
    after: BespokeRequest,
    event: BespokeRequestAnswered | None,
    *,
    actor: str,
) -> None:
    """Without an event it is a hand-over. The audit entry names no requester."""
    columns = _columns(after)
    statement = update(BespokeRequestRow).where(
        col(BespokeRequestRow.bespoke_id) == columns.pop("bespoke_id")
    )
    await tx.execute(statement.values(**columns))
    await OUTBOX.publish(tx, [] if event is None else [event])
    changes: dict[str, list[str | None]] = {"state": [before.state.value, after.state.value]}
    if after.session_id is not None:
        changes["session_id"] = [None, str(after.session_id)]
    action = Action.HANDED_OVER if event is None else Action.ANSWERED
    await audit_log.record(tx, [AuditEntry(actor, action, after.bespoke_id, after.version, changes)])


def _found_by(sought: str) -> ColumnElement[bool]:
    name = func.french_words(col(BespokeRequestRow.authority))
    found = [
        func.strpos(name, func.french_words(sought)) > 0,
        col(BespokeRequestRow.siret) == "".join(sought.split()),
    ]
    ids = ids_of(sought)
    if ids is not None:
        found.append(col(BespokeRequestRow.request_id).between(*ids))
    return or_(*found)


def _visible_to(viewer: Viewer) -> ColumnElement[bool]:
    if viewer.everywhere:
        return true()
    if viewer.delegation is None:
        return false()
    return col(BespokeRequestRow.delegation) == viewer.delegation


def _request(row: BespokeRequestRow) -> BespokeRequest:
    return BespokeRequest(
        **{name: getattr(row, name) for name in _SAME},
        state=BespokeState(row.state),
        requester=_contact(row.requester_name, row.requester_email),
        advisor=_contact(row.advisor_name, row.advisor_email),
    )


def _contact(name: str | None, email: str | None) -> Contact | None:
    return None if name is None or email is None else Contact(name=name, email=email)


def _columns(request: BespokeRequest) -> dict[str, Any]:
    requester, advisor = request.requester, request.advisor
    return {name: getattr(request, name) for name in _SAME} | {
        "state": request.state.value,
        "requester_name": requester and requester.name,
        "requester_email": requester and requester.email,
        "advisor_name": advisor and advisor.name,
        "advisor_email": advisor and advisor.email,
    }
