"""Mails that come back: their reports are kept and published, bad addresses suppressed."""

import asyncio

from services.notifier.letters import bounces as reports
from services.notifier.letters.addresses import canonical
from services.notifier.letters.bounces import ReturnPath, Suppression
from services.notifier.store import bounces
from services.notifier.store.events import outbox
from shared.database import Transaction


async def record(tx: Transaction, raw: bytes, path: ReturnPath) -> str:
    """Take a message to the return path. Returns ``taken``, ``known`` or ``no report``.

    A report that names another recipient than the mail's is none.
    """
    # In a thread: parsing a message may take a while, and mails and leases must not wait for it.
    bounce = await asyncio.to_thread(reports.read, raw, path)
    mail = None if bounce is None else await bounces.find(tx, bounce.mail_id)
    if bounce is None or mail is None or canonical(mail.address) != canonical(bounce.recipient):
        return "no report"
    event = await bounces.save(tx, mail, bounce, raw)
    if event is None:
        return "known"
    await outbox.publish(tx, [event])
    return "taken"


async def suppressions(tx: Transaction, *, limit: int) -> list[Suppression]:
    """The newest suppressed addresses, by the mails that came back: addresses themselves are not stored."""
    return await bounces.suppressions(tx, limit=limit)


async def lift(tx: Transaction, address: str) -> bool:
    """Write to an address again, as if nothing had come back from it. Whether it was on the list."""
    return await bounces.lift(tx, address)
