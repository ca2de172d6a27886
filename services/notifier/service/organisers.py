"""Organisers hear by the day, by letter, what there is to tell of their sessions."""

from collections.abc import Sequence

from services.notifier.letters import OrganiserDay, returned_letter
from services.notifier.store import organisers, queue
from services.notifier.store.queue import Addressee
from shared.database import Transaction


async def write_day(tx: Transaction, day: OrganiserDay, addresses: Sequence[str]) -> int:
    """Write to an organiser's ``addresses`` what came back, once for each day. Returns how many letters.

    These are no agents: their recipient is named after the organiser.
    """
    since = await organisers.begin_day(tx, day)
    if since is None:
        return 0
    letter = returned_letter(await organisers.returned(tx, day.organiser, since, day.until))
    if letter is None:
        return 0
    for number, address in enumerate(addresses, start=1):
        to = Addressee(f"organisation-{day.organiser}-{number}", address, "", "")
        await queue.add_letter(tx, day.day_id, letter, to, called_for_at=day.until)
    return len(addresses)
