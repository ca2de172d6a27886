"""Who is logged in to the mail log. Only digests are kept of what a browser holds, and of its token."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import text

from shared.database import Transaction

LASTS = timedelta(hours=8)
"""A working day."""


@dataclass(frozen=True, slots=True)
class Login:
    """A browser that is logged in: by which token, and the key that is in each of its forms."""

    token_digest: str
    form_key: str


async def begin(tx: Transaction, token_digest: str) -> str:
    """Let somebody in. Returns what their browser keeps."""
    secret = secrets.token_urlsafe(32)
    login = {"digest": _digest(secret), "token_digest": token_digest, "form_key": secrets.token_urlsafe(32)}
    await tx.execute(_BEGIN, login | {"lasts": LASTS})
    return secret


async def of(tx: Transaction, secret: str) -> Login | None:
    """The login of a browser that has not ended."""
    row = (await tx.execute(_OF, {"digest": _digest(secret)})).one_or_none()
    return None if row is None else Login(row.token_digest, row.form_key)


async def end(tx: Transaction, secret: str) -> None:
    """End a login, whoever else has kept its cookie."""
    await tx.execute(text("DELETE FROM login WHERE digest = :digest"), {"digest": _digest(secret)})


async def purge(tx: Transaction) -> None:
    """Forget those that have run out."""
    await tx.execute(text("DELETE FROM login WHERE expires_at <= now()"))


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


_BEGIN = text(
    "INSERT INTO login (digest, token_digest, form_key, expires_at) "
    "VALUES (:digest, :token_digest, :form_key, now() + :lasts)"
)
_OF = text("SELECT token_digest, form_key FROM login WHERE digest = :digest AND expires_at > now()")
