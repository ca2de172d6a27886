"""A simulated portal: publishes CloudEvents to the portals' topics as a foreign program would.

It varies the mode and the headers of its records. It also sends faulty records.
"""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from random import Random
from typing import Any

from aiokafka import AIOKafkaProducer

from local.model.day import SentRequest
from local.portal.envelope import SIGNED, SigningKey, signed
from local.portal.requests import ENROLMENTS, Request

Headers = list[tuple[str, bytes | None]]
Record = tuple[bytes | None, bytes | None, Headers]
Clock = Callable[[], datetime]

_STRANGE_HEADERS: Headers = [("x-trace", None), ("x-note", b"\xff\xfe")]


def utc_now() -> datetime:
    return datetime.now(UTC)


class Portal:
    def __init__(
        self, name: str, key: SigningKey, producer: AIOKafkaProducer, now: Clock, random: Random
    ) -> None:
        self.source = f"/portals/{name}"
        self.key = key
        self._producer = producer
        self._now = now
        self._random = random

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        name: str,
        key: SigningKey,
        connection: Mapping[str, Any],
        *,
        idempotent: bool,
        now: Clock = utc_now,
        random: Random | None = None,
    ) -> AsyncIterator["Portal"]:
        """Connect to the broker with these options of aiokafka.

        Only an `idempotent` producer sends a record again to its first offset, where the model expects it.
        The embedded broker does not support it.
        """
        producer = AIOKafkaProducer(
            **connection,
            acks="all",
            enable_idempotence=idempotent,
            linger_ms=5,
            max_request_size=1_000_000,
        )
        async with producer:
            yield cls(name, key, producer, now, random or Random())

    async def publish(self, requests: Iterable[Request]) -> list[SentRequest]:
        sending = []
        for request in requests:
            sent_at = self._now()
            structured = self._random.random() < 0.1
            key, value, headers = record_of(request, self.source, self.key, sent_at, structured=structured)
            headers += _STRANGE_HEADERS if self._random.random() < 0.02 else []
            sending.append((request, sent_at, await self._send(request.topic, (key, value, headers))))
        places = await asyncio.gather(*(place for _, _, place in sending))
        return [
            SentRequest(request, place.partition, place.offset, sent_at)
            for (request, sent_at, _), place in zip(sending, places, strict=True)
        ]

    async def publish_raw(self, records: Sequence[Record]) -> None:
        await asyncio.gather(*[await self._send(ENROLMENTS, record) for record in records])

    async def _send(self, topic: str, record: Record) -> "asyncio.Future[Any]":
        key, value, headers = record
        future: asyncio.Future[Any] = await self._producer.send(topic, value, key, headers=headers)
        return future


def record_of(
    request: Request, source: str, key: SigningKey, sent_at: datetime, *, structured: bool = False
) -> tuple[bytes, bytes, Headers]:
    envelope = signed(request, source, key, sent_at)
    value, headers = envelope.value, dict(envelope.headers)
    if structured:
        attributes = {name[3:]: text for name, text in headers.items() if name.startswith("ce_")}
        document = {name: attributes[name] for name in ("specversion", *SIGNED, "subject")}
        value = json.dumps(document | {"datacontenttype": "application/json", "data": request.data}).encode()
        headers = {
            "content-type": "application/cloudevents+json; charset=UTF-8",
            "ce_keyid": key.id,
            "ce_signature": key.sign(document, value).decode(),
        }
    else:
        headers["traceparent"] = f"00-{uuid.uuid4().hex}-{uuid.uuid4().hex[:16]}-01"
    return request.key.encode(), value, [(name, text.encode()) for name, text in headers.items()]


def malformed_records(good: Request, source: str, signing_key: SigningKey) -> list[Record]:
    """Spoil copies of a good request, in the partition of the good request.

    Each is signed as well as possible, so that its content is refused. Only the last has a wrong signature.
    """
    key, value, headers = record_of(good, source, signing_key, utc_now())
    data, agent = good.data, good.data["agent"]

    def spoilt(content: bytes | None = value, **changed_headers: bytes | None) -> Record:
        changes = {"ce_id": str(uuid.uuid4()).encode(), **changed_headers}
        given = {name: changes.get(name, kept) for name, kept in headers}
        attributes = {name: (given[f"ce_{name}"] or b"").decode(errors="replace") for name in SIGNED}
        given["ce_signature"] = signing_key.sign(attributes, content or b"")
        return key, content, list(given.items())

    def with_data(**changes: object) -> Record:
        return spoilt(json.dumps({**data, **changes}).encode())

    return [
        spoilt(b"\xff\xfe\x00 not text at all"),
        spoilt(value[: len(value) // 2]),
        spoilt(b"[]"),
        spoilt(None),
        (key, value, []),
        spoilt(ce_id=None),
        spoilt(ce_id=b"\xe9\xff"),
        spoilt(ce_id=b"not-a-uuid"),
        spoilt(ce_type=None),
        spoilt(json.dumps({"session_id": good.session_id}).encode()),
        with_data(session_id=17),
        with_data(agent={**agent, "function": "stagiaire"}),
        with_data(agent={**agent, "email": "a@b.example\r\nBcc: c@d.example"}),
        with_data(agent={**agent, "given_name": "Zoé\nDurand"}),
        spoilt(b"{" + b" " * 900_000),
        (None, b"{", [("content-type", b"application/cloudevents+json")]),
        spoilt(ce_type=b"fr.cnfpt.portal.SomethingNew.v1"),
        (key, value, [(name, b"v1," if name == "ce_signature" else kept) for name, kept in headers]),
    ]
