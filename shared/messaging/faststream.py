"""What FastStream cannot do by itself and this system needs, each with the reason.

Source: version 0.7.8; each item names its issue at github.com/ag2ai/faststream.

- It decodes headers outside the handler: a header that is null or not UTF-8 loses the whole batch, whatever
  the acknowledgement policy (2458, open). :func:`_parse` hides the headers from it, and :func:`_decode` gives
  each record to the consumer as it came.
- ``NACK_ON_ERROR`` seeks back at once, without delay or limit (1721, closed). The consumer pauses before it
  raises ``NackMessage``, the one exception that FastStream does not log with its traceback, which quotes
  data.
- A batch cannot be handled in parts. To find a poisonous event, the handler is called again for each record,
  in a transaction of its own. Middlewares around the whole batch cannot do that, so transaction, inbox,
  parking and pause are in :class:`Consumer`, which one middleware calls. A redrive and a rebuild use it
  without a broker.
- The policy must stand on the router: set on the broker (2826), a subscriber that is declared on a router
  before the router is included silently ignores it (not reported).
- Subscribers start one after the other, and are kept in a set without order (not reported).
"""

import asyncio
import copy
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any, cast

from aiokafka import ConsumerRecord
from faststream import AckPolicy, BaseMiddleware, ContextRepo
from faststream.kafka import KafkaBroker, KafkaMessage, KafkaRouter
from faststream.message import AckStatus, StreamMessage
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from shared import clock
from shared.database import Database
from shared.events.cloudevents import Received, Record
from shared.events.index import events_on
from shared.events.topics import Topic, is_of_portals
from shared.messaging import fetched
from shared.messaging.broker import KafkaSettings, tls_context
from shared.messaging.consumer import BATCH, Admit, Consumer
from shared.messaging.failure_limit import FailureLimit
from shared.messaging.offsets import OffsetCommits
from shared.messaging.router import Router

log = logging.getLogger(__name__)

GRACEFUL_SECONDS = 15.0
METADATA_MILLISECONDS = 10_000
"""A consumer learns of added partitions this late; until then no process reads them."""
_LOG_APPEND_TIME = 1

RecordBatch = tuple["ConsumerRecord[Any, Any]", ...]


FETCH_MILLISECONDS = 1_000
"""A fetch is answered with the first new record, or after this time."""


class ServiceBroker(KafkaBroker):
    """Starts its subscribers together: each waits for its group, which takes some brokers 5 s."""

    commits: Sequence[OffsetCommits] = ()

    async def start(self) -> None:
        await self.connect()
        await asyncio.gather(*(subscriber.start() for subscriber in self.subscribers))
        self.running = True

    async def commit_offsets(self) -> None:
        """Commit the offsets of all consumers until they stop. :meth:`stop` commits the last ones."""
        await asyncio.gather(*(commits.run() for commits in self.commits))

    async def stop(self, *error: Any) -> None:
        await asyncio.gather(*(commits.commit() for commits in self.commits))
        await super().stop(*error)


def new_broker(
    settings: KafkaSettings,
    router: Router,
    database: Database,
    context: ContextRepo,
    admit: Admit | None = None,
) -> tuple[ServiceBroker, list[Consumer]]:
    """Return FastStream's broker, not connected, and the consumers of its topics.

    The relay publishes, not the broker. The broker's publishers are only for the AsyncAPI document.
    """
    fetched.tolerate()
    routers: list[KafkaRouter] = []
    consumers: list[Consumer] = []
    commits: list[OffsetCommits] = []
    for subscription in router.subscriptions.values():
        limit = FailureLimit()
        for number in range(subscription.consumers):
            consumer = Consumer(subscription, database, context, admit, limit)
            consumers.append(consumer)
            commits.append(OffsetCommits(consumer))
            routers.append(_subscribed(consumer, commits[-1], settings, number))
    broker = ServiceBroker(
        settings.servers,
        client_id=router.service,
        context=context,
        security=_security_of(settings),
        routers=routers,
        consumer_only=True,
        allow_auto_create_topics=False,
        metadata_max_age_ms=METADATA_MILLISECONDS,
        graceful_timeout=GRACEFUL_SECONDS,
        description="Kafka",
        logger=logging.getLogger("faststream"),
        # FastStream logs "Received" and "Processed" for each batch.
        log_level=logging.DEBUG,
    )
    broker.commits = commits
    for topic in Topic:
        # FastStream's document has one operation per channel; ours adds a second one.
        if router.service in topic.publishers and topic not in router.subscriptions:
            broker.publisher(topic, title=topic, schema=reduce(or_, events_on(topic)))
    return broker, consumers


