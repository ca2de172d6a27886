"""Whose mails come back, so that an organiser can ask for a better address."""

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from services.enrolment import tables
from services.enrolment.store.facts import LIVE
from shared.database import Transaction, insert_many


async def mark_addresses(tx: Transaction, agent_ids: Collection[str], now: datetime) -> None:
    """Remember of these agents that an address of theirs is bad."""
    if agent_ids:
        rows = [{"agent_id": agent_id, "since": now} for agent_id in sorted(agent_ids)]
        await insert_many(tx, tables.bad_address, rows, then="ON CONFLICT (agent_id) DO NOTHING")


async def clear_addresses(tx: Transaction, arrived: Mapping[str, UUID | None]) -> None:
    """Forget it of agents to whom a mail about this enrolment has arrived.

    Not of who is enrolled elsewhere with another address: that one may be the bad one.
    """
    marked = list((await tx.execute(_MARKED, {"agents": list(arrived)})).scalars())
    if marked:
        reached = [arrived[agent_id] for agent_id in marked]
        await tx.execute(_CLEAR, {"agents": marked, "enrolments": reached, "live": LIVE})


# Almost every mail arrives, and almost nobody is marked: enrolments are only read for who is.
_MARKED = text("SELECT agent_id FROM bad_address WHERE agent_id = ANY(CAST(:agents AS text[]))")
_CLEAR = text(
    "DELETE FROM bad_address "
    "USING unnest(CAST(:agents AS text[]), CAST(:enrolments AS uuid[])) AS arrived (agent_id, enrolment_id) "
    "LEFT JOIN enrolment AS reached ON reached.enrolment_id = arrived.enrolment_id "
    "WHERE bad_address.agent_id = arrived.agent_id AND NOT EXISTS ("
    "SELECT FROM enrolment AS other "
    "WHERE other.agent_id = arrived.agent_id AND other.state = ANY(CAST(:live AS text[])) "
    "AND lower(other.agent ->> 'email') <> lower(reached.agent ->> 'email'))"
)
