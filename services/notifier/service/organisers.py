from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from services.notifier.letters import Letter, OrganiserDay, digest_letter, returned_letter
from services.notifier.settings import DelegationContacts
from services.notifier.store import organisers, queue
from services.notifier.store.queue import Addressee
from shared.database import Transaction
from shared.events.topics import Topic
from shared.messaging import progress


async def write_day(tx: Transaction, day: OrganiserDay, contacts: DelegationContacts, now: datetime) -> int:
    """Write each letter once a day. Returns the number of letters.

    Nothing is written until all decisions of that day are read. That an address ended its digest is
    remembered only while the settings name the address.
    """
    read = await progress.read_until(tx, [Topic.ENROLMENT_DECISIONS])
    if read is None or read < day.until:
        return 0
    since = await organisers.begin_day(tx, day)
    if since is None:
        return 0
    returned = await organisers.returned(tx, day.organiser, since, day.until)
    alone = returned_letter(returned)
    await organisers.keep_ended(tx, day.organiser, contacts.digest)
    ended = await organisers.without_digest(tx, day.organiser, contacts.digest)
    wanting = [address for address in contacts.digest if address not in ended]
    digest = await _digest(tx, day, since, returned, now) if wanting else None
    written = 0
    for number, address in enumerate(dict.fromkeys((*contacts.organisers, *wanting)), start=1):
        letter = digest if address in wanting else alone
        if letter is not None:
            to = Addressee(f"organisation-{day.organiser}-{number}", address, "", "")
            await queue.add_letter(tx, day.day_id, letter, to, called_for_at=day.until)
            written += 1
    return written


async def end_digest(tx: Transaction, organiser: str, address: str, now: datetime) -> None:
    await organisers.end_digest(tx, organiser, address, now)


async def resume_digest(tx: Transaction, organiser: str, address: str) -> bool:
    """Return False if the digest was not ended."""
    return await organisers.resume_digest(tx, organiser, address)


async def _digest(
    tx: Transaction, day: OrganiserDay, since: datetime, returned: Mapping[UUID, int], now: datetime
) -> Letter | None:
    since_last = await organisers.since_last(tx, day.organiser, since, day.until)
    found = await organisers.to_report(tx, day.organiser, now, also=returned.keys() | since_last.keys())
    counts = await organisers.counts_by_state(tx, [session.session_id for session in found])
    return digest_letter(found, counts, since_last, returned, now)
