"""Records that no service can take, on every topic."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from random import Random

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from local.demo.portal import Headers, Record, malformed_records
from local.observing import READ_TOPICS
from local.people import Population
from local.portal import requests
from tests.proof.clients import KEY
from tests.proof.evidence import BAD
from tests.proof.history import UNKNOWN, History

SOURCE = "/portals/nord"


class BadRecords:
    """``session_id`` returns the session for which a portal sends them. Each bears a header that says it."""

    def __init__(self, producer: AIOKafkaProducer, history: History, session_id: Callable[[], str]) -> None:
        self._producer = producer
        self._history = history
        self._session_id = session_id

    async def send(self) -> None:
        good = requests.seat(self._session_id(), Population("bad", Random(1)).agent())
        for topic in sorted({topic for topics in READ_TOPICS.values() for topic in topics}):
            is_of_portals = topic.startswith("portal.")
            records = malformed_records(good, SOURCE, KEY) if is_of_portals else _unreadable()
            for record in records:
                await self._send(topic, record)

    async def _send(self, topic: str, record: Record) -> None:
        key, value, headers = record
        source = (dict(headers).get("ce_source") or b"").decode()
        with self._history.operation("nobody", "send bad record", topic=topic, source=source) as operation:
            try:
                sent = await self._producer.send_and_wait(
                    topic, value, key or b"bad", headers=[*headers, (BAD, b"1")]
                )
            except KafkaError as error:
                operation.state, operation.result = UNKNOWN, type(error).__name__
            else:
                operation.result = {"place": f"{topic}/{sent.partition}@{sent.offset}"}


def _unreadable() -> list[Record]:
    """Of a service: not text, not an object, nothing, without its fields, of an unknown type."""
    key = uuid.uuid4().hex.encode()
    attributes = {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": "/services/enrolment",
        "time": datetime.now(UTC).isoformat(),
    }
    headers: Headers = [(f"ce_{name}", text.encode()) for name, text in attributes.items()]
    enrolled: Headers = [*headers, ("ce_type", b"fr.cnfpt.enrolment.AgentEnrolled.v1")]
    return [
        (key, b"\xff\xfe", enrolled),
        (key, b"[]", enrolled),
        (key, None, enrolled),
        (key, b"{}", enrolled),
        (key, b"{}", [*headers, ("ce_type", b"fr.cnfpt.enrolment.Unheard.v1")]),
        (key, b"{}", [("ce_type", None)]),
        (key, b"{}", []),
    ]
