"""The upkeep of the queue: leases that have run out, and its figures."""

from datetime import timedelta

from services.notifier.store import claims, mails
from services.notifier.store.mails import QueueFigures
from shared.database import Transaction

MAILS_LATE = timedelta(minutes=10)
"""How long a due mail may wait: a fan-out of thousands takes some minutes."""


async def expire_leases(tx: Transaction) -> tuple[int, int]:
    """Take mails from processes that are gone: back to the queue, or ambiguous where begun.

    Returns how many of each.
    """
    return await claims.expire_leases(tx)


async def measure(tx: Transaction) -> QueueFigures:
    """Measure the queue."""
    return await mails.measure(tx)
