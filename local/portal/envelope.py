import base64
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from local.portal.requests import Request

Headers = tuple[tuple[str, str], ...]
SIGNED = ("id", "source", "type", "time")


@dataclass(frozen=True)
class SigningKey:
    """Signs by HMAC-SHA256 over the attributes of an event and its record's whole value."""

    id: str
    secret: bytes = field(repr=False)

    @classmethod
    def of(cls, key_id: str, secret: str) -> Self:
        """`secret` is `whsec_` and base64."""
        return cls(key_id, base64.b64decode(secret.removeprefix("whsec_"), validate=True))

    def sign(self, attributes: Mapping[str, str], value: bytes) -> bytes:
        lines = ["v1", self.id, *(attributes[name] for name in SIGNED), ""]
        digest = hmac.digest(self.secret, "\n".join(lines).encode() + value, "sha256")
        return b"v1," + base64.b64encode(digest)


@dataclass(frozen=True)
class Envelope:
    topic: str
    key: str | None
    headers: Headers
    data: dict[str, Any]

    def attribute(self, name: str) -> str:
        return next((value for header, value in self.headers if header == f"ce_{name}"), "")

    @property
    def id(self) -> str:
        return self.attribute("id")

    @property
    def name(self) -> str:
        """Return the type without owner and version: `AgentEnrolled`."""
        return self.attribute("type").rpartition(".v")[0].rpartition(".")[2] or self.attribute("type")

    @property
    def value(self) -> bytes:
        """The bytes are the same at each call, so the signature stays valid."""
        return json.dumps(self.data, ensure_ascii=False).encode()


def signed(request: Request, source: str, key: SigningKey | None, now: datetime) -> Envelope:
    attributes = {
        "specversion": "1.0",
        "id": request.id,
        "source": source,
        "type": request.type,
        "time": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "subject": request.key,
    }
    headers = [(f"ce_{name}", value) for name, value in attributes.items()]
    headers.append(("content-type", "application/json"))
    unsigned = Envelope(request.topic, request.key, tuple(headers), request.data)
    if key is None:
        return unsigned
    signature = key.sign(attributes, unsigned.value).decode()
    proof = (("ce_keyid", key.id), ("ce_signature", signature))
    return Envelope(request.topic, request.key, unsigned.headers + proof, request.data)


def read(
    topic: str, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]]
) -> Envelope:
    """Raises `ValueError` if the record is no event."""
    texts = tuple((name, (content or b"").decode(errors="replace")) for name, content in headers)
    data = json.loads(value or b"null")
    envelope = Envelope(topic, None if key is None else key.decode(errors="replace"), texts, data)
    if not isinstance(data, dict) or not envelope.id or not envelope.name:
        raise ValueError(f"a record of {topic} is no CloudEvent in binary mode")
    return envelope
