"""Mails that came back, and the addresses that are written to no more."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text

from services.notifier import tables
from services.notifier.bounces import Bounce, digest_of
from services.notifier.store.sending import outbox
from shared.database import Transaction, insert_many
from shared.events.notifier import BounceKind, EmailBounced

SOFT_ONES = 3
WITHIN = timedelta(days=30)
"""So many returns within this time, whatever their reason, and an address is written to no more [choice]."""


async def take(tx: Transaction, bounce: Bounce, raw: bytes) -> bool:
    """Keep that a mail came back and tell of it, once per report; maybe its address is written to no more.

    Whether it was news: the same report again, or one about no mail of ours, changes nothing.
    """
    row = (await tx.execute(_MAIL, {"mail_id": bounce.mail_id})).one_or_none()
    if row is None:
        return False
    address = digest_of(row.address)
    new = await insert_many(
        tx,
        tables.bounce,
        [{"report": hashlib.sha256(raw).digest(), "address": address, "kind": bounce.kind.value}],
        then="ON CONFLICT (report) DO NOTHING RETURNING bounced_at",
    )
    bounced_at = new.scalar()
    if bounced_at is None:
        return False
    await tx.execute(_MARK, {"mail_id": bounce.mail_id, "at": bounced_at, "status": bounce.status})
    await tx.execute(
        _SUPPRESS,
        {
            "address": address,
            "kind": bounce.kind.value,
            "mail_id": bounce.mail_id,
            "hard": bounce.kind is BounceKind.HARD,
            "within": WITHIN,
            "most": SOFT_ONES,
        },
    )
    told = EmailBounced(
        mail_id=bounce.mail_id,
        agent_id=row.recipient,
        template=row.template,
        cause_id=row.cause_id,
        session_id=row.session_id,
        enrolment_id=row.enrolment_id,
        message_id=row.message_id,
        kind=bounce.kind,
        status=bounce.status,
        bounced_at=bounced_at,
    )
    await outbox.publish(tx, [told])
    return True


async def suppressed(tx: Transaction, addresses: Collection[str]) -> set[str]:
    """Those of these addresses that are written to no more."""
    digests = {digest_of(address): address for address in addresses}
    found = await tx.execute(_SUPPRESSED, {"addresses": list(digests)})
    return {digests[row.address] for row in found}


@dataclass(frozen=True, slots=True)
class Suppression:
    """An address that is written to no more, by the mail that came back."""

    mail_id: UUID
    agent_id: str | None
    kind: BounceKind
    since: datetime


async def suppressions(tx: Transaction, *, limit: int) -> list[Suppression]:
    """The newest addresses that are written to no more; which, only the mails tell."""
    return [
        Suppression(row.mail_id, row.recipient, BounceKind(row.kind), row.since)
        for row in await tx.execute(_LIST, {"limit": limit})
    ]


async def lift(tx: Transaction, address: str) -> bool:
    """Write to an address again, as if nothing had come back from it. Whether it was on the list."""
    digest = {"address": digest_of(address)}
    await tx.execute(text("DELETE FROM bounce WHERE address = :address"), digest)
    lifted = await tx.execute(text("DELETE FROM suppression WHERE address = :address"), digest)
    return lifted.rowcount > 0


_MAIL = text(
    "SELECT recipient, address, template, "
    "coalesce(CAST(facts ->> 'cause_id' AS uuid), event_id) AS cause_id, "
    "session_id, enrolment_id, message_id FROM mail "
    "WHERE mail_id = :mail_id AND message_id IS NOT NULL FOR UPDATE"
)
_MARK = text("UPDATE mail SET bounced_at = :at, bounce_status = :status WHERE mail_id = :mail_id")
_SUPPRESS = text(
    "INSERT INTO suppression (address, kind, mail_id) SELECT :address, :kind, :mail_id "
    "WHERE CAST(:hard AS boolean) OR (SELECT count(*) FROM bounce WHERE address = :address "
    "AND bounced_at > now() - CAST(:within AS interval)) >= :most ON CONFLICT (address) DO NOTHING"
)
_SUPPRESSED = text("SELECT address FROM suppression WHERE address = ANY(CAST(:addresses AS bytea[]))")
_LIST = text(
    "SELECT suppression.mail_id, recipient, kind, since FROM suppression LEFT JOIN mail USING (mail_id) "
    "ORDER BY since DESC LIMIT :limit"
)
