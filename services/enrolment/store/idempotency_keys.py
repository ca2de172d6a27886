"""The keys by which portals send a request by HTTP more than once."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import text
from sqlmodel import col, select

from services.enrolment.tables import IdempotencyKeyRow
from shared.database import Transaction, insert_many

KEPT = timedelta(days=30)
"""How long a key is known: a portal that repeats a request after that makes a new one."""


async def claim(
    tx: Transaction, portal: str, key: str, digest: bytes, request_id: UUID
) -> IdempotencyKeyRow | None:
    """Keep the key for this request. Returns None, or the row of the request that has the key already.

    Waits for the same key in another transaction.
    """
    row = {"portal": portal, "key": key, "digest": digest, "request_id": request_id}
    inserted = await insert_many(
        tx, IdempotencyKeyRow, [row], then="ON CONFLICT (portal, key) DO NOTHING RETURNING request_id"
    )
    if inserted.one_or_none() is not None:
        return None
    return await tx.get_one(IdempotencyKeyRow, (portal, key))


async def of_request(tx: Transaction, request_id: UUID) -> IdempotencyKeyRow | None:
    """Return the key of a request that came by HTTP, or None if none of this id did in the last 30 days."""
    return await tx.scalar(select(IdempotencyKeyRow).where(col(IdempotencyKeyRow.request_id) == request_id))


async def delete_old(tx: Transaction) -> None:
    """Delete the keys older than :data:`KEPT`."""
    await tx.execute(_DELETE_OLD, {"kept": KEPT})


_DELETE_OLD = text("DELETE FROM idempotency_key WHERE created_at < now() - CAST(:kept AS interval)")
