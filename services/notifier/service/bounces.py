"""Mails that come back: kept, published, and maybe their address is written to no more."""

import asyncio

from services.notifier.letters import bounces as reports
from services.notifier.letters.bounces import ReturnPath, Suppression
from services.notifier.store import bounces
from services.notifier.store.events import outbox
from shared.database import Transaction


async def record(tx: Transaction, raw: bytes, path: ReturnPath | None) -> str:
    """Do what a message to the return path says. Returns ``taken``, ``known`` or ``no report``."""
    # In a thread: taking a message apart may take a while, and here every mail and every lease waits for us.
    bounce = await asyncio.to_thread(reports.read, raw, path)
    if bounce is None:
        return "no report"
    event = await bounces.save(tx, bounce, raw)
    if event is None:
        return "known"
    await outbox.publish(tx, [event])
    return "taken"


async def suppressions(tx: Transaction, *, limit: int) -> list[Suppression]:
    """The newest addresses that are written to no more; which, only the mails tell."""
    return await bounces.suppressions(tx, limit=limit)


async def lift(tx: Transaction, address: str) -> bool:
    """Write to an address again, as if nothing had come back from it. Whether it was on the list."""
    return await bounces.lift(tx, address)
