from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_
from sqlmodel import col, select

from services.enrolment.rules.requests import RequestKey
from services.enrolment.store import changes, outbox, requests, sessions
from services.enrolment.store.enrolments import sessions_of_request
from services.enrolment.store.outbox import EventOfEnrolment
from services.enrolment.tables import EnrolmentChangeRow, EnrolmentRow, RequestRow
from shared.database import Transaction
from shared.events.catalogue import SessionState

_MOST = 1000


@dataclass(frozen=True, slots=True)
class EnrolmentHistory:
    session: SessionState
    enrolment: EnrolmentRow
    request: RequestRow | None
    changes: Sequence[EnrolmentChangeRow]
    events: Sequence[EventOfEnrolment]


async def of_agent(tx: Transaction, agent_id: str) -> list[EnrolmentHistory]:
    return await _histories(tx, col(EnrolmentRow.agent_id) == agent_id)


async def between(tx: Transaction, first: UUID, last: UUID) -> list[EnrolmentHistory]:
    return await _histories(tx, col(EnrolmentRow.enrolment_id).between(first, last))


async def of_request(tx: Transaction, request: RequestRow) -> list[EnrolmentHistory]:
    changed = [change.enrolment_id for change in await changes.of_request(tx, request)]
    began = and_(
        col(EnrolmentRow.request_id) == request.request_id,
        col(EnrolmentRow.request_source) == request.source,
    )
    # By session too, because the index of changes begins with it.
    in_sessions = col(EnrolmentRow.session_id).in_(sessions_of_request(request))
    return await _histories(tx, and_(in_sessions, or_(began, col(EnrolmentRow.enrolment_id).in_(changed))))


async def _histories(tx: Transaction, condition: ColumnElement[bool]) -> list[EnrolmentHistory]:
    rows = await tx.scalars(
        select(EnrolmentRow)
        .where(condition)
        .order_by(col(EnrolmentRow.received_at), col(EnrolmentRow.enrolment_id))
        .limit(_MOST)
    )
    found = rows.all()
    events = await outbox.events_of(tx, {row.agent_id for row in found}, {row.enrolment_id for row in found})
    return [
        EnrolmentHistory(
            session=session,
            enrolment=enrolment,
            request=await requests.find(tx, RequestKey(enrolment.request_source, enrolment.request_id)),
            changes=await changes.of_enrolment(tx, enrolment.enrolment_id),
            events=events[enrolment.enrolment_id],
        )
        for enrolment in found
        if (session := await sessions.find(tx, enrolment.session_id)) is not None
    ]
