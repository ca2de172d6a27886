"""Signatures of requests: HMAC-SHA256 over the attributes that matter and the whole value.

The form follows Standard Webhooks (secrets ``whsec_``, signatures ``v1,``); the signed message is ours.
"""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass

SECRET_PREFIX = "whsec_"  # noqa: S105 the prefix of secrets is no secret
_SIGNATURE_PREFIX = "v1,"
_MIN_BYTES, _MAX_BYTES = 24, 64
_NEW_BYTES = 32


class BadSecret(ValueError):
    """The text is no secret. The message never quotes it."""


@dataclass(frozen=True, slots=True)
class SignedAttributes:
    """The attributes that a signature covers, as they were sent."""

    event_id: str
    source: str
    event_type: str
    time: str


def new_secret() -> str:
    """Return a new secret as text."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_NEW_BYTES)).decode()


def key_of(secret: str) -> bytes:
    """Return the 24 to 64 bytes of a secret. Raises :class:`BadSecret`."""
    if not secret.startswith(SECRET_PREFIX):
        raise BadSecret(f"a secret begins with {SECRET_PREFIX}")
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except ValueError:
        raise BadSecret(f"what follows {SECRET_PREFIX} is not base64 with its padding") from None
    if not _MIN_BYTES <= len(key) <= _MAX_BYTES:
        raise BadSecret(f"a secret stands for {_MIN_BYTES} to {_MAX_BYTES} bytes, this one for {len(key)}")
    return key


def sign(key: bytes, key_id: str, attributes: SignedAttributes, value: bytes) -> str:
    """Return ``v1,`` and base64. ``value`` is the record's whole value."""
    lines = (
        "v1",
        key_id,
        attributes.event_id,
        attributes.source,
        attributes.event_type,
        attributes.time,
        "",
    )
    digest = hmac.digest(key, "\n".join(lines).encode() + value, hashlib.sha256)
    return _SIGNATURE_PREFIX + base64.b64encode(digest).decode()


def is_signature_of(
    signature: str, key: bytes, key_id: str, attributes: SignedAttributes, value: bytes
) -> bool:
    """Return whether this key made the signature for this event."""
    return hmac.compare_digest(signature.encode(), sign(key, key_id, attributes, value).encode())
