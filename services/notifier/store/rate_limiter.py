"""Turns: no domain gets more mails a second than it may have, from however many processes.

A row for each domain says when its next turn is free. Who claims mails takes a turn for each, under the lock
of that row; a mail whose turn is to come goes back into the queue until then and keeps it.
"""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import text

from services.notifier.store.sending import Claimed
from shared.database import Transaction

LASTS = timedelta(seconds=10)
"""A turn that nobody used for so long (the relay was away) is lost, or all of them would be used at once."""


async def take(tx: Transaction, claimed: Sequence[Claimed], *, rate: float) -> list[Claimed]:
    """Those of these mails whose turn is now, at ``rate`` a second for each domain.

    The others are claimed no more; it was no attempt.
    """
    later = await tx.scalars(
        _TAKE,
        {
            "ids": [one.mail.mail_id for one in claimed],
            "domains": [one.mail.address.rpartition("@")[2].lower() for one in claimed],
            "each": timedelta(seconds=1 / rate),
            "lasts": LASTS,
        },
    )
    postponed = set(later)
    return [one for one in claimed if one.mail.mail_id not in postponed]


async def purge(tx: Transaction) -> None:
    """Forget domains whose next turn is free anyway."""
    await tx.execute(text("DELETE FROM domain_rate WHERE free_at < now()"))


# Domains in their order, so that two claims that share some do not lock each other out.
_TAKE = text(
    """
    WITH asked AS (
        SELECT one.mail_id, one.domain, row_number() OVER (PARTITION BY one.domain ORDER BY place) AS place
          FROM unnest(CAST(:ids AS uuid[]), CAST(:domains AS varchar[])) WITH ORDINALITY
               AS one (mail_id, domain, place) JOIN mail USING (mail_id)
         WHERE slot_at IS NULL OR slot_at < now() - CAST(:lasts AS interval)),
    taken AS (
        INSERT INTO domain_rate (domain, free_at)
        SELECT domain, now() + count(*) * CAST(:each AS interval) FROM asked GROUP BY domain ORDER BY domain
            ON CONFLICT (domain) DO UPDATE
               SET free_at = greatest(domain_rate.free_at, now()) + (excluded.free_at - now())
        RETURNING domain, free_at),
    turns AS (
        SELECT mail_id, free_at - CAST(:each AS interval)
                        * (count(*) OVER (PARTITION BY domain) - place + 1) AS slot_at
          FROM asked JOIN taken USING (domain))
    UPDATE mail
       SET state = 'pending', due_at = turns.slot_at, slot_at = turns.slot_at, attempts = attempts - 1,
           smtp_answer = 'its domain has had its share', owner = NULL, lease_until = NULL
      FROM turns WHERE mail.mail_id = turns.mail_id AND turns.slot_at > now()
    RETURNING mail.mail_id"""
)
