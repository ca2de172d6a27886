"""After a restore: letters that left after the backup must not leave again.

A mail keeps its id and Message-ID, so published events and the relay's log show which were sent.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from services.notifier.service.mails import END_KNOWN
from services.notifier.store import mails, restores
from services.notifier.store.events import OUTBOX
from services.notifier.store.restores import UNFINISHED, KnownEnd
from services.notifier.tables import MailState
from shared import clock
from shared.database import Transaction
from shared.events.cloudevents import Received
from shared.events.notifier import MailEnd

_WRITTEN_BEFORE = timedelta(days=1)
"""An event may have waited this long in the outbox."""
_MESSAGE_ID = re.compile(r"<(?P<mail_id>[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})@[^\s<>]+>")
RELAYS_LOG = "the relay's log"


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """``missing`` counts sent mails that are not in the queue, by letter."""

    marked: int
    known: int
    missing: Counter[str]


async def has_forgotten(tx: Transaction, newest: Sequence[Received[MailEnd]]) -> bool:
    found = await restores.states(tx, [received.event.mail_id for received in newest])
    unknown = {
        received.id: received.received_at
        for received in newest
        if received.event.mail_id not in found or found[received.event.mail_id] in UNFINISHED
    }
    if not unknown:
        return False
    since = min(unknown.values()) - _WRITTEN_BEFORE
    return await restores.published(tx, unknown, since) != unknown.keys()


async def reconcile(
    tx: Transaction,
    ended: Sequence[Received[MailEnd]],
    logged: Mapping[UUID, str],
    *,
    accept_missing: bool,
    actor: str,
) -> Reconciliation:
    """Mark mails as ended if events or the relay's log say so.

    While mails are missing nothing changes unless ``accept_missing``, because they may still come.
    """
    published = {received.event.mail_id for received in ended}
    found = await restores.states(tx, published | logged.keys())
    missing = [received for received in ended if received.event.mail_id not in found]
    by_letter = Counter(received.event.template for received in missing)
    if lost := len(logged.keys() - published - found.keys()):
        by_letter[RELAYS_LOG] = lost
    if by_letter and not accept_missing:
        return Reconciliation(0, len(found), by_letter)
    marked = await restores.end(tx, [KnownEnd.of(received.event) for received in ended])
    now = clock.now()
    unheard = await restores.end(
        tx,
        [
            KnownEnd(mail_id, MailState.SENT, now, message_id)
            for mail_id, message_id in logged.items()
            if mail_id not in published
        ],
    )
    await OUTBOX.publish(tx, list(unheard.values()))
    if missing:
        await OUTBOX.remember(tx, missing)
    if marked or unheard:
        await mails.add_to_audit_log(tx, actor, dict.fromkeys((*marked, *unheard), END_KNOWN))
    number = len(marked) + len(unheard)
    return Reconciliation(number, len(found) - number, by_letter)


def message_ids_in(log: str) -> dict[UUID, str]:
    return {UUID(found["mail_id"]): found[0] for found in _MESSAGE_ID.finditer(log)}
