"""The addresses that are written to no more, known by their digests."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text

from services.notifier.letters.bounces import digest_of
from shared.database import Transaction
from shared.events.notifier import BounceKind

SOFT_ONES = 3
WITHIN = timedelta(days=30)
"""So many returns within this time, whatever their reason, and an address is written to no more [choice]."""


async def suppress(tx: Transaction, address: str, mail_id: UUID, kind: BounceKind) -> bool:
    """Write to this address no more, because of this mail: at once when it is bad, or for the last of many.

    Whether it is written to no more now.
    """
    return bool(
        await tx.scalar(
            _SUPPRESS,
            {
                "address": digest_of(address),
                "kind": kind.value,
                "mail_id": mail_id,
                "hard": kind is BounceKind.HARD,
                "within": WITHIN,
                "most": SOFT_ONES,
            },
        )
    )


async def suppress_bad(tx: Transaction, bad: Mapping[str, UUID]) -> None:
    """Write to these addresses no more, each because of a mail."""
    if bad:
        digests = [digest_of(address) for address in bad]
        await tx.execute(
            _SUPPRESS_BAD, {"addresses": digests, "mails": list(bad.values()), "kind": BounceKind.HARD.value}
        )


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


_SUPPRESS = text(
    "WITH new AS (INSERT INTO suppression (address, kind, mail_id) SELECT :address, :kind, :mail_id "
    "WHERE CAST(:hard AS boolean) OR (SELECT count(*) FROM bounce WHERE address = :address "
    "AND bounced_at > now() - CAST(:within AS interval)) >= :most ON CONFLICT (address) DO NOTHING "
    "RETURNING address) "
    "SELECT EXISTS (SELECT FROM new) OR EXISTS (SELECT FROM suppression WHERE address = :address)"
)
# In one order: two processes with the same addresses wait for each other and not in a circle.
_SUPPRESS_BAD = text(
    "INSERT INTO suppression (address, kind, mail_id) SELECT address, :kind, mail_id "
    "FROM unnest(CAST(:addresses AS bytea[]), CAST(:mails AS uuid[])) AS bad (address, mail_id) "
    "ORDER BY address ON CONFLICT (address) DO NOTHING"
)
_LIST = text(
    "SELECT suppression.mail_id, recipient, kind, since FROM suppression LEFT JOIN mail USING (mail_id) "
    "ORDER BY since DESC LIMIT :limit"
)
