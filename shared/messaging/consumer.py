"""A batch of one topic goes through parking, inbox and handler in one transaction.

The Kafka offset is committed after the effect. A record that cannot be read, or on which its handler fails,
is parked alone. After an outage, and while the handler fails on most events, the whole batch is delivered
again.
"""

import asyncio
import logging
import time
import traceback
from collections import Counter as Count
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from aiokafka import AIOKafkaConsumer
from faststream import ContextRepo, apply_types
from faststream.exceptions import NackMessage
from faststream.kafka.subscriber.usecase import BatchSubscriber
from prometheus_client import Counter, Gauge, Histogram

from shared import clock, security_log
from shared.database import Database, Transaction, is_temporary
from shared.events.cloudevents import Received, Record, Unreadable, decode
from shared.events.outcomes import RejectionCode
from shared.events.vocabulary import Event
from shared.messaging import agents_in_turn, dead_letters, inbox, outcomes, traces
from shared.messaging.dead_letters import NEWER, Parked
from shared.messaging.failure_limit import FailureLimit
from shared.messaging.outbox import Outbox, OutboxEvent
from shared.messaging.portals.admission import Rejected
from shared.messaging.portals.registry import Portal
from shared.messaging.router import Subscription
from shared.observability import logged_ids
from shared.security_log import SecurityOutcome

log = logging.getLogger(__name__)

BATCH = 500
PART_BYTES = 1024 * 1024
"""Bytes of the records in one transaction; one record may have more.

Requests of 500 agents have the size of 200 others: a batch of them took minutes and 2 GB.
"""
MAX_BACKOFF_SECONDS = 30.0

HANDLED = Counter("parcours_events_handled_total", "Events that had their effect.", ["topic"])
DUPLICATES = Counter("parcours_events_duplicate_total", "Events delivered again and dropped.", ["topic"])
IGNORED = Counter("parcours_events_ignored_total", "Events of a type that is not known here.", ["topic"])
PARKED = Counter("parcours_events_parked_total", "Records put aside as dead letters.", ["topic"])
REJECTED = Counter(
    "parcours_requests_rejected_total",
    "Records of portals that have no effect.",
    ["topic", "portal", "code"],
)
FAILURES = Counter("parcours_batch_failures_total", "Batches that will come again.", ["topic"])
STOPPED = Gauge(
    "parcours_consumer_stopped", "1 while a handler fails on most events, and nothing is parked.", ["topic"]
)
SECONDS = Histogram("parcours_batch_seconds", "Time to take a batch in.", ["topic"])
RECORDS = Histogram(
    "parcours_batch_records", "Records of a batch.", ["topic"], buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500)
)

Delivery = Received[Event] | Parked | Rejected | None
"""An event, a record to park or to reject, or None if its type is unknown here."""

Admit = Callable[[Record], Received[Event] | Rejected]

Call = Callable[[list[Received[Any]]], Awaitable[int | None]]


def count_rejected_from_zero(subscription: Subscription, portals: Iterable[Portal]) -> None:
    """Create the counters of rejections at 0: a counter that begins at 40 would raise no alert."""
    if subscription.is_of_portals and subscription.keeps_rejected:
        for portal in ("", *(portal.portal for portal in portals)):
            for code in RejectionCode:
                REJECTED.labels(subscription.topic, portal, code)


class HandlerFails(Exception):
    """A handler fails on most events, so the fault is ours. Nothing is parked, and the batch comes again."""


def read(record: Record) -> Delivery:
    """Read one record, whatever it contains, without raising."""
    try:
        return decode(record)
    except Unreadable as error:
        return Parked(record, error.event_type, str(error))


