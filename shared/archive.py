"""Metrics about receivers of the write-ahead log (WAL): the archive, or a standby.

The slots belong to the server, so every database shows the same ones, and any role may read them.
"""

from prometheus_client import Gauge
from sqlalchemy import text

from shared.database import Transaction

AWAY = Gauge(
    "parcours_wal_slot_away", "1 while nobody receives what a slot of Postgres keeps WAL for.", ["slot"]
)
UNREAD = Gauge("parcours_wal_slot_unread_bytes", "WAL that Postgres keeps until it is received.", ["slot"])


async def measure(tx: Transaction) -> None:
    """A dropped slot disappears from the metrics."""
    rows = (await tx.execute(_SLOTS)).all()
    AWAY.clear()
    UNREAD.clear()
    for row in rows:
        AWAY.labels(row.slot_name).set(not row.active)
        UNREAD.labels(row.slot_name).set(row.unread)


# A temporary slot belongs to a base backup.
_SLOTS = text(
    """
    SELECT slot_name, active, coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0) AS unread
      FROM pg_replication_slots
     WHERE slot_type = 'physical' AND NOT temporary"""
)
