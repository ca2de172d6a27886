"""The relay's producer. Another process can fence it: the broker then refuses what it still sends.

It takes its producer id under a transactional id that no other producer ever had, and sends without
transactions. Each partition knows the producer's epoch, and takes nothing from an older one (KIP-98). Another
process that starts a producer with the same transactional id gets the next epoch, and tells it to the
partitions by an aborted transaction. A transaction for each pass would cost more (ADR 0023).
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple, Self
from uuid import uuid4

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    UnknownError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from shared.events.topics import MAX_RECORD_BYTES
from shared.messaging.broker import KafkaSettings, client_options

log = logging.getLogger(__name__)

START_SECONDS = 30.0
CLOSE_SECONDS = 5.0

Headers = list[tuple[str, bytes]]


NEVER = (TopicAuthorizationFailedError, InvalidTopicError)
"""Lasting errors of a topic that apply to all its records."""
TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
"""One record of the batch is too large."""


class OutgoingRecord(NamedTuple):
    """A record for the broker."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers

    @property
    def is_too_large(self) -> bool:
        """True if no topic takes the record even alone in its batch."""
        if len(self.value) < MAX_RECORD_BYTES // 2:  # nearly every record is small
            return False
        size: int = DefaultRecordBatchBuilder.estimate_size_in_bytes(self.key, self.value, self.headers)
        return size > MAX_RECORD_BYTES


class Producer:
    """``transactional_id`` is None if the broker cannot fence producers."""

    def __init__(
        self, kafka: AIOKafkaProducer, settings: KafkaSettings, transactional_id: str | None
    ) -> None:
        self.kafka = kafka
        self.transactional_id = transactional_id
        self._settings = settings
        self._usable: set[str] = set()

    @classmethod
    async def connected(cls, settings: KafkaSettings, service: str) -> Self:
        """Return a producer that no process has fenced. Raises ``KafkaError``, ``TimeoutError``."""
        transactional_id = f"{service}-relay-{uuid4()}"
        try:
            kafka = await _started(settings, transactional_id)
        except UnknownError:
            # The embedded broker has no producer ids (ADR 0003).
            log.warning("The broker has no producer ids: a retry or a relay that slept may publish twice.")
            return cls(await _started(settings, None), settings, None)
        # From now on it is an idempotent producer without transactions; id and epoch stay.
        kafka._txn_manager.transactional_id = None  # noqa: SLF001 aiokafka has no public way
        return cls(kafka, settings, transactional_id)

    async def send(self, records: Sequence[OutgoingRecord]) -> list[BaseException | None]:
        """Send all in order, and wait for every answer. Returns each failure, or None.

        Raises ``KafkaError`` if they could not be given to the producer.
        """
        answers: list[asyncio.Future[object]] = [
            await self.kafka.send(record.topic, value=record.value, key=record.key, headers=record.headers)
            for record in records
        ]
        try:
            if answers:
                await asyncio.wait(answers)
        except asyncio.CancelledError:
            for answer in answers:
                answer.cancel()  # no task will await it
            raise
        return [answer.exception() for answer in answers]

    async def unusable(self, topics: Collection[str]) -> dict[str, KafkaError]:
        """Return the topics that do not exist, or that this user may not write, and why.

        Asking creates no topic. Raises ``KafkaError``.
        """
        unknown = sorted(set(topics) - self._usable)
        if not unknown:
            return {}
        client = self.kafka.client
        answer = await client.send(client.get_random_node(), MetadataRequest(unknown, False))
        errors = {topic: for_code(code) for code, topic, *_ in answer.topics}
        unusable = {
            topic: errors[topic](topic)
            for topic in unknown
            if errors.get(topic) in (UnknownTopicOrPartitionError, *NEVER)
        }
        self._usable |= set(unknown) - unusable.keys()
        return unusable

    async def fence(self, transactional_id: str, topics: Collection[str]) -> None:
        """Make these topics refuse the producer of this id. Raises ``KafkaError``."""
        unusable = await self.unusable(topics)
        log.warning("%s left a pass unfinished: it is fenced from %s", transactional_id, ", ".join(topics))
        async with _closing(await _started(self._settings, transactional_id)) as newer:
            for topic in topics:
                if topic not in unusable:
                    await _publish_epoch(newer, topic)
        # The broker may write the markers after its answer. A new producer gets its id after all are written.
        await _close(await _started(self._settings, transactional_id))

    async def close(self) -> None:
        """Unacknowledged records may still arrive."""
        await _close(self.kafka)


async def _started(settings: KafkaSettings, transactional_id: str | None) -> AIOKafkaProducer:
    producer = AIOKafkaProducer(
        **client_options(settings, "parcours-relay"),
        acks="all",
        transactional_id=transactional_id,
        request_timeout_ms=10_000,
        max_batch_size=256 * 1024,
        max_request_size=MAX_RECORD_BYTES,
    )
    try:
        await asyncio.wait_for(producer.start(), START_SECONDS)
    except BaseException:
        await producer.stop()
        raise
    return producer


async def _publish_epoch(producer: AIOKafkaProducer, topic: str) -> None:
    """The marker of an empty transaction tells the epoch to all partitions of the topic."""
    await producer.begin_transaction()
    for partition in await producer.partitions_for(topic):
        tp = TopicPartition(topic, partition)
        producer._txn_manager.maybe_add_partition_to_txn(tp)  # noqa: SLF001 aiokafka adds a partition only when it sends
    try:
        await producer.abort_transaction()
    except TopicAuthorizationFailedError:  # the fenced producer cannot write there either
        await producer.abort_transaction()


@asynccontextmanager
async def _closing(producer: AIOKafkaProducer) -> AsyncIterator[AIOKafkaProducer]:
    try:
        yield producer
    finally:
        await _close(producer)


async def _close(producer: AIOKafkaProducer) -> None:
    """Close without ``stop``, which flushes, and without the sender's own ``close``.

    A flush that is cut short leaves aiokafka's sender alive: it would publish old events beside the process
    that then has the bucket. Closing a sender that has not begun cancels the caller: on Python 3.12 and newer
    this happens when a producer is closed just after its start.
    """
    producer._closed = True  # noqa: SLF001 as stop() begins
    sender = producer._sender.sender_task  # noqa: SLF001 as stop() ends it after the flush
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            if sender is not None:
                sender.cancel()
                await asyncio.wait([sender])
            await producer.client.close()
    except (KafkaError, TimeoutError, OSError) as error:
        log.warning("The producer did not close cleanly: %s", error or type(error).__name__)