class Consumer:
    """Takes one topic into one database.

    ``context`` holds the handler's parameters beside its events. ``admit`` reads the records of portals.
    ``limit`` is the limit on failing handlers, shared by the consumers of a topic.

    The watchdog and the read progress read these attributes:

    - ``since``: the monotonic time of the last progress;
    - ``busy``: whether a batch is being handled;
    - ``batches``: how many batches are done;
    - ``in_hand``: by partition, how many records are in the batch being handled;
    - ``taken_until``: by partition, when the last record taken in was received.
    """

    def __init__(
        self,
        subscription: Subscription,
        database: Database,
        context: ContextRepo | None = None,
        admit: Admit | None = None,
        limit: FailureLimit | None = None,
    ) -> None:
        self.subscription = subscription
        self.database = database
        self._read: Callable[[Record], Delivery] = admit if admit and subscription.is_of_portals else read
        self.context = ContextRepo() if context is None else context
        self.subscriber: BatchSubscriber | None = None
        self.stopping = asyncio.Event()
        self.since = time.monotonic()
        self.busy = False
        self.batches = 0
        self.in_hand: Count[int] = Count()
        self.taken_until: dict[int, datetime] = {}
        self._failures = 0
        self._limit = FailureLimit() if limit is None else limit
        self._outbox = Outbox(subscription.service)
        self._handler: Call = apply_types(subscription.handler, context__=self.context)

    @property
    def kafka(self) -> AIOKafkaConsumer | None:
        """The client that fetches the records, or None while the subscriber does not run."""
        return None if self.subscriber is None else self.subscriber.consumer

    @property
    def member_id(self) -> str:
        """Return "" while the client is in no group."""
        if self.kafka is None:
            return ""
        return str(self.kafka._coordinator.member_id)  # noqa: SLF001 aiokafka has no public name for it

    def read(self, record: Record) -> Delivery:
        """Park a record whose reading fails by a fault of ours: else its partition would stand still."""
        try:
            return self._read(record)
        except Exception as error:  # noqa: BLE001 it would fail at each delivery
            return Parked(record, None, _describe(error), _traceback(error))

    async def take_records(self, records: Sequence[Record], handler: Call | None = None) -> None:
        """Read and take a batch in, part by part. Raises ``NackMessage`` if it must be delivered again.

        ``handler`` calls the handler through FastStream, if FastStream delivers the batch.
        """
        parts = ([self.read(record) for record in part] for part in in_parts(records))
        await self._take(parts, handler or self._handler)

    async def take(self, deliveries: Sequence[Delivery], handler: Call | None = None) -> None:
        """Take a batch in. Raises ``NackMessage`` if it must be delivered again."""
        await self._take([deliveries], handler or self._handler)

    async def _take(self, parts: Iterable[Sequence[Delivery]], handler: Call) -> None:
        topic = self.subscription.topic
        self.since = time.monotonic()
        self.busy = True
        try:
            for part in parts:
                RECORDS.labels(topic).observe(len(part))
                with SECONDS.labels(topic).time(), traces.batch(topic, part) as traced:
                    await self._take_batch(traced, handler)
                self._log(traced, time.monotonic() - self.since)
                self.since = time.monotonic()
            self._failures = 0
            self.batches += 1
        except Exception as error:
            # Pause after every failure, even of parking: otherwise the batch would come again at once, for
            # ever.
            FAILURES.labels(topic).inc()
            await self._back_off(error)
            raise NackMessage from error
        finally:
            self.since = time.monotonic()
            self.busy = False

    def _log(self, deliveries: Sequence[Delivery], seconds: float) -> None:
        if not log.isEnabledFor(logging.DEBUG):
            return
        topic = self.subscription.topic
        for delivery in deliveries:
            if isinstance(delivery, Received):
                with logged_ids(**traces.ids_of(delivery)):
                    log.debug("%s: %s", topic, delivery.event.TYPE)
        log.debug("%s: a batch of %d in %.1f ms", topic, len(deliveries), seconds * 1000)

    async def redrive(self, dead_letter_id: int, actor: str) -> None:
        """Handle a dead letter and settle it, in one transaction.

        Does nothing if it is no longer parked. Raises the errors of the handler, and ``ValueError`` if the
        record still cannot be taken.
        """
        async with self.database.transaction() as tx:
            letter = await dead_letters.lock(tx, dead_letter_id)
            if letter is None:
                return  # another operator has settled the letter meanwhile
            delivery = self._wanted(self.read(letter.record))
            match delivery:
                case Parked(error=reason):
                    raise ValueError(reason)
                case Rejected():
                    raise ValueError(delivery.explanation)
                case Received():
                    _, rejections = await self._handle(tx, [delivery], self._handler)
                    if rejections:
                        raise ValueError(rejections[0].explanation)
            await dead_letters.settle(tx, dead_letter_id, state="redriven", actor=actor, note=None)

    async def _take_batch(self, deliveries: Sequence[Delivery], handler: Call) -> None:
        failed: list[Parked] = []
        waiting: list[Parked] = []
        wanted = [self._wanted(delivery) for delivery in deliveries]
        try:
            await self._commit(wanted, handler)
        except Exception as error:
            if is_temporary(error):
                raise
            failed, waiting = await self._take_each_alone(wanted, handler)
        events = sum(isinstance(delivery, Received) for delivery in wanted)
        may_park = self._limit.allows(len(failed), events)
        STOPPED.labels(self.subscription.topic).set(self._limit.is_reached)
        if not may_park:
            raise HandlerFails(
                f"the handler fails on {len(failed)} of {events} events, too many to park: {failed[0].error}"
            )
        await self._park([*failed, *waiting])

    async def _take_each_alone(
        self, wanted: Sequence[Delivery], handler: Call
    ) -> tuple[list[Parked], list[Parked]]:
        """Return the records that fail, and those that wait behind one of them."""
        failed: list[Parked] = []
        waiting: list[Parked] = []
        before: list[Delivery] = []
        for delivery in wanted:
            if isinstance(delivery, Received) and agents_in_turn.waits(delivery, before):
                waiting.append(Parked.received(delivery, agents_in_turn.WAITS))
            elif fails := await self._take_alone(delivery, handler):
                failed += fails
                before.append(delivery)
        return failed, waiting

    async def _take_alone(self, delivery: Delivery, handler: Call) -> list[Parked]:
        """Return the record if its handler fails. A record without a handler is parked here."""
        try:
            with logged_ids(**(traces.ids_of(delivery) if isinstance(delivery, Received) else {})):
                await self._commit([delivery], handler)
        except Exception as error:
            if is_temporary(error) or delivery is None:
                raise
            trace = _traceback(error)
            if isinstance(delivery, Received):
                return [Parked.received(delivery, _describe(error), trace)]
            await self._park([Parked(delivery.record, delivery.event_type, _describe(error), trace)])
        return []

    async def _park(self, failed: Sequence[Parked]) -> None:
        if not failed:
            return
        for letter in failed:
            log.error(  # log no traceback: it may quote personal data. It is parked with the record
                "%s/%s@%s cannot be handled and is parked (%s: see dead-letters list)",
                letter.record.topic,
                letter.record.partition,
                letter.record.offset,
                letter.error.partition(":")[0],
                extra={} if letter.event_id is None else {"event_id": str(letter.event_id)},
            )
        async with self.database.transaction() as tx:
            number = await dead_letters.park(tx, failed)
        PARKED.labels(self.subscription.topic).inc(number)

    async def _commit(self, wanted: Sequence[Delivery], handler: Call) -> None:
        topic = self.subscription.topic
        parked = [delivery for delivery in wanted if isinstance(delivery, Parked)]
        rejected = [delivery for delivery in wanted if isinstance(delivery, Rejected)]
        events = [delivery for delivery in wanted if isinstance(delivery, Received)]
        ignored = len(wanted) - len(parked) - len(rejected) - len(events)
        if parked or rejected or events:
            async with self.database.transaction() as tx:
                events, waiting = await agents_in_turn.split(tx, events, self.read)
                newly_parked = await dead_letters.park(tx, [*parked, *waiting])
                effects, rejections = await self._handle(tx, events, handler)
                unknown = await dead_letters.keep_rejected(tx, [*rejected, *rejections])
                await self._publish(tx, map(outcomes.of_rejected, unknown))
            HANDLED.labels(topic).inc(effects)
            DUPLICATES.labels(topic).inc(len(events) - effects - len(rejections))
            PARKED.labels(topic).inc(newly_parked)
            for rejection in (*rejected, *rejections):
                REJECTED.labels(topic, rejection.portal or "", rejection.code).inc()
            record_refusals(topic, (*rejected, *rejections))
        IGNORED.labels(topic).inc(ignored)

    def _wanted(self, delivery: Delivery) -> Delivery:
        if isinstance(delivery, Rejected):
            return delivery if self.subscription.keeps_rejected else None
        if not isinstance(delivery, Received) or isinstance(delivery.event, self.subscription.types):
            return delivery
        if isinstance(delivery.event, self.subscription.for_later):
            reason = f"{delivery.event.TYPE} {NEWER}: redrive it after the upgrade"
            return Parked.received(delivery, reason)
        return None

    async def _handle(
        self, tx: Transaction, events: Sequence[Received[Event]], handler: Call
    ) -> tuple[int, list[Rejected]]:
        """Call the handler with the events that have had no effect yet.

        Returns the number of events that had an effect now, and the events that the handler rejects.
        """
        rejections: list[Rejected] = []
        fresh = list(events) if self.subscription.own_inbox else await inbox.first_seen(tx, events)
        if not fresh:
            return 0, rejections
        with self.context.scope("tx", tx), self.context.scope("rejections", rejections):
            effects = await handler(fresh)
        if self.subscription.accepts:
            await self._publish(tx, map(outcomes.of_accepted, fresh))
        return len(fresh) if effects is None else effects, rejections

    async def _publish(self, tx: Transaction, events: Iterable[Event | OutboxEvent | None]) -> None:
        await self._outbox.publish(tx, [event for event in events if event is not None])

    async def _back_off(self, error: BaseException) -> None:
        """``NACK_ON_ERROR`` delivers the batch again at once and without limit, so pause first."""
        self._failures += 1
        delay = clock.backoff(self._failures, MAX_BACKOFF_SECONDS)
        log.warning(
            "%s: a batch failed (%s) and comes again in %.1f s",
            self.subscription.topic,
            _describe(error),
            delay,
        )
        await clock.pause(self.stopping, delay)


