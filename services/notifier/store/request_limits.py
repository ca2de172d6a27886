"""How often something was requested: counted for all processes, by a digest that names nobody."""

from datetime import timedelta

from sqlalchemy import text

from shared.database import Transaction


async def take(tx: Transaction, counted: bytes, *, most: int, within: timedelta) -> bool:
    """Count a request. Returns whether it is one of the ``most`` since the first ``within`` that time."""
    taken = await tx.scalar(_TAKE, {"counted": counted, "within": within, "most": most})
    return int(taken or 0) <= most


_TAKE = text(
    "INSERT INTO request_count AS known (counted, taken, ends_at) "
    "VALUES (:counted, 1, now() + CAST(:within AS interval)) ON CONFLICT (counted) DO UPDATE SET "
    "taken = CASE WHEN known.ends_at <= now() THEN 1 "
    "ELSE least(known.taken, CAST(:most AS integer)) + 1 END, "
    "ends_at = CASE WHEN known.ends_at <= now() THEN excluded.ends_at ELSE known.ends_at END "
    "RETURNING taken"
)
