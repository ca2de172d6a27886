"""What authorities ask for: received, read, answered with the events, and in the end forgotten."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, false, or_, select, text, true

from services.catalogue import tables
from services.catalogue.rules import BespokeRequest, BespokeState
from services.catalogue.store import trail
from services.catalogue.store.sessions import Viewer
from services.catalogue.store.trail import Line, outbox
from shared.database import Transaction, insert_many
from shared.events.catalogue import BespokeRequestAnswered
from shared.events.vocabulary import Contact


async def receive(tx: Transaction, requests: Sequence[BespokeRequest]) -> None:
    """Keep new requests; one that is known already is left as it is."""
    if requests:
        rows = [_columns(one) for one in requests]
        await insert_many(tx, tables.bespoke_request, rows, then="ON CONFLICT (request_id) DO NOTHING")


async def page(
    tx: Transaction,
    viewer: Viewer,
    after: tuple[datetime, UUID] | None,
    limit: int,
    *,
    state: BespokeState | None = None,
) -> list[BespokeRequest]:
    """At most ``limit`` requests that ``viewer`` may see, the newest first, that come after ``after``."""
    columns = tables.bespoke_request.c
    query = select(tables.bespoke_request).where(_visible_to(viewer))
    if state is not None:
        query = query.where(columns.state == state.value)
    if after is not None:
        moment, request_id = after
        at_once = (columns.received_at == moment) & (columns.request_id > request_id)
        query = query.where(or_(columns.received_at < moment, at_once))
    query = query.order_by(columns.received_at.desc(), columns.request_id).limit(limit)
    return [_request(row) for row in await tx.execute(query)]


async def shown(tx: Transaction, request_id: UUID, viewer: Viewer) -> BespokeRequest | None:
    """The request, if ``viewer`` may see it."""
    columns = tables.bespoke_request.c
    query = select(tables.bespoke_request).where(columns.request_id == request_id, _visible_to(viewer))
    row = (await tx.execute(query)).one_or_none()
    return None if row is None else _request(row)


async def for_update(tx: Transaction, request_id: UUID) -> BespokeRequest | None:
    """The request, locked until the transaction ends."""
    query = select(tables.bespoke_request).where(tables.bespoke_request.c.request_id == request_id)
    row = (await tx.execute(query.with_for_update())).one_or_none()
    return None if row is None else _request(row)


async def save(
    tx: Transaction,
    before: BespokeRequest,
    after: BespokeRequest,
    event: BespokeRequestAnswered,
    *,
    actor: str,
) -> None:
    """Store an answer, the event that tells of it, and the audit line, which names nobody outside."""
    changes = {name: value for name, value in _columns(after).items() if name != "request_id"}
    query = tables.bespoke_request.update().where(tables.bespoke_request.c.request_id == after.request_id)
    await tx.execute(query.values(**changes))
    await outbox.publish(tx, [event])
    said: dict[str, list[str | None]] = {"state": [before.state.value, after.state.value]}
    if after.session_id is not None:
        said["session_id"] = [None, str(after.session_id)]
    await trail.record(tx, [Line(actor, "answered", after.request_id, after.version, said)])


async def forget(tx: Transaction, before: datetime) -> int:
    """Empty whom to write to, and what was written, where nothing has moved since. Returns how many."""
    result = await tx.execute(
        text(
            "UPDATE bespoke_request SET requester_name = NULL, requester_email = NULL, message = NULL, "
            "answer = NULL, advisor_name = NULL, advisor_email = NULL "
            "WHERE requester_email IS NOT NULL AND coalesce(answered_at, received_at) < :before"
        ),
        {"before": before},
    )
    return result.rowcount


def _visible_to(viewer: Viewer) -> Any:
    if viewer.everywhere:
        return true()
    if viewer.delegation is None:
        return false()
    return tables.bespoke_request.c.delegation == viewer.delegation


def _request(row: Row[Any]) -> BespokeRequest:
    return BespokeRequest(
        request_id=row.request_id,
        siret=row.siret,
        authority=row.authority,
        delegation=row.delegation,
        theme=row.theme,
        trainees=row.trainees,
        received_at=row.received_at,
        requester=_contact(row.requester_name, row.requester_email),
        message=row.message,
        wished_from=row.wished_from,
        wished_until=row.wished_until,
        version=row.version,
        state=BespokeState(row.state),
        answered_at=row.answered_at,
        advisor=_contact(row.advisor_name, row.advisor_email),
        answer=row.answer,
        session_id=row.session_id,
    )


def _contact(name: str | None, email: str | None) -> Contact | None:
    return None if name is None or email is None else Contact(name=name, email=email)


def _columns(request: BespokeRequest) -> dict[str, Any]:
    return {
        "request_id": request.request_id,
        "siret": request.siret,
        "authority": request.authority,
        "delegation": request.delegation,
        "theme": request.theme,
        "trainees": request.trainees,
        "wished_from": request.wished_from,
        "wished_until": request.wished_until,
        "received_at": request.received_at,
        "requester_name": request.requester and request.requester.name,
        "requester_email": request.requester and request.requester.email,
        "message": request.message,
        "version": request.version,
        "state": request.state.value,
        "answered_at": request.answered_at,
        "advisor_name": request.advisor and request.advisor.name,
        "advisor_email": request.advisor and request.advisor.email,
        "answer": request.answer,
        "session_id": request.session_id,
    }