def in_parts(records: Iterable[Record]) -> Iterator[list[Record]]:
    """Yield the records in their order, so that each part has :data:`PART_BYTES` at most, or one record."""
    part: list[Record] = []
    size = 0
    for record in records:
        length = len(record.value or b"")
        if part and size + length > PART_BYTES:
            yield part
            part, size = [], 0
        part.append(record)
        size += length
    yield part


def record_refusals(where: str, rejections: Iterable[Rejected]) -> None:
    """Write refused signatures and rights to the security log, a line for each portal of a batch."""
    refused = Count(
        (event, rejection.portal)
        for rejection in rejections
        if (event := _REFUSALS.get(rejection.code)) is not None
    )
    for (event, portal), times in refused.items():
        who = "" if portal is None else f"portal:{portal}"
        security_log.record(event, SecurityOutcome.REFUSED, who=who, where=where, times=times)


_REFUSALS = {
    RejectionCode.NOT_AUTHENTICATED: security_log.SecurityEvent.SIGNATURE,
    RejectionCode.UNKNOWN_PORTAL: security_log.SecurityEvent.SIGNATURE,
    RejectionCode.NOT_YOURS: security_log.SecurityEvent.RIGHT,
}


def _traceback(error: Exception) -> str:
    return "".join(traceback.format_exception(error))


def _describe(error: BaseException) -> str:
    """Return only the first line: further lines of a driver's message quote statement and parameters."""
    cause = getattr(error, "orig", None) or error
    lines = str(cause).splitlines()
    return f"{type(cause).__name__}: {lines[0]}" if lines else type(cause).__name__
