"""Events in: which handler takes which events, and what happens to those that cannot be taken.

A service lists its subscriptions in ``handlers.py``; an :class:`Intake` carries a batch of one topic through
parking, inbox and handler in one transaction, the Kafka offset after it. A handler sees each event once.
"""

import asyncio
import logging
import random
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer
from faststream.exceptions import NackMessage
from faststream.kafka import KafkaRouter
from faststream.kafka.subscriber.usecase import BatchSubscriber
from prometheus_client import Counter, Histogram

from shared.database import Database, Transaction, is_temporary
from shared.events import Event
from shared.events.topics import Topic
from shared.messaging import dead_letters, inbox
from shared.messaging.broker import KafkaSettings, new_router
from shared.messaging.decoding import (
    Delivery,
    Ignored,
    Received,
    Undecodable,
    decode_batch,
    tolerant_parser,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a broker that has nothing new is asked, in milliseconds.

    aiokafka has one fetch at a time in the hands of a broker, and does not ask for partitions whose records
    it still held when that one left: they wait for it to come back, at most ``fetch_wait``. After an empty
    poll FastStream sleeps ``poll_wait``.
    """

    fetch_wait: int
    poll_wait: int


AWAITED = Pace(fetch_wait=50, poll_wait=25)
UNHURRIED = Pace(fetch_wait=500, poll_wait=200)
"""Each topic has a consumer of its own; asking for all so often cost idle services half as much again."""
BATCH = 500
"""Records in one transaction."""
MAX_BACKOFF_SECONDS = 30.0

HANDLED = Counter("parcours_events_handled_total", "Events that had their effect.", ["topic"])
DUPLICATES = Counter("parcours_events_duplicate_total", "Events delivered again and dropped.", ["topic"])
IGNORED = Counter("parcours_events_ignored_total", "Events of a type that is not known here.", ["topic"])
PARKED = Counter("parcours_events_parked_total", "Records put aside as dead letters.", ["topic"])
FAILURES = Counter("parcours_batch_failures_total", "Batches that will come again.", ["topic"])
SECONDS = Histogram("parcours_batch_seconds", "Time to take a batch in.", ["topic"])

Handler = Callable[[Transaction, list[Received[Any]]], Awaitable[int | None]]
"""Takes a batch in; may say how many of it had an effect, when it is not all."""
H = TypeVar("H", bound=Callable[..., Awaitable[int | None]])


@dataclass(frozen=True, slots=True)
class Subscription:
    """One topic of a service: ``handle`` takes the events of ``types``; those of ``not_yet`` are parked.

    ``not_yet`` is for requests that must be answered, but only by a later version: a redrive after the
    upgrade answers them. Other types of the topic do not concern the service and are ignored. With
    ``knows_its_events`` the handler itself drops what comes twice, by what it keeps of each, and has no use
    for the inbox. ``awaited``: somebody waits for the effect, so the broker is asked often.
    """

    topic: Topic
    types: tuple[type[Event], ...]
    not_yet: tuple[type[Event], ...]
    handle: Handler
    knows_its_events: bool = False
    awaited: bool = False

    async def take(self, tx: Transaction, wanted: Sequence[Received[Any]]) -> int:
        """Have events their effect, each once. Returns how many had it now."""
        fresh = list(wanted) if self.knows_its_events else await inbox.first_seen(tx, wanted)
        if not fresh:
            return 0
        effects = await self.handle(tx, fresh)
        return len(fresh) if effects is None else effects


class Subscriptions:
    """Everything that one service listens to."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.by_topic: dict[Topic, Subscription] = {}

    def on(
        self,
        topic: Topic,
        *types: type[Event],
        not_yet: Sequence[type[Event]] = (),
        knows_its_events: bool = False,
        awaited: bool = False,
    ) -> Callable[[H], H]:
        """Register ``on_…(tx, received)``: called with a batch, in order, inside one transaction."""

        def register(handle: H) -> H:
            if topic in self.by_topic:
                raise ValueError(f"{topic} has a handler already: one consumer group per topic")
            self.by_topic[topic] = Subscription(
                topic, types, tuple(not_yet), handle, knows_its_events, awaited
            )
            return handle

        return register

    def park(self, topic: Topic, *types: type[Event]) -> None:
        """Listen to a topic only to keep its ``types`` for a later version, in the parking lot."""
        self.on(topic, not_yet=types)(_nothing_to_handle)

    def group_id(self, topic: Topic) -> str:
        """One group per service and topic: a rebalance of one does not stop the others."""
        return f"{self.service}.{topic}"


async def _nothing_to_handle(_tx: Transaction, received: list[Received[Any]]) -> None:
    raise AssertionError(f"{len(received)} events for a topic without a handler")


class Intake:
    """Takes one topic into one database.

    ``subscriber`` is FastStream's, ``since`` the monotonic time of the last sign of life, ``busy`` says that
    a batch is in hand, ``batches`` how many are done: the process looks at them.
    """

    def __init__(self, subscription: Subscription, database: Database) -> None:
        self.subscription = subscription
        self.database = database
        self.subscriber: BatchSubscriber | None = None
        self.stopping = asyncio.Event()
        self.since = time.monotonic()
        self.busy = False
        self.batches = 0
        self._failures = 0

    @property
    def consumer(self) -> AIOKafkaConsumer | None:
        """What fetches the records; none while nothing runs."""
        return None if self.subscriber is None else self.subscriber.consumer

    async def take(self, deliveries: Sequence[Delivery]) -> None:
        """Carry a batch through. Raises ``NackMessage`` when it must come again."""
        topic = self.subscription.topic
        self.since = time.monotonic()
        self.busy = True
        try:
            with SECONDS.labels(topic).time():
                await self._take_batch(deliveries)
            self._failures = 0
            self.batches += 1
        except Exception as error:
            # Whatever it is, a failure to park included: without the pause it would come at once, for ever.
            FAILURES.labels(topic).inc()
            await self._back_off(error)
            raise NackMessage from error
        finally:
            self.since = time.monotonic()
            self.busy = False

    async def take_one(self, tx: Transaction, delivery: Delivery) -> None:
        """Carry one record through inside ``tx``: how a dead letter is redriven.

        Raises what the handler raises, and ``ValueError`` when the record still cannot be read.
        """
        sorted_ = self._sort([delivery])
        if sorted_.parked:
            raise ValueError(sorted_.parked[0].error)
        await self.subscription.take(tx, sorted_.wanted)

    async def _take_batch(self, deliveries: Sequence[Delivery]) -> None:
        sorted_ = self._sort(deliveries)
        try:
            await self._commit(sorted_)
        except Exception as error:
            if is_temporary(error):
                raise
            # One of them is poison: find it, put it aside, let the others go on.
            for delivery in deliveries:
                await self._take_alone(delivery)

    async def _take_alone(self, delivery: Delivery) -> None:
        try:
            await self._commit(self._sort([delivery]))
        except Exception as error:
            if is_temporary(error) or isinstance(delivery, Ignored):
                raise
            log.error(  # noqa: TRY400 the traceback is parked with the record: it may quote personal data
                "%s/%s@%s cannot be handled and is parked (%s: see dead-letters list)",
                delivery.record.topic,
                delivery.record.partition,
                delivery.record.offset,
                type(error).__name__,
            )
            parked = dead_letters.Parked(
                delivery.record,
                _type_of(delivery),
                _describe(error),
                "".join(traceback.format_exception(error)),
            )
            async with self.database.transaction() as tx:
                await dead_letters.park(tx, [parked])
            PARKED.labels(self.subscription.topic).inc()

    async def _commit(self, sorted_: "_Sorted") -> None:
        topic = self.subscription.topic
        if sorted_.parked or sorted_.wanted:
            async with self.database.transaction() as tx:
                await dead_letters.park(tx, sorted_.parked)
                effects = await self.subscription.take(tx, sorted_.wanted)
            HANDLED.labels(topic).inc(effects)
            DUPLICATES.labels(topic).inc(len(sorted_.wanted) - effects)
            PARKED.labels(topic).inc(len(sorted_.parked))
        IGNORED.labels(topic).inc(sorted_.ignored)

    def _sort(self, deliveries: Sequence[Delivery]) -> "_Sorted":
        parked: list[dead_letters.Parked] = []
        wanted: list[Received[Event]] = []
        ignored = 0
        for delivery in deliveries:
            if isinstance(delivery, Undecodable):
                parked.append(dead_letters.Parked(delivery.record, delivery.event_type, delivery.reason))
            elif isinstance(delivery, Ignored):
                ignored += 1
            elif isinstance(delivery.event, self.subscription.types):
                wanted.append(delivery)
            elif isinstance(delivery.event, self.subscription.not_yet):
                reason = f"{delivery.event.TYPE} is not handled by this version: redrive it after the upgrade"
                parked.append(dead_letters.Parked(delivery.record, delivery.event.TYPE, reason))
            else:
                ignored += 1
        return _Sorted(parked, wanted, ignored)

    async def _back_off(self, error: BaseException) -> None:
        """NACK_ON_ERROR rewinds at once and without limit; this is the pause that it lacks."""
        self._failures += 1
        ceiling = min(MAX_BACKOFF_SECONDS, 0.1 * 2 ** min(self._failures, 10))
        delay = ceiling * random.uniform(0.5, 1.0)  # noqa: S311 jitter, not a secret
        log.warning(
            "%s: a batch failed (%s) and comes again in %.1f s",
            self.subscription.topic,
            _describe(error),
            delay,
        )
        try:
            await asyncio.wait_for(self.stopping.wait(), delay)
        except TimeoutError:
            return


@dataclass(frozen=True, slots=True)
class _Sorted:
    parked: list["dead_letters.Parked"]
    wanted: list[Received[Event]]
    ignored: int


def router_for(
    subscriptions: Subscriptions, database: Database, settings: KafkaSettings
) -> tuple[KafkaRouter, list[Intake]]:
    """The FastStream router of a service: one batch subscriber per topic, and its intakes."""
    router = new_router()
    intakes = []
    for subscription in subscriptions.by_topic.values():
        intake = Intake(subscription, database)
        intakes.append(intake)
        pace = AWAITED if subscription.awaited else UNHURRIED
        intake.subscriber = router.subscriber(
            subscription.topic,
            batch=True,
            group_id=subscriptions.group_id(subscription.topic),
            group_instance_id=settings.kafka_group_instance_id,
            auto_offset_reset="earliest",
            # What a portal took back by aborting its transaction was never asked.
            isolation_level="read_committed",
            max_records=BATCH,
            fetch_max_wait_ms=pace.fetch_wait,
            batch_timeout_ms=pace.poll_wait,
            session_timeout_ms=10_000,
            parser=tolerant_parser,
            decoder=decode_batch,
        )
        intake.subscriber(intake.take)
    return router, intakes


def _type_of(delivery: Received[Event] | Undecodable) -> str | None:
    return delivery.event.TYPE if isinstance(delivery, Received) else delivery.event_type


def _describe(error: BaseException) -> str:
    """One line without the data: a driver's message quotes the statement and its parameters."""
    cause = getattr(error, "orig", None) or error
    lines = str(cause).splitlines()
    return f"{type(cause).__name__}: {lines[0]}" if lines else type(cause).__name__
