"""Read progress: until when the requests of portals are read, so that no answer given in time is missed."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import text

from services.enrolment.tables import PartitionProgressRow
from shared.database import Transaction, insert_many


async def save(tx: Transaction, read_until: Mapping[int, datetime]) -> None:
    """Keep until when each of these partitions is read."""
    rows = [{"partition": partition, "read_until": at} for partition, at in sorted(read_until.items())]
    await insert_many(
        tx,
        PartitionProgressRow,
        rows,
        then="ON CONFLICT (partition) DO UPDATE "
        "SET read_until = greatest(partition_progress.read_until, excluded.read_until)",
    )


async def read_until(tx: Transaction) -> datetime | None:
    """Return until when every partition is read, or None before any was.

    A partition that nobody has read for a day is ignored: the topic has fewer partitions than it had.
    """
    moment: datetime | None = await tx.scalar(_READ_UNTIL)
    return moment


_READ_UNTIL = text(
    "SELECT min(read_until) FROM partition_progress WHERE read_until > now() - interval '1 day'"
)
