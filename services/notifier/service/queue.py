from datetime import timedelta

from services.notifier.store import claims, mails
from services.notifier.store.mails import QueueFigures
from shared.database import Transaction

MAILS_LATE = timedelta(minutes=10)
"""A due mail may wait this long: a fan-out to thousands takes minutes."""


async def expire_leases(tx: Transaction) -> tuple[int, int]:
    """Return how many mails are queued again, and how many are ambiguous."""
    return await claims.expire_leases(tx)


async def measure(tx: Transaction) -> QueueFigures:
    return await mails.measure(tx)
