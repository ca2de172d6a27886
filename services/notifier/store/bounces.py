import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col

from services.notifier.letters.bounces import ADDRESS_KEY, Bounce, Suppression
from services.notifier.letters.bounces import digest_of as keyed_digest
from services.notifier.store.events import PUBLISHED, PublishedMail, bounced
from services.notifier.tables import BounceRow, MailRow, SuppressionRow
from shared.database import Transaction
from shared.events.notifier import BounceKind, EmailBounced

SOFT_BOUNCES = 3
WITHIN = timedelta(days=30)
"""This many returns in this time suppress an address, whatever their reason [choice]."""


def digest_of(tx: Transaction, address: str) -> bytes:
    key: bytes = tx.info.get(ADDRESS_KEY, b"")
    return keyed_digest(address, key)


async def find(tx: Transaction, mail_id: UUID) -> PublishedMail | None:
    """Lock the mail's row. Returns None if no tried mail has this id."""
    row = (await tx.execute(_RETURNED, {"mail_id": mail_id})).one_or_none()
    return None if row is None else PublishedMail(*row)


async def save(tx: Transaction, mail: PublishedMail, bounce: Bounce, raw: bytes) -> EmailBounced | None:
    """Store a report, mark its mail, and suppress the address if the rules say so.

    Returns None for a known report.
    """
    report = {
        "report": hashlib.sha256(raw).digest(),
        "address": digest_of(tx, mail.address),
        "kind": bounce.kind,
    }
    bounced_at = await tx.scalar(
        insert(BounceRow).values(report).on_conflict_do_nothing().returning(col(BounceRow.bounced_at))
    )
    if bounced_at is None:
        return None
    await tx.execute(
        update(MailRow)
        .where(col(MailRow.mail_id) == bounce.mail_id)
        .values(bounced_at=bounced_at, bounce_status=bounce.status)
    )
    suppressed = bool(
        await tx.scalar(
            _SUPPRESS,
            {
                "address": report["address"],
                "kind": bounce.kind.value,
                "mail_id": bounce.mail_id,
                "hard": bounce.kind is BounceKind.HARD,
                "within": WITHIN,
                "most": SOFT_BOUNCES,
            },
        )
    )
    return bounced(mail, bounce.kind, bounce.status, bounced_at, suppressed=suppressed)


async def suppress_bad(tx: Transaction, bad: Mapping[str, UUID]) -> None:
    if bad:
        digests = [digest_of(tx, address) for address in bad]
        await tx.execute(
            _SUPPRESS_BAD, {"addresses": digests, "mails": list(bad.values()), "kind": BounceKind.HARD.value}
        )


async def suppressions(tx: Transaction, *, limit: int) -> list[Suppression]:
    return [
        Suppression(row.mail_id, row.issuer, row.recipient, BounceKind(row.kind), row.since)
        for row in await tx.execute(_LIST, {"limit": limit})
    ]


async def suppressed_since(tx: Transaction, address: str) -> datetime | None:
    since = select(col(SuppressionRow.since)).where(col(SuppressionRow.address) == digest_of(tx, address))
    return await tx.scalar(since)


async def lift(tx: Transaction, address: str) -> bool:
    """Forget all returns from an address. Returns whether it was suppressed."""
    digest = digest_of(tx, address)
    await tx.execute(delete(BounceRow).where(col(BounceRow.address) == digest))
    lifted = await tx.execute(delete(SuppressionRow).where(col(SuppressionRow.address) == digest))
    return lifted.rowcount > 0


_RETURNED = text(
    f"SELECT {PUBLISHED} FROM mail WHERE mail_id = :mail_id AND message_id IS NOT NULL FOR UPDATE"  # noqa: S608 our own columns
)
_SUPPRESS = text(
    "WITH new AS (INSERT INTO suppression (address, kind, mail_id) SELECT :address, :kind, :mail_id "
    "WHERE CAST(:hard AS boolean) OR (SELECT count(*) FROM bounce WHERE address = :address "
    "AND bounced_at > now() - CAST(:within AS interval)) >= :most ON CONFLICT (address) DO NOTHING "
    "RETURNING address) "
    "SELECT EXISTS (SELECT FROM new) OR EXISTS (SELECT FROM suppression WHERE address = :address)"
)
# Sorted, because two processes with the same addresses would deadlock otherwise.
_SUPPRESS_BAD = text(
    "INSERT INTO suppression (address, kind, mail_id) SELECT address, :kind, mail_id "
    "FROM unnest(CAST(:addresses AS bytea[]), CAST(:mails AS uuid[])) AS bad (address, mail_id) "
    "ORDER BY address ON CONFLICT (address) DO NOTHING"
)
_LIST = text(
    "SELECT suppression.mail_id, issuer, recipient, kind, since "
    "FROM suppression LEFT JOIN mail USING (mail_id) ORDER BY since DESC, suppression.address LIMIT :limit"
)
