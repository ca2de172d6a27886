"""Who is logged in to the mail log. Only digests are kept of what a browser holds, and of its token."""

from datetime import timedelta

from sqlalchemy import delete, func, insert
from sqlmodel import col, select

from services.notifier.tables import LoginRow
from shared.database import Transaction


async def add(tx: Transaction, digest: bytes, token_digest: str, form_key: str, lasts: timedelta) -> None:
    """Keep a login until it runs out."""
    await tx.execute(
        insert(LoginRow).values(
            digest=digest, token_digest=token_digest, form_key=form_key, expires_at=func.now() + lasts
        )
    )


async def find(tx: Transaction, digest: bytes) -> LoginRow | None:
    """The login that has not run out."""
    is_live = col(LoginRow.expires_at) > func.now()
    return (await tx.scalars(select(LoginRow).where(col(LoginRow.digest) == digest, is_live))).one_or_none()


async def remove(tx: Transaction, digest: bytes) -> None:
    """Forget a login."""
    await tx.execute(delete(LoginRow).where(col(LoginRow.digest) == digest))


async def purge(tx: Transaction) -> None:
    """Forget those that have run out."""
    await tx.execute(delete(LoginRow).where(col(LoginRow.expires_at) <= func.now()))
