"""Whether what Postgres writes ahead (WAL) is received by who has a slot for it: the archive, or a standby.

Any role may read of this; the slots are those of the server, the same in all its databases.
"""

from prometheus_client import Gauge
from sqlalchemy import text

from shared.database import Transaction

AWAY = Gauge(
    "parcours_wal_slot_away", "1 while nobody receives what a slot of Postgres keeps WAL for.", ["slot"]
)
UNREAD = Gauge("parcours_wal_slot_unread_bytes", "WAL that Postgres keeps until it is received.", ["slot"])


async def measure(tx: Transaction) -> None:
    """Have the metrics say how things stand; a slot that was taken away is in none any more."""
    rows = (await tx.execute(_SLOTS)).all()
    AWAY.clear()
    UNREAD.clear()
    for row in rows:
        AWAY.labels(row.slot_name).set(not row.active)
        UNREAD.labels(row.slot_name).set(row.unread)


# A temporary slot is that of a base backup.
_SLOTS = text(
    """
    SELECT slot_name, active, coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0) AS unread
      FROM pg_replication_slots
     WHERE slot_type = 'physical' AND NOT temporary"""
)
