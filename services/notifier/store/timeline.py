"""What happened to agents, as support reads it."""

from collections.abc import Sequence
from typing import Any

from sqlmodel import col, select

from services.notifier.tables import TimelineRow
from shared.database import Transaction, insert_many
from shared.events.vocabulary import AgentKey


async def add(tx: Transaction, rows: Sequence[dict[str, Any]]) -> None:
    """Add what happened, in one statement."""
    if rows:
        await insert_many(tx, TimelineRow, rows)


async def of_agent(tx: Transaction, agent: AgentKey, *, most: int) -> list[TimelineRow]:
    """Return what happened to an agent, the newest first, ``most`` at most."""
    found = select(TimelineRow).where(
        col(TimelineRow.issuer) == agent.issuer, col(TimelineRow.agent_id) == agent.agent_id
    )
    newest_first = found.order_by(col(TimelineRow.at).desc(), col(TimelineRow.id).desc())
    return list(await tx.scalars(newest_first.limit(most)))
