from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import and_, false, func, or_, text
from sqlmodel import col, select
from sqlmodel.sql.expression import SelectOfScalar

from services.notifier.store.events import PUBLISHED, PublishedMail, sent
from services.notifier.store.queue import MAIL_COLUMNS, OFFICER, ONCE
from services.notifier.tables import MailAuditRow, MailRow, MailState
from shared.database import Transaction
from shared.events.vocabulary import AgentKey, Event
from shared.statements import in_order, insert_many, next_to

MailPlace = tuple[datetime, UUID]


async def find(
    tx: Transaction,
    *,
    issuer: str | None = None,
    agent_id: str | None = None,
    or_agents: Sequence[AgentKey] = (),
    or_between: tuple[UUID, UUID] | None = None,
    state: MailState | None = None,
    after: MailPlace | None = None,
    before: MailPlace | None = None,
    limit: int = 100,
) -> list[MailRow]:
    """Return mails, newest first, after ``after`` or before ``before``.

    Without ``issuer``, all agents with the ``agent_id`` are found. ``or_agents`` are found beside
    ``agent_id``, and so are letters whose own id, or bespoke request, lies in ``or_between``.
    """
    query = listing(
        issuer,
        agent_id,
        state,
        limit,
        after=after,
        before=before,
        or_agents=or_agents,
        or_between=or_between,
    )
    return in_order(await tx.scalars(query), before)


def listing(
    issuer: str | None,
    agent_id: str | None,
    state: MailState | None,
    limit: int,
    *,
    after: MailPlace | None = None,
    before: MailPlace | None = None,
    or_agents: Sequence[AgentKey] = (),
    or_between: tuple[UUID, UUID] | None = None,
) -> SelectOfScalar[MailRow]:
    query = select(MailRow)
    if issuer is not None:
        query = query.where(col(MailRow.issuer) == issuer)
    if agent_id is not None:
        is_whose = [
            and_(col(MailRow.issuer) == agent.issuer, col(MailRow.recipient) == agent.agent_id)
            for agent in or_agents
        ]
        if or_between is not None:
            first, last = or_between
            of_request = col(MailRow.recipient).between(OFFICER.format(first), OFFICER.format(last))
            is_whose += [col(MailRow.mail_id).between(first, last), of_request]
        query = query.where(or_(col(MailRow.recipient) == agent_id, *is_whose))
    if state is not None:
        query = query.where(col(MailRow.state) == state.value)
    place = (col(MailRow.created_at), col(MailRow.mail_id))
    return next_to(query, place, after, before, descending=True).limit(limit)


async def called(tx: Transaction, agent_id: str) -> list[AgentKey]:
    found = select(MailRow.issuer, MailRow.recipient).where(col(MailRow.recipient) == agent_id)
    return [AgentKey(*row) for row in await tx.execute(found.distinct().order_by(col(MailRow.issuer)))]


async def of_events(
    tx: Transaction, event_ids: Collection[UUID], enrolment_ids: Collection[UUID], agents: Sequence[AgentKey]
) -> list[MailRow]:
    of_agents = [
        and_(col(MailRow.issuer) == agent.issuer, col(MailRow.recipient) == agent.agent_id)
        for agent in agents
    ]
    about = and_(or_(false(), *of_agents), col(MailRow.enrolment_id).in_(enrolment_ids))
    query = select(MailRow).where(or_(col(MailRow.event_id).in_(event_ids), about))
    return list(await tx.scalars(query.order_by(col(MailRow.created_at), col(MailRow.mail_id))))


async def get(tx: Transaction, mail_id: UUID) -> MailRow | None:
    return await tx.get(MailRow, mail_id)


async def audit_log(tx: Transaction, mail_id: UUID) -> list[MailAuditRow]:
    found = select(MailAuditRow).where(col(MailAuditRow.mail_id) == mail_id).order_by(col(MailAuditRow.id))
    return list(await tx.scalars(found))


async def audit_logs(tx: Transaction, mail_ids: Collection[UUID]) -> list[MailAuditRow]:
    found = select(MailAuditRow).where(col(MailAuditRow.mail_id).in_(mail_ids))
    return list(await tx.scalars(found.order_by(col(MailAuditRow.id))))


async def add_to_audit_log(tx: Transaction, actor: str, actions: Mapping[UUID, str]) -> None:
    await insert_many(
        tx,
        MailAuditRow,
        [{"mail_id": mail_id, "actor": actor, "action": action} for mail_id, action in actions.items()],
    )


