"""The link to all of an agent's enrolments, sent anew to who has lost it."""

from uuid import uuid4

from services.notifier.letters.addresses import folded
from services.notifier.service.subscriptions import PER_MAILBOX, Digest
from services.notifier.store import queue
from shared import limits
from shared.database import Transaction

AGENTS_OF_A_MAILBOX = 20
"""How many agents get their letter where many share a mailbox: those who enrolled last [choice]."""


async def send(tx: Transaction, address: str, digest: Digest) -> None:
    """Write to the agents whose enrolments have this address, each their own link; else do nothing.

    Once a day for a mailbox, under whatever name, as for a subscription.
    """
    if await limits.take(tx, digest("mailbox of lost links", folded(address)), PER_MAILBOX):
        await queue.add_links(tx, uuid4(), address, AGENTS_OF_A_MAILBOX)
