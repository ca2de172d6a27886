"""Whose mails come back, so that an organiser can ask for a better address."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import text

from services.enrolment import tables
from shared.database import Transaction, insert_many


async def mark_addresses(tx: Transaction, is_bad: Mapping[str, bool], now: datetime) -> None:
    """Remember of these agents that their address is bad, or that a mail has arrived since."""
    good = sorted(agent_id for agent_id, bad in is_bad.items() if not bad)
    bad = sorted(agent_id for agent_id, bad in is_bad.items() if bad)
    if good:
        await tx.execute(
            text("DELETE FROM bad_address WHERE agent_id = ANY(CAST(:agents AS text[]))"), {"agents": good}
        )
    if bad:
        rows = [{"agent_id": agent_id, "since": now} for agent_id in bad]
        await insert_many(tx, tables.bad_address, rows, then="ON CONFLICT (agent_id) DO NOTHING")
