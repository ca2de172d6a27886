"""Who is logged in to the management pages. Only digests are kept of what a browser holds."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from services.catalogue import tables
from shared.database import Transaction


@dataclass(frozen=True, slots=True)
class Login:
    """A browser that is logged in, until ``expires_at``.

    ``digest`` is that of its cookie, ``token_digest`` that of the token it logged in with, which must still
    be known. ``form_key`` is in each of its forms, and in nobody else's.
    """

    digest: str
    token_digest: str
    form_key: str
    expires_at: datetime


async def open_one(tx: Transaction, login: Login) -> None:
    """Remember a login."""
    await tx.execute(
        tables.login.insert().values(
            digest=login.digest,
            token_digest=login.token_digest,
            form_key=login.form_key,
            expires_at=login.expires_at,
        )
    )


async def known(tx: Transaction, digest: str, now: datetime) -> Login | None:
    """The login of a cookie, if it is still valid."""
    columns = tables.login.c
    query = select(tables.login).where(columns.digest == digest, columns.expires_at > now)
    row = (await tx.execute(query)).one_or_none()
    return None if row is None else Login(row.digest, row.token_digest, row.form_key, row.expires_at)


async def close(tx: Transaction, digest: str) -> None:
    """Forget a login."""
    await tx.execute(tables.login.delete().where(tables.login.c.digest == digest))


async def purge(tx: Transaction, now: datetime) -> None:
    """Forget those that have run out."""
    await tx.execute(tables.login.delete().where(tables.login.c.expires_at <= now))
