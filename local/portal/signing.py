"""Signatures of portals: HMAC-SHA256 over the attributes of an event and its record's whole value."""

import base64
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

SIGNED = ("id", "source", "type", "time")
"""The attributes that a signature covers, in this order."""


@dataclass(frozen=True)
class SigningKey:
    """A portal's key: its id, and the secret's bytes."""

    id: str
    secret: bytes = field(repr=False)

    @classmethod
    def of(cls, key_id: str, secret: str) -> Self:
        """Return the key of a secret as it is handed out: `whsec_` and base64."""
        return cls(key_id, base64.b64decode(secret.removeprefix("whsec_"), validate=True))

    def sign(self, attributes: Mapping[str, str], value: bytes) -> bytes:
        """Return the signature of an event over these attributes and the record's whole value."""
        lines = ["v1", self.id, *(attributes[name] for name in SIGNED), ""]
        digest = hmac.digest(self.secret, "\n".join(lines).encode() + value, "sha256")
        return b"v1," + base64.b64encode(digest)
