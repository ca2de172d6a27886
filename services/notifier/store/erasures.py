from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import text
from sqlmodel import col, select

from services.notifier.tables import ErasureAnswerRow
from shared.database import Transaction
from shared.events.erasure import AgentErased
from shared.events.vocabulary import AgentKey
from shared.messaging.tables import ErasureRow
from shared.read_log import ReadKind
from shared.statements import insert_many


async def save(tx: Transaction, answers: Sequence[AgentErased]) -> None:
    rows = [
        {
            "request_id": answer.request_id,
            "request_source": answer.request_source,
            "service": answer.service,
            "erased_at": answer.erased_at,
        }
        for answer in answers
    ]
    if rows:
        await insert_many(tx, ErasureAnswerRow, rows, then="ON CONFLICT DO NOTHING")


async def answer_of(tx: Transaction, request_id: UUID, source: str, service: str) -> ErasureAnswerRow | None:
    return await tx.get(ErasureAnswerRow, (request_id, source, service))


async def requests(tx: Transaction, request_id: UUID | None) -> Sequence[ErasureRow]:
    found = select(ErasureRow)
    if request_id is not None:
        found = found.where(col(ErasureRow.request_id) == request_id)
    newest_first = found.order_by(
        col(ErasureRow.received_at).desc(), col(ErasureRow.request_id), col(ErasureRow.request_source)
    )
    return (await tx.scalars(newest_first.limit(100))).all()


async def is_asked_here(tx: Transaction, request_id: str) -> bool:
    return bool(await tx.scalar(_ASKED_HERE, {"kind": ReadKind.ERASURE, "about": request_id}))


async def answers(tx: Transaction, request_ids: Collection[UUID]) -> Sequence[ErasureAnswerRow]:
    return (
        await tx.scalars(select(ErasureAnswerRow).where(col(ErasureAnswerRow.request_id).in_(request_ids)))
    ).all()


async def letters_leave(tx: Transaction, agent: AgentKey, *, patient: bool) -> bool:
    """Return whether a letter is on its way, or with ``patient`` due.

    Until the transaction ends, no letter to the agent begins to leave or is queued from the agent's
    enrolments.
    """
    await tx.execute(_HOLD, agent._asdict())
    return bool(await tx.scalar(_LETTERS_LEAVE, {**agent._asdict(), "patient": patient}))


async def writes_to(tx: Transaction, addresses: Collection[str]) -> bool:
    """Return whether a letter to no agent is on its way to a lower-case address.

    None begins to leave until the transaction ends.
    """
    return bool(await tx.scalar(_WRITES_TO, {"addresses": sorted(addresses)}))


_WRITES_TO = text(
    "SELECT count(*) FILTER (WHERE state IN ('claimed', 'data_started')) FROM (SELECT state FROM mail "
    "WHERE issuer = '' AND lower(address) = ANY(CAST(:addresses AS text[])) "
    "ORDER BY mail_id FOR UPDATE) AS letters"
)
_ASKED_HERE = text("SELECT EXISTS (SELECT 1 FROM read_log WHERE kind = :kind AND about = :about)")
# Lock enrolments before letters, as decisions do.
_HOLD = text(
    "SELECT FROM enrolment WHERE issuer = :issuer AND agent_id = :agent_id ORDER BY enrolment_id FOR UPDATE"
)
# Locked, so that no letter is claimed before the erasure. Corrections lock in the same order.
_LETTERS_LEAVE = text(
    "SELECT count(*) FILTER (WHERE state IN ('claimed', 'data_started') "
    "OR (CAST(:patient AS boolean) AND (state = 'retry' OR (state = 'pending' AND due_at <= now())))) "
    "FROM (SELECT state, due_at FROM mail WHERE issuer = :issuer AND recipient = :agent_id "
    "ORDER BY mail_id FOR UPDATE) AS letters"
)
