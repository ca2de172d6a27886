"""The agents whose mails come back."""

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from services.enrolment.store.enrolments import LIVE
from services.enrolment.tables import BadAddressRow
from shared.database import Transaction, insert_many


async def mark_bad(tx: Transaction, agent_ids: Collection[str], now: datetime) -> None:
    """Mark these agents: an address of theirs is bad."""
    if agent_ids:
        rows = [{"agent_id": agent_id, "since": now} for agent_id in sorted(agent_ids)]
        await insert_many(tx, BadAddressRow, rows, then="ON CONFLICT (agent_id) DO NOTHING")


async def mark_good(tx: Transaction, arrived: Mapping[str, UUID | None]) -> None:
    """Unmark the agents to whom a mail about the enrolment given has arrived.

    Agents who are enrolled elsewhere with another address stay marked: that address may be the bad one.
    """
    bad = list((await tx.execute(_BAD, {"agents": list(arrived)})).scalars())
    if bad:
        enrolments = [arrived[agent_id] for agent_id in bad]
        await tx.execute(_DELETE, {"agents": bad, "enrolments": enrolments, "live": LIVE})


# Almost every mail arrives, and almost no address is bad: enrolments are only read for those that are.
_BAD = text("SELECT agent_id FROM bad_address WHERE agent_id = ANY(CAST(:agents AS text[]))")
_DELETE = text(
    "DELETE FROM bad_address "
    "USING unnest(CAST(:agents AS text[]), CAST(:enrolments AS uuid[])) AS arrived (agent_id, enrolment_id) "
    "LEFT JOIN enrolment AS reached ON reached.enrolment_id = arrived.enrolment_id "
    "WHERE bad_address.agent_id = arrived.agent_id AND NOT EXISTS ("
    "SELECT FROM enrolment AS other "
    "WHERE other.agent_id = arrived.agent_id AND other.state = ANY(CAST(:live AS text[])) "
    "AND lower(other.agent ->> 'email') <> lower(reached.agent ->> 'email'))"
)