def _security_of(settings: KafkaSettings) -> BaseSecurity:
    context = tls_context(settings)
    if not settings.kafka_security_protocol.startswith("SASL"):
        return BaseSecurity(ssl_context=context, use_ssl=context is not None)
    mechanisms: dict[str, type[SASLPlaintext | SASLScram256 | SASLScram512]] = {
        "PLAIN": SASLPlaintext,
        "SCRAM-SHA-256": SASLScram256,
        "SCRAM-SHA-512": SASLScram512,
    }
    return mechanisms[settings.kafka_sasl_mechanism](
        username=settings.kafka_sasl_username,
        password=settings.kafka_sasl_password,
        ssl_context=context,
        use_ssl=context is not None,
    )


def _subscribed(
    consumer: Consumer, commits: OffsetCommits, settings: KafkaSettings, number: int
) -> KafkaRouter:
    subscription = consumer.subscription

    def middleware(message: Any, /, *, context: ContextRepo) -> _ConsumerMiddleware:
        return _ConsumerMiddleware(message, context=context, consumer=consumer, commits=commits)

    kafka = KafkaRouter(
        ack_policy=AckPolicy.NACK_ON_ERROR, parser=_parse, decoder=_decode, middlewares=[middleware]
    )
    consumer.subscriber = kafka.subscriber(
        subscription.topic,
        batch=True,
        group_id=subscription.group_id,
        group_instance_id=_instance(settings, number),
        auto_offset_reset="earliest",
        # An aborted transaction requested nothing.
        isolation_level="read_committed",
        max_records=BATCH,
        fetch_max_wait_ms=FETCH_MILLISECONDS,
        batch_timeout_ms=1,
        session_timeout_ms=10_000,
        listener=commits,
        no_reply=True,
        title=subscription.topic,
        include_in_schema=number == 0,
    )
    consumer.subscriber(subscription.handler)
    return kafka


def _instance(settings: KafkaSettings, number: int) -> str | None:
    """Two members with one name would fence each other."""
    name = settings.kafka_group_instance_id
    return f"{name}-{number}" if name and number else name


class _ConsumerMiddleware(BaseMiddleware[Any, Any]):
    def __init__(
        self, message: Any, /, *, context: ContextRepo, consumer: Consumer, commits: OffsetCommits
    ) -> None:
        super().__init__(message, context=context)
        self._consumer = consumer
        self._commits = commits

    async def consume_scope(
        self, call_next: Callable[[StreamMessage[Any]], Awaitable[Any]], msg: StreamMessage[Any]
    ) -> None:
        async def handler(events: list[Received[Any]]) -> int | None:
            async def decoder(_message: object) -> list[Received[Any]]:
                return events

            part = copy.copy(msg)
            part.set_decoder(decoder)
            effects: int | None = await call_next(part)
            return effects

        rebalances = self._commits.rebalances
        records = cast("list[Record]", await msg.decode())
        self._consumer.in_hand = Counter(record.partition for record in records)
        try:
            await self._consumer.take_records(records, handler)
        finally:  # after a failure the client seeks back to the begin of the batch
            self._consumer.in_hand = Counter()
        self._consumer.taken_until |= {record.partition: record.received_at for record in records}
        await self._commits.taken(records, rebalances)
        msg.committed = AckStatus.ACKED  # otherwise FastStream would commit too
        rest = self._consumer.subscription.rest
        if rest and len(records) < BATCH:
            await clock.pause(self._consumer.stopping, rest)


async def _parse(
    records: RecordBatch, original: Callable[[RecordBatch], Awaitable[KafkaMessage]]
) -> KafkaMessage:
    message = await original((replace(records[0], headers=()),))
    message.raw_message = records
    return message


async def _decode(message: KafkaMessage, _original: Callable[..., Awaitable[Any]]) -> list[Record]:
    read_at = clock.now()
    return [
        record_of(raw, read_at) for raw in cast("Sequence[ConsumerRecord[Any, Any]]", message.raw_message)
    ]


def record_of(raw: "ConsumerRecord[Any, Any]", read_at: datetime) -> Record:
    """Return aiokafka's record as ours, with the broker's time of receipt.

    Without a stamp, the sender's time counts on our own topics. Clocks of portals are not trusted, so
    ``read_at`` counts on their topics.
    """
    unread = raw.value.reason if isinstance(raw.value, fetched.Unread) else None
    return Record(
        topic=raw.topic,
        partition=raw.partition,
        offset=raw.offset,
        key=raw.key,
        value=raw.value if unread is None else None,
        headers=tuple(raw.headers),
        received_at=_received_at(raw, read_at),
        unread=unread,
    )


def _received_at(raw: "ConsumerRecord[Any, Any]", read_at: datetime) -> datetime:
    """The microseconds give the order of two of our records within a millisecond.

    This fails for one pair in a thousand: when a thousand is full between their offsets.
    """
    if raw.timestamp_type == _LOG_APPEND_TIME and raw.timestamp > 0:
        return datetime.fromtimestamp(raw.timestamp / 1000, UTC)
    if is_of_portals(raw.topic) or not 0 < raw.timestamp < read_at.timestamp() * 1000:
        return read_at
    return datetime.fromtimestamp(raw.timestamp / 1000, UTC) + timedelta(microseconds=raw.offset % 1000)
