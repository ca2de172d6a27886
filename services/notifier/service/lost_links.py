"""The link to all of an agent's enrolments, sent anew to who has lost it."""

from uuid import uuid4

from services.notifier.letters.addresses import folded
from services.notifier.service.failures import NoLetterSent
from services.notifier.service.subscriptions import PER_MAILBOX, Digest
from services.notifier.store import queue
from shared import limits
from shared.database import Transaction

AGENTS_OF_A_MAILBOX = 20
"""How many agents get their letter where many share a mailbox: those who enrolled last [choice]."""


async def send(tx: Transaction, address: str, digest: Digest) -> None:
    """Write to the agents whose enrolments have this address, each their own link.

    Once a day for a mailbox, under whatever name, as for a subscription. Raises ``NoLetterSent``: whoever
    types an address that nobody has uses up nothing of whose mailbox it looks like.
    """
    if not await limits.take(tx, digest("mailbox of lost links", folded(address)), PER_MAILBOX):
        raise NoLetterSent
    if not await queue.add_links(tx, uuid4(), address, AGENTS_OF_A_MAILBOX):
        raise NoLetterSent
