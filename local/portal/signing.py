"""Signatures of portals: HMAC-SHA256 over the attributes of an event and its record's whole value."""

import base64
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

SIGNED = ("id", "source", "type", "time")


@dataclass(frozen=True)
class SigningKey:
    id: str
    secret: bytes = field(repr=False)

    @classmethod
    def of(cls, key_id: str, secret: str) -> Self:
        """Return the key whose `secret` is `whsec_` and base64."""
        return cls(key_id, base64.b64decode(secret.removeprefix("whsec_"), validate=True))

    def sign(self, attributes: Mapping[str, str], value: bytes) -> bytes:
        lines = ["v1", self.id, *(attributes[name] for name in SIGNED), ""]
        digest = hmac.digest(self.secret, "\n".join(lines).encode() + value, "sha256")
        return b"v1," + base64.b64encode(digest)
