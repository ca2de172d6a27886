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
MOST_OF_A_DOMAIN = 20
"""So many addresses of a domain are suppressed in a day [choice]: a host may call all bad by mistake."""


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
                "soft": SOFT_BOUNCES,
                "domain": _domain_of(mail.address),
                "most": MOST_OF_A_DOMAIN,
            },
        )
    )
    return bounced(mail, bounce.kind, bounce.status, bounced_at, suppressed=suppressed)


async def suppress_bad(tx: Transaction, bad: Mapping[str, UUID]) -> set[str]:
    """Return the addresses that are suppressed now."""
    if not bad:
        return set()
    digests = {digest_of(tx, address): address for address in bad}
    suppressed = await tx.scalars(
        _SUPPRESS_BAD,
        {
            "addresses": [*digests],
            "mails": [bad[address] for address in digests.values()],
            "domains": [_domain_of(address) for address in digests.values()],
            "kind": BounceKind.HARD.value,
            "most": MOST_OF_A_DOMAIN,
        },
    )
    return {address for address in bad if digest_of(tx, address) in set(suppressed)}


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


async def lift_since(tx: Transaction, since: datetime, until: datetime, status: str | None) -> int:
    """Lift the suppressions of this time, only those with this RFC 3463 code if given. Return how many."""
    lifted = list(await tx.scalars(_LIFT_SINCE, {"since": since, "until": until, "status": status}))
    await tx.execute(delete(BounceRow).where(col(BounceRow.address).in_(lifted)))
    return len(lifted)


def _domain_of(address: str) -> str:
    return address.rpartition("@")[2].lower()


_RETURNED = text(
    f"SELECT {PUBLISHED} FROM mail WHERE mail_id = :mail_id AND message_id IS NOT NULL FOR UPDATE"  # noqa: S608 our own columns
)
_OF_THE_DOMAIN = (
    "(SELECT count(*) FROM suppression AS recent JOIN mail USING (mail_id) "
    "WHERE recent.since > now() - interval '1 day' AND lower(substring(mail.address FROM '[^@]*$')) = {0})"
)
_SUPPRESS = text(
    "WITH new AS (INSERT INTO suppression (address, kind, mail_id) SELECT :address, :kind, :mail_id "  # noqa: S608 our own words
    "WHERE (CAST(:hard AS boolean) OR (SELECT count(*) FROM bounce WHERE address = :address "
    "AND bounced_at > now() - CAST(:within AS interval)) >= :soft) "
    f"AND {_OF_THE_DOMAIN.format('CAST(:domain AS text)')} < :most "
    "ON CONFLICT (address) DO NOTHING RETURNING address) "
    "SELECT EXISTS (SELECT FROM new) OR EXISTS (SELECT FROM suppression WHERE address = :address)"
)
# Sorted, because two processes with the same addresses would deadlock otherwise.
_SUPPRESS_BAD = text(
    "WITH bad AS (SELECT *, row_number() OVER (PARTITION BY domain ORDER BY address) AS number "  # noqa: S608 our own words
    "FROM unnest(CAST(:addresses AS bytea[]), CAST(:mails AS uuid[]), CAST(:domains AS text[])) "
    "AS bad (address, mail_id, domain)), "
    "new AS (INSERT INTO suppression (address, kind, mail_id) SELECT address, :kind, mail_id FROM bad "
    f"WHERE number + {_OF_THE_DOMAIN.format('bad.domain')} <= :most "
    "ORDER BY address ON CONFLICT (address) DO NOTHING RETURNING address) "
    "SELECT address FROM new UNION "
    "SELECT address FROM suppression WHERE address = ANY(CAST(:addresses AS bytea[]))"
)
_LIFT_SINCE = text(
    "DELETE FROM suppression WHERE since >= :since AND since < :until AND (CAST(:status AS varchar) IS NULL "
    "OR EXISTS (SELECT FROM mail WHERE mail.mail_id = suppression.mail_id "
    "AND coalesce(bounce_status, substring(smtp_answer FROM '^[245]\\.\\d+\\.\\d+')) = :status)) "
    "RETURNING address"
)
_LIST = text(
    "SELECT suppression.mail_id, issuer, recipient, kind, since "
    "FROM suppression LEFT JOIN mail USING (mail_id) ORDER BY since DESC, suppression.address LIMIT :limit"
)
