"""The headers of a webhook, as Standard Webhooks 1.0 asks for them (https://www.standardwebhooks.com)."""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from uuid import UUID


def headers(keys: Iterable[bytes], message_id: UUID, timestamp: int, body: bytes) -> Mapping[str, str]:
    """With several keys there are several signatures, so that a portal can change its secret at any time."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    signatures = (base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode() for key in keys)
    return {
        "webhook-id": str(message_id),
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
