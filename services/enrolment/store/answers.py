"""The feeds of portals: the rows of the outbox that are numbered, each portal's from 1 on without a gap."""

from dataclasses import dataclass

from sqlmodel import col, select

from shared.database import Transaction
from shared.messaging.tables import OutboxRow, PortalFeedRow


@dataclass(frozen=True, slots=True)
class NumberedAnswer:
    """An answer and its number in the feed of its portal."""

    number: int
    answer: OutboxRow


async def last_numbers(tx: Transaction) -> dict[str, int]:
    """Return the last number of each feed that has any."""
    return {feed.portal: feed.last for feed in await tx.scalars(select(PortalFeedRow))}


async def last_number(tx: Transaction, portal: str) -> int:
    """Return the last number of a feed; 0: it has none."""
    feed = await tx.get(PortalFeedRow, portal)
    return 0 if feed is None else feed.last


async def page(tx: Transaction, portal: str, after: int, limit: int) -> list[NumberedAnswer]:
    """Return the next answers of a feed that are still kept, in order."""
    answers = select(OutboxRow).where(col(OutboxRow.portal) == portal, col(OutboxRow.cursor) > after)
    rows = await tx.scalars(answers.order_by(col(OutboxRow.cursor)).limit(limit))
    return [NumberedAnswer(row.cursor, row) for row in rows if row.cursor is not None]
