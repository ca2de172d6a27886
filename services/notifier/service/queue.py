"""The upkeep of the queue: leases that have run out, and its figures."""

from services.notifier.store import claims, mails
from shared.database import Transaction


async def expire_leases(tx: Transaction) -> tuple[int, int]:
    """Mails of processes that are gone: not begun, back to the queue; begun, ambiguous. How many of each."""
    return await claims.expire_leases(tx)


async def measure(tx: Transaction) -> tuple[int, float, int]:
    """How many mails are due and wait, for how many seconds the oldest does, and how many are ambiguous."""
    return await mails.measure(tx)
