"""Who is logged in to the mail log."""

import hashlib
import secrets
from datetime import timedelta

from services.notifier.store import logins
from services.notifier.tables import LoginRow
from shared.database import Transaction

LASTS = timedelta(hours=8)
"""A working day."""


async def begin(tx: Transaction, token: str) -> str:
    """Let in whoever has this token. Returns the secret that their browser keeps."""
    secret = secrets.token_urlsafe(32)
    token_digest = hashlib.sha256(token.encode()).hexdigest()
    await logins.add(tx, _digest(secret), token_digest, secrets.token_urlsafe(32), LASTS)
    return secret


async def find(tx: Transaction, secret: str) -> LoginRow | None:
    """The login of a browser that has not ended: by which token, and the key that is in each of its forms."""
    return await logins.find(tx, _digest(secret))


async def end(tx: Transaction, secret: str) -> None:
    """End a login, whoever else has kept its cookie."""
    await logins.remove(tx, _digest(secret))


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
