"""Who is logged in to the management pages. Only digests are kept of what a browser holds."""

from datetime import datetime

from sqlalchemy import delete, insert, select
from sqlmodel import col

from services.catalogue.tables import LoginRow
from shared.database import Transaction


async def add(
    tx: Transaction, *, digest: str, token_digest: str, form_key: str, expires_at: datetime
) -> None:
    """Remember a login."""
    await tx.execute(
        insert(LoginRow).values(
            digest=digest, token_digest=token_digest, form_key=form_key, expires_at=expires_at
        )
    )


async def valid(tx: Transaction, digest: str, now: datetime) -> LoginRow | None:
    """The login of a cookie, if it has not expired."""
    query = select(LoginRow).where(col(LoginRow.digest) == digest, col(LoginRow.expires_at) > now)
    return (await tx.scalars(query)).one_or_none()


async def remove(tx: Transaction, digest: str) -> None:
    """Forget a login."""
    await tx.execute(delete(LoginRow).where(col(LoginRow.digest) == digest))


async def remove_expired(tx: Transaction, now: datetime) -> None:
    """Forget the logins that have expired."""
    await tx.execute(delete(LoginRow).where(col(LoginRow.expires_at) <= now))
