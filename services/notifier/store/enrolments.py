from collections.abc import Collection, Mapping
from uuid import UUID

from sqlalchemy import text
from sqlmodel import col, select

from services.notifier.letters import EnrolmentState, KnownEnrolment
from services.notifier.tables import EnrolmentRow
from shared.database import Transaction
from shared.events.cloudevents import Received
from shared.events.enrolment import Decision
from shared.events.vocabulary import AgentKey
from shared.statements import insert_many


async def lock(tx: Transaction, ids: Collection[UUID]) -> dict[UUID, KnownEnrolment]:
    rows = await tx.execute(_LOCK, {"ids": list(ids)})
    return {row.enrolment_id: KnownEnrolment(row.version, EnrolmentState(row.standing)) for row in rows}


async def agent_and_address(tx: Transaction, enrolment_id: UUID) -> tuple[AgentKey, str] | None:
    row = await tx.get(EnrolmentRow, enrolment_id)
    return None if row is None else (AgentKey(row.issuer, row.agent_id), row.address)


async def agents_between(tx: Transaction, first: UUID, last: UUID) -> list[AgentKey]:
    """Both ends are included."""
    found = select(EnrolmentRow.issuer, EnrolmentRow.agent_id).where(
        col(EnrolmentRow.enrolment_id).between(first, last)
    )
    return [AgentKey(*row) for row in await tx.execute(found)]


async def agents_called(tx: Transaction, agent_id: str) -> list[AgentKey]:
    """Return the enrolled agents with this identifier, of any issuer."""
    found = select(EnrolmentRow.issuer, EnrolmentRow.agent_id).where(col(EnrolmentRow.agent_id) == agent_id)
    return [AgentKey(*row) for row in await tx.execute(found.distinct().order_by(col(EnrolmentRow.issuer)))]


async def save(tx: Transaction, changed: Mapping[UUID, tuple[Received[Decision], EnrolmentState]]) -> None:
    """Store states. An older version changes nothing."""
    if changed:
        await insert_many(
            tx,
            EnrolmentRow,
            [
                {
                    "enrolment_id": enrolment_id,
                    "version": received.event.version,
                    "session_id": received.event.session_id,
                    "standing": state.value,
                    "issuer": received.event.agent.issuer,
                    "agent_id": received.event.agent.agent_id,
                    "address": received.event.agent.email,
                    "given_name": received.event.agent.given_name,
                    "family_name": received.event.agent.family_name,
                    "since": received.received_at,
                    "event_id": received.id,
                    "known_since": received.received_at,
                }
                for enrolment_id, (received, state) in sorted(changed.items())
            ],
            then="ON CONFLICT (enrolment_id) DO UPDATE SET version = excluded.version, "
            "standing = excluded.standing, address = excluded.address, given_name = excluded.given_name, "
            "family_name = excluded.family_name, since = excluded.since, read_at = excluded.read_at, "
            "event_id = excluded.event_id "
            "WHERE enrolment.version < excluded.version",
        )


_LOCK = text(
    "SELECT enrolment_id, version, standing FROM enrolment WHERE enrolment_id = ANY(CAST(:ids AS uuid[])) "
    "ORDER BY enrolment_id FOR UPDATE"
)
