import asyncio
from datetime import datetime
from uuid import UUID

from services.notifier.letters import bounces as reports
from services.notifier.letters.addresses import canonical
from services.notifier.letters.bounces import Suppression
from services.notifier.return_path import ReturnPath
from services.notifier.store import bounces, claims, mails, people
from services.notifier.store.events import OUTBOX
from shared import read_log
from shared.database import Transaction
from shared.events.vocabulary import AgentKey
from shared.read_log import Reading, ReadKind


async def record(tx: Transaction, raw: bytes, path: ReturnPath) -> str:
    """Return ``taken``, ``known`` or ``no report``.

    A report that names another recipient is ``no report``.
    """
    # In a thread, because parsing may take long, and mails and leases must not wait.
    bounce = await asyncio.to_thread(reports.read, raw, path)
    mail = None if bounce is None else await bounces.find(tx, bounce.mail_id)
    if bounce is None or mail is None or canonical(mail.address) != canonical(bounce.recipient):
        return "no report"
    event = await bounces.save(tx, mail, bounce, raw)
    if event is None:
        return "known"
    await OUTBOX.publish(tx, [event])
    return "taken"


async def suppressions(tx: Transaction, *, limit: int) -> list[Suppression]:
    return await bounces.suppressions(tx, limit=limit)


async def lift(tx: Transaction, address: str) -> bool:
    """Write to an address again. Returns whether it was suppressed."""
    return await bounces.lift(tx, address)


async def lift_since(tx: Transaction, since: datetime, until: datetime, status: str | None) -> int:
    """Write again to the addresses suppressed in this time. ``status`` is an RFC 3463 code."""
    return await bounces.lift_since(tx, since, until, status)


async def lift_of(tx: Transaction, agent: AgentKey, reading: Reading, *, seen: str) -> bool:
    """Do nothing if the address is no longer the one ``seen``."""
    (person,) = await people.known(tx, [agent])
    if not seen or person.address != seen:
        return False
    await lift(tx, seen)
    await read_log.record(tx, reading, ReadKind.WRITTEN_AGAIN, agents=[agent])
    return True


async def lift_for(tx: Transaction, mail_id: UUID, reading: Reading, *, seen: str) -> bool:
    """This is only for mails to no agent. Return False if the address is no longer the one ``seen``."""
    mail = await mails.get(tx, mail_id)
    if mail is None or mail.issuer or not seen or await claims.address_now(tx, mail_id) != seen:
        return False
    await lift(tx, seen)
    await read_log.record(tx, reading, ReadKind.WRITTEN_AGAIN, agents=[AgentKey("", mail.recipient)])
    return True
