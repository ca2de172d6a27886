from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlmodel import col, select, update

from services.enrolment.rules.messages import PAUSE, OrganiserMessage
from services.enrolment.tables import MessageRow, SessionRow
from shared.database import Transaction


@dataclass(frozen=True, slots=True)
class Reach:
    """A message's recipients: people whose mails arrive, and people whose mails come back."""

    reachable: int
    unreachable: int


async def reach(tx: Transaction, session_id: UUID, message: OrganiserMessage) -> Reach:
    """Agents with the same address and names count once."""
    parameters = {
        "session": session_id,
        "states": [state.value for state in message.states],
        "ids": message.enrolment_ids and list(message.enrolment_ids),
    }
    row = (await tx.execute(_REACH, parameters)).one()
    return Reach(row.reachable, row.unreachable)


async def strangers(tx: Transaction, session_id: UUID, enrolment_ids: Sequence[UUID]) -> list[UUID]:
    return list(await tx.scalars(_STRANGERS, {"session": session_id, "ids": list(enrolment_ids)}))


async def moments(tx: Transaction, session_id: UUID) -> list[datetime]:
    return list(await tx.scalars(select(MessageRow.send_at).where(col(MessageRow.session_id) == session_id)))


async def add(
    tx: Transaction,
    session_id: UUID,
    message: OrganiserMessage,
    *,
    author: str,
    send_at: datetime,
    now: datetime,
) -> MessageRow:
    row = MessageRow(
        message_id=uuid4(),
        session_id=session_id,
        author=author,
        **_content(message),
        send_at=send_at,
        created_at=now,
    )
    tx.add(row)
    await tx.flush()
    return row


async def same_to_come(
    tx: Transaction, session_id: UUID, message: OrganiserMessage, send_at: datetime
) -> MessageRow | None:
    """Return a message with the same content that has not left, due within :data:`PAUSE` of ``send_at``.

    It may be due after ``send_at``: of two clicks, the later one may get the session's lock first.
    """
    to_come = select(MessageRow).where(
        col(MessageRow.session_id) == session_id,
        col(MessageRow.published_at).is_(None),
        col(MessageRow.send_at).between(send_at - PAUSE, send_at + PAUSE),
    )
    content = _content(message)
    rows = await tx.scalars(to_come.order_by(col(MessageRow.send_at), col(MessageRow.message_id)))
    return next((row for row in rows if row.model_dump(include=set(content)) == content), None)


def _content(message: OrganiserMessage) -> dict[str, Any]:
    ids = message.enrolment_ids
    return {
        "text": message.text,
        "link": message.link,
        "audience": [audience.value for audience in message.audience],
        "enrolment_ids": None if ids is None else [str(enrolment_id) for enrolment_id in ids],
    }


async def of_session(tx: Transaction, session_id: UUID, *, most: int) -> Sequence[MessageRow]:
    found = select(MessageRow).where(col(MessageRow.session_id) == session_id)
    last_first = found.order_by(col(MessageRow.send_at).desc(), col(MessageRow.message_id))
    return (await tx.scalars(last_first.limit(most))).all()


async def lock(tx: Transaction, message_id: UUID) -> MessageRow | None:
    return await tx.get(MessageRow, message_id, with_for_update=True)


async def remove(tx: Transaction, message: MessageRow) -> None:
    await tx.delete(message)


async def lock_due(tx: Transaction, now: datetime) -> Sequence[MessageRow]:
    """Return at most a hundred due messages that no other process sends.

    Messages of a cancelled session never leave.
    """
    due = select(MessageRow).join(SessionRow, col(SessionRow.session_id) == col(MessageRow.session_id))
    due = due.where(
        col(MessageRow.published_at).is_(None),
        col(MessageRow.send_at) <= now,
        col(SessionRow.cancelled_at).is_(None),
    )
    order = due.order_by(col(MessageRow.send_at)).limit(100)
    return (await tx.scalars(order.with_for_update(skip_locked=True, of=MessageRow))).all()


async def mark_published(tx: Transaction, due: Sequence[MessageRow], now: datetime) -> None:
    ids = [row.message_id for row in due]
    left = update(MessageRow).where(col(MessageRow.message_id).in_(ids))
    await tx.execute(left.values(published_at=now))


_REACH = text(
    "SELECT count(*) FILTER (WHERE arrives) AS reachable, count(*) FILTER (WHERE NOT arrives) AS unreachable "
    "FROM (SELECT bool_or(bad_address.agent_id IS NULL) AS arrives FROM enrolment "
    "LEFT JOIN bad_address USING (issuer, agent_id) "
    "WHERE session_id = :session AND state = ANY(CAST(:states AS text[])) "
    "AND (CAST(:ids AS uuid[]) IS NULL OR enrolment_id = ANY(CAST(:ids AS uuid[]))) "
    "GROUP BY lower(agent->>'email'), lower(agent->>'given_name'), lower(agent->>'family_name')) AS person"
)
_STRANGERS = text(
    "SELECT id FROM unnest(CAST(:ids AS uuid[])) AS id WHERE NOT EXISTS "
    "(SELECT FROM enrolment WHERE enrolment_id = id AND session_id = :session)"
)
