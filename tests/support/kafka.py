"""A foreign program at the broker: produces what it likes, and reads a topic from its beginning."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import CommitFailedError

from shared.events.topics import TOPICS, Topic, answers_topic

RecordHeaders = Sequence[tuple[str, bytes | None]]
KafkaMessage = tuple[str | None, RecordHeaders, bytes | None]
"""A record to publish: key, headers, value."""
_SILENCE_SECONDS = 3.0


@dataclass(frozen=True)
class PublishedRecord:
    """A record that one of our services published."""

    key: str
    headers: dict[str, str]
    value: bytes
    partition: int

    @property
    def type(self) -> str:
        """The event's name: the third part of its CloudEvents type."""
        return self.headers["ce_type"].split(".")[3]

    @property
    def id(self) -> str:
        return self.headers["ce_id"]

    @cached_property
    def data(self) -> dict[str, Any]:
        """Read once: a condition of `collect` looks at all that has come, again and again."""
        document: dict[str, Any] = json.loads(self.value)
        return document


class KafkaPortal:
    """Produces records, compressed where that is asked for."""

    def __init__(self, bootstrap_servers: str, compression: str | None = None) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._compression = compression
        self._producer: AIOKafkaProducer | None = None

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap_servers,
            acks="all",
            compression_type=self._compression,
            max_request_size=32 * 1024 * 1024,  # before it is compressed
        )
        await self._producer.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._producer is not None
        await self._producer.stop()
        await _let_go()

    async def send(self, topic: str, records: Sequence[KafkaMessage]) -> None:
        """Produce these records in order and wait until the broker has all."""
        await asyncio.gather(*[await self.send_soon(topic, record) for record in records])

    async def send_soon(self, topic: str, record: KafkaMessage) -> "asyncio.Future[Any]":
        """Give a record to the producer; the future is done once the broker has it."""
        assert self._producer is not None
        key, headers, value = record
        sent: asyncio.Future[Any] = await self._producer.send(
            topic, value=value, key=key.encode() if key else None, headers=list(headers)
        )
        return sent


async def collect(
    bootstrap_servers: str,
    topic: str,
    until: Callable[[list[PublishedRecord]], bool],
    *,
    seconds: float = 60,
) -> list[PublishedRecord]:
    """Read ``topic`` from its beginning until the condition holds; say what came when it never does.

    What neither a service nor a portal published, as rubbish of other tests, is passed over.
    Begins again when nothing has come for a while: the embedded broker may pass over a record that is being
    stored while it is read (ADR 0003).
    """
    # No group: joining one takes the embedded broker 5 s.
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    consumer.assign([TopicPartition(topic, number) for number in range(_partitions_of(topic))])
    await consumer.seek_to_beginning()
    found: list[PublishedRecord] = []
    now = asyncio.get_running_loop().time
    deadline, came_at = now() + seconds, now()
    try:
        while not until(found):
            last = [record.type for record in found[-20:]]
            assert now() < deadline, f"{topic}: {len(found)} came, last {last}"
            fetched = await consumer.getmany(timeout_ms=200)
            if fetched:
                came_at = now()
            elif now() - came_at > _SILENCE_SECONDS:
                found, came_at = [], now()
                await consumer.seek_to_beginning()
            for records in fetched.values():
                found += [
                    PublishedRecord(
                        key=(record.key or b"").decode(),
                        headers={name: value.decode() for name, value in record.headers},
                        value=record.value,
                        partition=record.partition,
                    )
                    for record in records
                    if dict(record.headers).get("ce_source", b"").startswith((b"/services/", b"/portals/"))
                ]
    finally:
        await consumer.stop()
        await _let_go()
    return found


async def pass_over(bootstrap_servers: str, group: str, topic: str) -> None:
    """Let ``group`` read only what comes to ``topic`` from now on.

    Its members have ended. Of those that were killed Kafka learns by silence, in 10 s.
    """
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(_partitions_of(topic))]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        async with asyncio.timeout(15):
            while not await _committed(consumer, ends):  # noqa: ASYNC110 Kafka gives no other sign
                await asyncio.sleep(0.2)
    finally:
        await consumer.stop()
        await _let_go()


async def _committed(consumer: AIOKafkaConsumer, offsets: Mapping[TopicPartition, int]) -> bool:
    try:
        await consumer.commit(offsets)
    except CommitFailedError:
        return False
    return True


def _partitions_of(topic: str) -> int:
    is_of_answers = topic.startswith(answers_topic(""))
    return TOPICS[Topic.PORTAL_ANSWERS if is_of_answers else Topic(topic)].partitions


async def _let_go() -> None:
    """Let the loop close the sockets that aiokafka has only asked it to close."""
    await asyncio.sleep(0.01)
