"""Feeds of portals: numbered rows of the outbox. Each feed's numbers start at 1, without gaps."""

from dataclasses import dataclass

from sqlmodel import col, select

from shared.database import Transaction
from shared.messaging.tables import OutboxRow, PortalFeedRow


@dataclass(frozen=True, slots=True)
class NumberedAnswer:
    number: int
    answer: OutboxRow


async def last_numbers(tx: Transaction) -> dict[str, int]:
    return {feed.portal: feed.last for feed in await tx.scalars(select(PortalFeedRow))}


async def last_number(tx: Transaction, portal: str) -> int:
    feed = await tx.get(PortalFeedRow, portal)
    return 0 if feed is None else feed.last


async def page(tx: Transaction, portal: str, after: int, limit: int) -> list[NumberedAnswer]:
    answers = select(OutboxRow).where(col(OutboxRow.portal) == portal, col(OutboxRow.cursor) > after)
    rows = await tx.scalars(answers.order_by(col(OutboxRow.cursor)).limit(limit))
    return [NumberedAnswer(row.cursor, row) for row in rows if row.cursor is not None]
