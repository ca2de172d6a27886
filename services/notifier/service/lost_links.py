from uuid import UUID, uuid4

from services.notifier.letters.addresses import folded
from services.notifier.service.failures import NoLetterSent
from services.notifier.service.subscriptions import PER_MAILBOX, Digest
from services.notifier.store import queue
from shared import limits
from shared.database import Transaction

AGENTS_OF_A_MAILBOX = 20
"""A shared mailbox gets at most this many links, the last enrolled agents first [choice]."""


async def send(tx: Transaction, address: str, digest: Digest, *, log_in: UUID | None = None) -> None:
    """Write to each agent with this address, once a day for a mailbox. Raises ``NoLetterSent``.

    The letters may also confirm a log-in, which counts apart. An unknown address does not count against the
    limit of a similar known one.
    """
    what, details = "mailbox of lost links", {}
    if log_in is not None:
        what, details = "mailbox of log-ins", {"log_in": str(log_in)}
    if not await limits.take(tx, digest(what, folded(address)), PER_MAILBOX):
        raise NoLetterSent
    if not await queue.add_links(tx, uuid4(), address, AGENTS_OF_A_MAILBOX, details):
        raise NoLetterSent
