"""The upkeep of the queue: leases that have run out, its figures, and what is kept no longer."""

from services.notifier.store import claims, fan_outs, mails, rate_limiter, subscriptions
from shared import clock
from shared.database import Transaction
from shared.web import logins


async def expire_leases(tx: Transaction) -> tuple[int, int]:
    """Mails of processes that are gone: not begun, back to the queue; begun, ambiguous. How many of each."""
    return await claims.expire_leases(tx)


async def measure(tx: Transaction) -> tuple[int, float, int]:
    """How many mails are due and wait, for how many seconds the oldest does, and how many are ambiguous."""
    return await mails.measure(tx)


async def purge(tx: Transaction) -> None:
    """Forget what has run out: fan-outs that are done, requests nobody confirmed, logins, unused limits."""
    await fan_outs.purge(tx)
    await subscriptions.purge(tx)
    await logins.purge(tx, clock.now())
    await rate_limiter.purge(tx)
