"""Logins of browsers to the management pages."""

from datetime import datetime

from services.catalogue.store import logins
from services.catalogue.tables import LoginRow
from shared.database import Transaction


async def log_in(
    tx: Transaction, *, digest: str, token_digest: str, form_key: str, expires_at: datetime
) -> None:
    """Remember a login: ``digest`` is that of the browser's cookie."""
    await logins.add(tx, digest=digest, token_digest=token_digest, form_key=form_key, expires_at=expires_at)


async def valid(tx: Transaction, digest: str, now: datetime) -> LoginRow | None:
    """The login of a cookie, if it has not expired."""
    return await logins.valid(tx, digest, now)


async def log_out(tx: Transaction, digest: str) -> None:
    """Forget a login."""
    await logins.remove(tx, digest)
