"""Mails that came back."""

import hashlib

from sqlalchemy import text

from services.notifier import tables
from services.notifier.letters.bounces import Bounce, digest_of
from services.notifier.store.sending import about, outbox
from services.notifier.store.suppression import suppress
from shared.database import Transaction, insert_many
from shared.events.notifier import EmailBounced


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
        tables.BounceRow,
        [{"report": hashlib.sha256(raw).digest(), "address": address, "kind": bounce.kind.value}],
        then="ON CONFLICT (report) DO NOTHING RETURNING bounced_at",
    )
    bounced_at = new.scalar()
    if bounced_at is None:
        return False
    await tx.execute(_MARK, {"mail_id": bounce.mail_id, "at": bounced_at, "status": bounce.status})
    suppressed = await suppress(tx, row.address, bounce.mail_id, bounce.kind)
    told = EmailBounced(
        **about(row),
        message_id=row.message_id,
        kind=bounce.kind,
        status=bounce.status,
        bounced_at=bounced_at,
        suppressed=suppressed,
    )
    await outbox.publish(tx, [told])
    return True


_MAIL = text(
    "SELECT mail_id, recipient, address, template, "
    "coalesce(CAST(facts ->> 'cause_id' AS uuid), event_id) AS event_id, "
    "session_id, enrolment_id, message_id FROM mail "
    "WHERE mail_id = :mail_id AND message_id IS NOT NULL FOR UPDATE"
)
_MARK = text("UPDATE mail SET bounced_at = :at, bounce_status = :status WHERE mail_id = :mail_id")
