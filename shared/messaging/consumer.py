"""Events in: a batch of one topic goes through parking, inbox and handler in one transaction.

A handler sees each event once. The Kafka offset is committed after the effect. What cannot be read and what
its handler cannot take is parked alone; an outage brings the whole batch again, later.
"""

import asyncio
import logging
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer
from faststream import ContextRepo, apply_types
from faststream.exceptions import NackMessage
from faststream.kafka.subscriber.usecase import BatchSubscriber
from prometheus_client import Counter, Histogram

from shared import clock
from shared.database import Database, Transaction, is_temporary
from shared.events import Event
from shared.events.cloudevents import Received, Record, Unreadable, decode
from shared.messaging import dead_letters, inbox
from shared.messaging.dead_letters import Parked
from shared.messaging.router import Subscription

log = logging.getLogger(__name__)

BATCH = 500
"""Records in one transaction."""
MAX_BACKOFF_SECONDS = 30.0

HANDLED = Counter("parcours_events_handled_total", "Events that had their effect.", ["topic"])
DUPLICATES = Counter("parcours_events_duplicate_total", "Events delivered again and dropped.", ["topic"])
IGNORED = Counter("parcours_events_ignored_total", "Events of a type that is not known here.", ["topic"])
PARKED = Counter("parcours_events_parked_total", "Records put aside as dead letters.", ["topic"])
FAILURES = Counter("parcours_batch_failures_total", "Batches that will come again.", ["topic"])
SECONDS = Histogram("parcours_batch_seconds", "Time to take a batch in.", ["topic"])

Delivery = Received[Event] | Parked | None
"""A record as it was read: an event, one to park, or None where its type is not known to this version."""

Call = Callable[[list[Received[Any]]], Awaitable[int | None]]
"""The handler, but for its events: FastStream gives it the rest from its context."""


def read(record: Record) -> Delivery:
    """Read one record, whatever it holds, without raising."""
    try:
        return decode(record)
    except Unreadable as error:
        return Parked(record, error.event_type, str(error))


class Consumer:
    """Takes one topic into one database.

    ``context`` holds what the handler asks FastStream for beside its events. ``subscriber`` is FastStream's,
    where the topic is read; ``since`` is the monotonic time of the last sign of life, ``busy`` says that a
    batch is in hand, ``batches`` how many are done: the process watches them.
    """

    def __init__(
        self, subscription: Subscription, database: Database, context: ContextRepo | None = None
    ) -> None:
        self.subscription = subscription
        self.database = database
        self.context = ContextRepo() if context is None else context
        self.subscriber: BatchSubscriber | None = None
        self.stopping = asyncio.Event()
        self.since = time.monotonic()
        self.busy = False
        self.batches = 0
        self._failures = 0
        self._handler: Call = apply_types(subscription.handler, context__=self.context)

    @property
    def kafka(self) -> AIOKafkaConsumer | None:
        """What fetches the records; none while nothing runs."""
        return None if self.subscriber is None else self.subscriber.consumer

    async def take(self, deliveries: Sequence[Delivery], handler: Call | None = None) -> None:
        """Take a batch in. Raises ``NackMessage`` when it must come again.

        ``handler`` is the way to the handler through FastStream, where the batch comes from there.
        """
        topic = self.subscription.topic
        self.since = time.monotonic()
        self.busy = True
        try:
            with SECONDS.labels(topic).time():
                await self._take_batch(deliveries, handler or self._handler)
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

    async def take_again(self, tx: Transaction, record: Record) -> None:
        """Take one record in inside ``tx``: how a dead letter is redriven.

        Raises what the handler raises, and ``ValueError`` when the record still cannot be taken.
        """
        delivery = self._wanted(read(record))
        match delivery:
            case Parked(error=reason):
                raise ValueError(reason)
            case Received():
                await self._handle(tx, [delivery], self._handler)

    async def _take_batch(self, deliveries: Sequence[Delivery], handler: Call) -> None:
        try:
            await self._commit(deliveries, handler)
        except Exception as error:
            if is_temporary(error):
                raise
            # One of them is poison: find it, put it aside, let the others go on.
            for delivery in deliveries:
                await self._take_alone(delivery, handler)

    async def _take_alone(self, delivery: Delivery, handler: Call) -> None:
        try:
            await self._commit([delivery], handler)
        except Exception as error:
            if is_temporary(error) or delivery is None:
                raise
            record = delivery.record
            log.error(  # noqa: TRY400 the traceback is parked with the record: it may quote personal data
                "%s/%s@%s cannot be handled and is parked (%s: see dead-letters list)",
                record.topic,
                record.partition,
                record.offset,
                type(error).__name__,
            )
            event_type = delivery.event_type if isinstance(delivery, Parked) else delivery.event.TYPE
            poison = Parked(record, event_type, _describe(error), "".join(traceback.format_exception(error)))
            async with self.database.transaction() as tx:
                await dead_letters.park(tx, [poison])
            PARKED.labels(self.subscription.topic).inc()

    async def _commit(self, deliveries: Sequence[Delivery], handler: Call) -> None:
        """Park what is to be parked and have the rest its effect, in one transaction."""
        topic = self.subscription.topic
        sorted_ = [self._wanted(delivery) for delivery in deliveries]
        parked = [delivery for delivery in sorted_ if isinstance(delivery, Parked)]
        events = [delivery for delivery in sorted_ if isinstance(delivery, Received)]
        if parked or events:
            async with self.database.transaction() as tx:
                await dead_letters.park(tx, parked)
                effects = await self._handle(tx, events, handler)
            HANDLED.labels(topic).inc(effects)
            DUPLICATES.labels(topic).inc(len(events) - effects)
            PARKED.labels(topic).inc(len(parked))
        IGNORED.labels(topic).inc(len(sorted_) - len(parked) - len(events))

    def _wanted(self, delivery: Delivery) -> Delivery:
        """The delivery, parked if its event is for a later version, None if it does not concern us."""
        if not isinstance(delivery, Received) or isinstance(delivery.event, self.subscription.types):
            return delivery
        if isinstance(delivery.event, self.subscription.for_later):
            reason = f"{delivery.event.TYPE} is not handled by this version: redrive it after the upgrade"
            return Parked(delivery.record, delivery.event.TYPE, reason)
        return None

    async def _handle(self, tx: Transaction, events: Sequence[Received[Event]], handler: Call) -> int:
        """Have events their effect, each once. Returns how many had it now."""
        fresh = list(events) if self.subscription.own_inbox else await inbox.first_seen(tx, events)
        if not fresh:
            return 0
        with self.context.scope("tx", tx):
            effects = await handler(fresh)
        return len(fresh) if effects is None else effects

    async def _back_off(self, error: BaseException) -> None:
        """NACK_ON_ERROR rewinds at once and without limit; this is the pause that it lacks."""
        self._failures += 1
        delay = clock.backoff(self._failures, MAX_BACKOFF_SECONDS)
        log.warning(
            "%s: a batch failed (%s) and comes again in %.1f s",
            self.subscription.topic,
            _describe(error),
            delay,
        )
        await clock.pause(self.stopping, delay)


def _describe(error: BaseException) -> str:
    """One line without the data: a driver's message quotes the statement and its parameters."""
    cause = getattr(error, "orig", None) or error
    lines = str(cause).splitlines()
    return f"{type(cause).__name__}: {lines[0]}" if lines else type(cause).__name__