async def copy(tx: Transaction, mail_id: UUID, key: UUID, *, states: Collection[MailState]) -> UUID | None:
    """Queue the same letter under another key, once, if the mail is in one of ``states``."""
    new: UUID | None = await tx.scalar(
        _COPY, {"mail_id": mail_id, "key": key, "states": [state.value for state in states]}
    )
    return new


async def with_key(tx: Transaction, key: UUID) -> UUID | None:
    found: UUID | None = await tx.scalar(select(MailRow.mail_id).where(col(MailRow.event_id) == key))
    return found


async def lock(tx: Transaction, mail_id: UUID) -> MailState | None:
    state = await tx.scalar(select(MailRow.state).where(col(MailRow.mail_id) == mail_id).with_for_update())
    return None if state is None else MailState(state)


async def mark_as_sent(tx: Transaction, mail_id: UUID) -> Event:
    row = (await tx.execute(_MARK_AS_SENT, {"mail_id": mail_id})).one()
    return sent(PublishedMail(*row))


async def requeue(tx: Transaction, mail_id: UUID) -> None:
    await tx.execute(_REQUEUE, {"mail_id": mail_id})


async def requeue_failed(tx: Transaction, code: int, *, actor: str, action: str) -> int:
    """Queue again every mail that failed with this code, with an audit line. Returns how many."""
    return (await tx.execute(_REQUEUE_FAILED, {"code": code, "actor": actor, "action": action})).rowcount


async def counts(tx: Transaction) -> dict[MailState, int]:
    rows = await tx.execute(select(MailRow.state, func.count().label("mails")).group_by(col(MailRow.state)))
    found: dict[str, int] = {row.state: row.mails for row in rows}
    return {state: found.get(state.value, 0) for state in MailState}


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """``age``: seconds since the oldest open mail became due."""

    mails: Mapping[tuple[MailState, str], int]
    age: float

    @property
    def due(self) -> int:
        return self._number(*DUE_STATES)

    @property
    def ambiguous(self) -> int:
        return self._number(MailState.AMBIGUOUS)

    def _number(self, *states: MailState) -> int:
        return sum(number for (state, _), number in self.mails.items() if state in states)


async def measure(tx: Transaction) -> QueueFigures:
    """Scheduled letters count from when they are due."""
    *of_mails, fan_outs = await tx.execute(_OPEN)
    due = [row.age for row in of_mails if row.state in DUE_STATES]
    return QueueFigures(
        {(MailState(row.state), row.template): row.number for row in of_mails},
        float(max((age for age in (*due, fan_outs.age) if age is not None), default=0)),
    )


DUE_STATES = (MailState.PENDING, MailState.RETRY)
_OPEN = text(
    "SELECT state, template, count(*) AS number, extract(epoch FROM now() - min(due_at)) AS age FROM mail "
    "WHERE (state IN ('pending', 'retry') AND due_at <= now()) OR state IN ('claimed', 'data_started') "
    "OR state = 'ambiguous' GROUP BY state, template "
    "UNION ALL SELECT NULL, NULL, 0, extract(epoch FROM now() - min(due_at)) FROM fan_out "
    "WHERE done_at IS NULL AND due_at <= now() ORDER BY state NULLS LAST"
)
# The first mail is locked, so that an erasure sees the copy or has ended both mails.
_COPY = text(
    f"INSERT INTO mail ({MAIL_COLUMNS}, traceparent) "  # noqa: S608 our own words
    "SELECT :key, template, issuer, recipient, address, given_name, family_name, session_id, enrolment_id, "
    "version, "
    # A copy is sent on purpose, so it does not keep the moment of the first letter.
    "details - 'moment' || jsonb_build_object('cause_id', coalesce(details ->> 'cause_id', event_id::text)), "
    "needs_session, priority, called_for_at, traceparent FROM mail WHERE mail_id = :mail_id "
    f"AND state = ANY(CAST(:states AS varchar[])) FOR UPDATE {ONCE} RETURNING mail_id"
)
_MARK_AS_SENT = text(
    "UPDATE mail SET state = 'sent', settled_at = now() WHERE mail_id = :mail_id "  # noqa: S608 our own words
    f"RETURNING {PUBLISHED}"
)
_AGAIN = (
    "UPDATE mail SET state = 'pending', attempts = 0, owner = NULL, due_at = now(), settled_at = NULL, "
    "give_up_at = now() + interval '4 days'"
)
_REQUEUE = text(f"{_AGAIN} WHERE mail_id = :mail_id")
_REQUEUE_FAILED = text(
    f"WITH again AS ({_AGAIN} WHERE state = 'failed' AND smtp_code = :code RETURNING mail_id) "  # noqa: S608 our own words
    "INSERT INTO mail_audit (mail_id, actor, action) SELECT mail_id, :actor, :action FROM again"
)
