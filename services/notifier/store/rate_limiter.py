"""Limits the mails per second to one domain from all processes.

A domain's row says when its next slot is free. Claims take slots under the lock of that row. A mail with a
later slot returns to the queue and keeps its slot.
"""

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from sqlalchemy import text

from shared.database import Transaction

LASTS = timedelta(seconds=10)
"""A slot unused for this long is lost. Otherwise all would be used at once after an outage."""


async def postpone(tx: Transaction, domains: Mapping[UUID, str], *, rate: float) -> set[UUID]:
    """Return the mails with later slots, which are not claimed any more. This was no attempt.

    ``domains`` has the domain of each mail, in order.
    """
    return set(
        await tx.scalars(
            _TAKE,
            {
                "ids": list(domains),
                "domains": list(domains.values()),
                "each": timedelta(seconds=1 / rate),
                "lasts": LASTS,
            },
        )
    )


# Sorted, because two claims with some equal domains would deadlock otherwise.
_TAKE = text(
    """
    WITH claimed AS (
        SELECT new.mail_id, new.domain, row_number() OVER (PARTITION BY new.domain ORDER BY place) AS place
          FROM unnest(CAST(:ids AS uuid[]), CAST(:domains AS varchar[])) WITH ORDINALITY
               AS new (mail_id, domain, place) JOIN mail USING (mail_id)
         WHERE slot_at IS NULL OR slot_at < now() - CAST(:lasts AS interval)),
    taken AS (
        INSERT INTO domain_rate (domain, free_at)
        SELECT domain, now() + count(*) * CAST(:each AS interval) FROM claimed GROUP BY domain ORDER BY domain
            ON CONFLICT (domain) DO UPDATE
               SET free_at = greatest(domain_rate.free_at, now()) + (excluded.free_at - now())
        RETURNING domain, free_at),
    slots AS (
        SELECT mail_id, free_at - CAST(:each AS interval)
                        * (count(*) OVER (PARTITION BY domain) - place + 1) AS slot_at
          FROM claimed JOIN taken USING (domain))
    UPDATE mail
       SET state = 'pending', due_at = slots.slot_at, slot_at = slots.slot_at, attempts = attempts - 1,
           smtp_answer = 'its domain has had its share', owner = NULL, lease_until = NULL
      FROM slots WHERE mail.mail_id = slots.mail_id AND slots.slot_at > now()
    RETURNING mail.mail_id"""
)
