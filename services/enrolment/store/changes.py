import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import and_, text
from sqlmodel import col, select

from services.enrolment.rules.enrolments import EnrolmentChange
from services.enrolment.rules.links import PastChange
from services.enrolment.rules.requests import RequestKey
from services.enrolment.rules.roster_lines import ChangeKey
from services.enrolment.rules.states import Cause, State
from services.enrolment.tables import EnrolmentChangeRow, RequestRow
from shared.database import Transaction
from shared.statements import in_order, insert_many, next_to

_MOST = 1000


async def save(tx: Transaction, changes: Sequence[EnrolmentChange], now: datetime) -> None:
    if changes:
        rows = [
            {
                "enrolment_id": change.enrolment.enrolment_id,
                "version": change.enrolment.version,
                "session_id": change.enrolment.session_id,
                "issuer": change.enrolment.agent.issuer,
                "agent_id": change.enrolment.agent.agent_id,
                "at": now,
                "state": change.enrolment.state.value,
                "cause": change.cause.value,
                "request_id": change.request_key and change.request_key.request_id,
                "request_source": change.request_key and change.request_key.source,
                "facts": json.dumps(change.numbers),
            }
            for change in changes
        ]
        await insert_many(tx, EnrolmentChangeRow, rows)


async def of_request(tx: Transaction, request: RequestRow) -> Sequence[EnrolmentChangeRow]:
    """The changes of the request's own agent come first."""
    if request.decided_at is None:
        return []
    changes = await tx.scalars(
        select(EnrolmentChangeRow)
        .where(
            # By session and time, which have an index: a request is decided at one moment.
            col(EnrolmentChangeRow.session_id) == request.session_id,
            col(EnrolmentChangeRow.at) == request.decided_at,
            col(EnrolmentChangeRow.request_id) == request.request_id,
            col(EnrolmentChangeRow.request_source) == request.source,
        )
        .order_by(
            and_(
                col(EnrolmentChangeRow.issuer) == request.issuer,
                col(EnrolmentChangeRow.agent_id) == request.agent_id,
            ).desc(),
            col(EnrolmentChangeRow.version),
            col(EnrolmentChangeRow.enrolment_id),
        )
    )
    return changes.all()


async def since(
    tx: Transaction, enrolment_ids: Collection[UUID], moment: datetime | None
) -> Sequence[EnrolmentChangeRow]:
    """Return at most 1,000 changes, oldest first."""
    if not enrolment_ids or moment is None:
        return []
    changes = await tx.scalars(
        select(EnrolmentChangeRow)
        .where(col(EnrolmentChangeRow.enrolment_id).in_(enrolment_ids), col(EnrolmentChangeRow.at) >= moment)
        .order_by(
            col(EnrolmentChangeRow.at),
            col(EnrolmentChangeRow.enrolment_id),
            col(EnrolmentChangeRow.version),
        )
        .limit(_MOST)
    )
    return changes.all()


async def of_enrolment(tx: Transaction, enrolment_id: UUID) -> Sequence[EnrolmentChangeRow]:
    changes = await tx.scalars(
        select(EnrolmentChangeRow)
        .where(col(EnrolmentChangeRow.enrolment_id) == enrolment_id)
        .order_by(col(EnrolmentChangeRow.version))
    )
    return changes.all()


async def have_changed(tx: Transaction, enrolment_ids: Collection[UUID]) -> set[UUID]:
    changed = col(EnrolmentChangeRow.enrolment_id)
    return set(await tx.scalars(select(changed).where(changed.in_(enrolment_ids)).distinct()))


async def past_changes(
    tx: Transaction, enrolment_ids: Collection[UUID]
) -> Mapping[UUID, Sequence[PastChange]]:
    changes = await tx.scalars(
        select(EnrolmentChangeRow)
        .where(col(EnrolmentChangeRow.enrolment_id).in_(enrolment_ids))
        .order_by(col(EnrolmentChangeRow.enrolment_id), col(EnrolmentChangeRow.version))
    )
    result: dict[UUID, list[PastChange]] = {enrolment_id: [] for enrolment_id in enrolment_ids}
    for change in changes:
        result[change.enrolment_id].append(PastChange(change.at, State(change.state), Cause(change.cause)))
    return result


async def last_of_session(
    tx: Transaction,
    session_id: UUID,
    limit: int,
    *,
    after: ChangeKey | None = None,
    before: ChangeKey | None = None,
) -> Sequence[EnrolmentChangeRow]:
    place = (
        col(EnrolmentChangeRow.at),
        col(EnrolmentChangeRow.version),
        col(EnrolmentChangeRow.enrolment_id),
    )
    found = select(EnrolmentChangeRow).where(col(EnrolmentChangeRow.session_id) == session_id)
    changes = await tx.scalars(next_to(found, place, after, before, descending=True).limit(limit))
    return in_order(changes, before)


async def add_author(
    tx: Transaction, request: RequestKey, session_id: UUID, decided_at: datetime, author: str
) -> None:
    parameters = {**request._asdict(), "session": session_id, "at": decided_at, "author": author}
    await tx.execute(_ADD_AUTHOR, parameters)


async def add_details(
    tx: Transaction,
    request: RequestKey,
    enrolment_id: UUID,
    decided_at: datetime,
    details: Mapping[str, str],
) -> None:
    parameters = {
        **request._asdict(),
        "enrolment": enrolment_id,
        "at": decided_at,
        "facts": json.dumps(dict(details)),
    }
    await tx.execute(_ADD_FACTS, parameters)


_ADD_AUTHOR = text(
    "UPDATE enrolment_change SET facts = facts || jsonb_build_object('author', CAST(:author AS text)) "
    "WHERE session_id = :session AND at = :at AND request_id = :request_id AND request_source = :source"
)
_ADD_FACTS = text(
    "UPDATE enrolment_change SET facts = facts || CAST(:facts AS jsonb) "
    "WHERE enrolment_id = :enrolment AND at = :at AND request_id = :request_id AND request_source = :source"
)
