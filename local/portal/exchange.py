"""Sends requests to Kafka and reads answers.

An unacknowledged request is sent again with the same id, so Parcours answers it once. An answer whose offset
was not committed is read again and ignored.
"""

import asyncio
import logging
from datetime import UTC, datetime

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from local.portal import envelope
from local.portal.envelope import Envelope
from local.portal.journal import Journal
from local.portal.requests import Request
from local.portal.settings import Settings

log = logging.getLogger(__name__)

_PAUSE_SECONDS = 1.0
_FAILURES = (KafkaError, OSError, TimeoutError)


class Exchange:
    def __init__(self, settings: Settings, journal: Journal) -> None:
        self._settings = settings
        self._journal = journal
        self._to_send: asyncio.Queue[Envelope] = asyncio.Queue()

    def ask(self, request: Request) -> None:
        """Store the request and queue it for sending. When this returns, the broker may not have it yet."""
        made = envelope.signed(request, self._settings.source, self._settings.key, datetime.now(UTC))
        self._journal.add_request(made)
        self._to_send.put_nowait(made)

    async def send(self) -> None:
        for left in self._journal.unacknowledged():
            self._to_send.put_nowait(left)
        unsent: list[Envelope] = []
        while True:
            # Partitions by murmur2 of the key, as Kafka's own clients: a session's requests keep their order.
            producer = AIOKafkaProducer(**self._settings.kafka, acks="all", request_timeout_ms=10_000)
            try:
                await producer.start()
                while True:
                    if not unsent:
                        unsent.append(await self._to_send.get())
                    await self._send(producer, unsent[0])
                    unsent.clear()
            except _FAILURES as error:
                log.warning("Kafka cannot be written to, trying again: %s", type(error).__name__)
                await asyncio.sleep(_PAUSE_SECONDS)
            finally:
                await producer.stop()

    async def _send(self, producer: AIOKafkaProducer, request: Envelope) -> None:
        taken = await producer.send_and_wait(
            request.topic,
            request.value,
            key=(request.key or "").encode(),
            headers=[(name, value.encode()) for name, value in request.headers],
        )
        self._journal.acknowledge(request, taken.partition, taken.offset)

    async def listen(self) -> None:
        while True:
            consumer = AIOKafkaConsumer(
                self._settings.answers,
                **self._settings.kafka,
                group_id=self._settings.group,
                auto_offset_reset="earliest",
                enable_auto_commit=False,
                session_timeout_ms=6_000,  # after this time the group stops waiting for a killed portal
                heartbeat_interval_ms=2_000,
                metadata_max_age_ms=5_000,  # the topic may be created after the start
            )
            try:
                await consumer.start()
                await self._hear(consumer)
            except _FAILURES as error:
                log.warning("Answers cannot be heard, trying again: %s", type(error).__name__)
                await asyncio.sleep(_PAUSE_SECONDS)
            finally:
                await consumer.stop()

    async def _hear(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            answers: list[tuple[Envelope, int, int]] = []
            for records in (await consumer.getmany(timeout_ms=1_000)).values():
                for record in records:
                    try:
                        answer = envelope.read(record.topic, record.key, record.value, record.headers)
                    except ValueError as error:
                        log.warning("Skipped: %s (offset %d)", error, record.offset)
                    else:
                        answers.append((answer, record.partition, record.offset))
            if answers:
                self._journal.add_answers(answers)
                await consumer.commit()
