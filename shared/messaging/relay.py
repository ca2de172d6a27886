"""The relay: outbox to Kafka, in order per key, marked sent after the broker's acknowledgement.

Each bucket of the outbox is served by the process that holds its advisory lock, so that replicas share the
work and never reorder a key. Unsent rows are read in id order, never "after the last seen": a transaction
that commits late has a low id. Crashing between the acknowledgement and the mark publishes an event again
with the same id; consumers drop known events.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from aiokafka.errors import KafkaError
from prometheus_client import Counter, Gauge
from sqlalchemy import text

from shared import clock
from shared.database import Database, Row, Transaction, is_temporary
from shared.messaging import held
from shared.messaging.broker import KafkaSettings
from shared.messaging.outbox import BUCKETS
from shared.messaging.producer import Producer
from shared.messaging.sending import PASS, Sending, SendResult, describe

log = logging.getLogger(__name__)

POLL_SECONDS = 0.1
SEND_DEADLINE_SECONDS = 30.0
LAST_PASS_SECONDS = 5.0
MAX_BACKOFF_SECONDS = 10.0
TOPICS_SECONDS = 2.0

FEW = 100
"""A mark of more events gets a plan of its own, which suits the present outbox. It costs little for each."""
SLOW_SECONDS = 15.0

RELAYED = Counter("parcours_outbox_relayed_total", "Events published and marked sent.")
RELAY_FAILURES = Counter("parcours_outbox_failures_total", "Passes that failed and will be tried again.")
RELAY_UP = Gauge("parcours_outbox_relay_up", "1 when the last pass worked.")


class Relay:
    """Publishes one service's outbox. ``wake`` it after a commit; it polls otherwise.

    ``intake_key`` signs requests that portals sent by HTTP. ``on_published`` is called after each pass that
    sent events.
    """

    def __init__(
        self, database: Database, settings: KafkaSettings, service: str, intake_key: bytes | None = None
    ) -> None:
        self.on_published: Callable[[], None] = lambda: None
        self._sending = Sending(intake_key)
        self._database = database
        self._settings = settings
        self._service = service
        self._producer: Producer | None = None
        self._has_failed = False
        self._pass_began: float | None = None
        self._topics_at = 0.0
        self._woken = asyncio.Event()
        self._stopping = asyncio.Event()

    def wake(self) -> None:
        self._woken.set()

    def trouble(self) -> str | None:
        """Return why the outbox is not published, or None if it is."""
        if self._has_failed:
            return "the outbox could not be published at the last try"
        if self._pass_began is not None and time.monotonic() - self._pass_began > SLOW_SECONDS:
            return f"the outbox waits for Kafka or the database for more than {SLOW_SECONDS:.0f} s"
        return None

    async def start(self) -> Producer:
        """Raises ``KafkaError``, and the errors of the database."""
        producer = await Producer.connected(self._settings, self._service)
        if producer.transactional_id is not None:
            await self._database.execute_alone(
                _REGISTER, {"producer": producer.transactional_id, "buckets": BUCKETS}
            )
        self._producer = producer
        return producer

    async def run(self) -> None:
        """Publish until :meth:`stop`, then once more: no committed event waits for another process."""
        failures = 0
        while not self._stopping.is_set():
            was_woken = self._woken.is_set()
            self._woken.clear()
            self._pass_began = time.monotonic()
            try:
                is_due = was_woken or self._producer is None or await self._any_unsent()
                published = await self.publish_unsent() if is_due else 0
                if time.monotonic() >= self._topics_at:
                    self._topics_at = time.monotonic() + TOPICS_SECONDS
                    await self.release_waiting()
                failures, self._has_failed = 0, False
                RELAY_UP.set(1)
                if published:
                    self.on_published()
            except Exception as error:  # noqa: BLE001 after any error the outbox must be tried again
                failures, self._has_failed, self._pass_began = failures + 1, True, None
                await self._after_failure(error, failures)
                continue
            self._pass_began = None
            if published < PASS:  # other processes serve the rest; a commit wakes this one
                await clock.pause(self._woken, POLL_SECONDS)
        await self._last_pass()

    async def stop(self) -> None:
        self._stopping.set()
        self._woken.set()

    async def close(self) -> None:
        """Unacknowledged events stay unsent."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.close()

    async def publish_unsent(self) -> int:
        """Publish about :data:`PASS` events of buckets that no other process serves. Returns how many.

        Raises the error that ended the pass too soon.
        """
        producer = self._producer or await self.start()  # before a bucket is locked, because it may take long
        async with self._database.quiet_transaction(plan_once=True) as tx:
            # A separate statement, so that the next one sees the rows that the last owner marked.
            lock = {"space": held.LOCK_SPACE, "buckets": BUCKETS, "most": PASS}
            buckets = list(await tx.scalars(_LOCK, lock))
            result = await self._publish_buckets(tx, producer, buckets) if buckets else SendResult()
        RELAYED.inc(len(result.sent))
        if result.failure is not None:
            await self.close()
            raise result.take_failure()
        if result.is_broken:
            await self._sign_off()
        return len(result.sent)

    async def _any_unsent(self) -> bool:
        """Return whether any event is unsent, in one round trip: usually none is."""
        return bool(await self._database.execute_alone(_ANY_UNSENT, {"buckets": BUCKETS}))

    async def release_waiting(self) -> None:
        producer = self._producer or await self.start()
        async with self._database.quiet_transaction() as tx:
            topics = await held.waiting_topics(tx)
            if not topics:
                return
            unusable = await producer.unusable(topics)
            await held.release(tx, [topic for topic in topics if topic not in unusable], BUCKETS)

    async def _publish_buckets(
        self, tx: Transaction, producer: Producer, buckets: Sequence[int]
    ) -> SendResult:
        others = await self._claim(producer, buckets)
        # Use the connection that has the locks. If it still answers, it had them when we claimed.
        rows = (await tx.execute(_UNSENT, {"buckets": buckets, "most": PASS})).all()
        try:
            async with asyncio.timeout(SEND_DEADLINE_SECONDS):
                await self._fence(tx, producer, others)
                result = await self._sending.send(producer, rows)
        except BaseException:
            await self.close()  # while the buckets are ours, so that this producer sends nothing later
            raise
        # After a failure records may still be on their way: the claims stay, and the next pass fences us.
        await self._finish(tx, result, others, buckets if result.failure is None else ())
        return result

    async def _finish(
        self, tx: Transaction, result: SendResult, fenced: Sequence[str], settled: Sequence[int]
    ) -> None:
        await held.hold(tx, result.refused, result.waiting)
        await _mark(tx, result.sent, fenced, settled)

    async def _claim(self, producer: Producer, buckets: Sequence[int]) -> list[str]:
        """Tell other processes that ``producer`` may have records of these buckets on their way.

        Returns the transactional ids of other producers that may too, because they never marked their pass.
        """
        if producer.transactional_id is None:
            return []
        ours = producer.transactional_id
        claims = await self._database.execute_alone(_CLAIM, {"buckets": buckets, "producer": ours})
        return sorted({other for claim in claims for other in claim.claimed_by} - {ours})

    async def _fence(self, tx: Transaction, producer: Producer, others: Sequence[str]) -> None:
        if others:
            topics = list(await tx.scalars(_UNSENT_TOPICS))
            for other in others:
                await producer.fence(other, topics)

    async def _after_failure(self, error: Exception, failures: int) -> None:
        RELAY_FAILURES.inc()
        RELAY_UP.set(0)
        delay = clock.backoff(failures, MAX_BACKOFF_SECONDS)
        if is_temporary(error) or isinstance(error, KafkaError):
            log.warning("Publishing failed (%s) and is tried again in %.1f s", describe(error), delay)
        else:
            log.error(
                "Publishing failed in a way nobody expected; tried again in %.1f s", delay, exc_info=error
            )
        await clock.pause(self._stopping, delay)

    async def _last_pass(self) -> None:
        try:
            async with asyncio.timeout(LAST_PASS_SECONDS):
                while await self.publish_unsent():
                    pass
                await self._sign_off()
        except Exception as error:  # noqa: BLE001 the rows are safe: the next process sends them
            log.warning("The last events stay in the outbox (%s)", describe(error))

    async def _sign_off(self) -> None:
        """Disconnect when no record is on its way, so that no process needs to fence this producer."""
        producer = self._producer
        await self.close()
        if producer is not None and producer.transactional_id is not None:
            await self._database.execute_alone(_FORGET, {"producer": producer.transactional_id})


async def _mark(
    tx: Transaction,
    rows: Sequence[Row],
    fenced: Sequence[str] = (),
    settled: Sequence[int] = (),
) -> None:
    """Mark events as sent, and number those that portals read, in the order of their ids.

    Also end the claims on the ``settled`` buckets, and forget the ``fenced`` producers.

    The lock on a portal's feed is held until the commit, so that its numbers appear in their order, and only
    with the events that they number. An event that is published again keeps its number.
    """
    numbered = [row for row in rows if row.portal is not None and row.cursor is None]
    parameters = {
        "ids": [row.id for row in rows],
        "numbered": [row.id for row in numbered],
        "portals": [row.portal for row in numbered],
        "fenced": fenced,
        "settled": settled,
    }
    if len(rows) > FEW:
        await tx.execute(_PLAN_ANEW)
    await tx.execute(_MARK, parameters)


# After an outage the planner believes that most rows are unsent: it would walk the primary key past all sent
# rows, or sort all unsent rows in every pass. BETWEEN instead of "=", here and below, leaves the index of
# unsent rows as the only one in the wanted order, and so as the only way without sorting.
# Buckets for one pass that no other process serves: all of them while little waits, else as few as fill the
# pass, so that replicas share them. The random order keeps replicas from queuing for one bucket. CASE keeps
# Postgres from locking other buckets.
_LOCK = text(
    """
    WITH waiting AS (
         SELECT bucket, waiting, random() AS place
           FROM generate_series(0, :buckets - 1) AS bucket CROSS JOIN LATERAL (
                SELECT count(*) AS waiting
                  FROM (SELECT FROM outbox
                         WHERE outbox.bucket BETWEEN bucket.bucket AND bucket.bucket
                           AND sent_at IS NULL AND held IS NULL
                         ORDER BY outbox.bucket, id LIMIT :most) AS unsent) AS counted
          WHERE waiting > 0),
         placed AS (SELECT bucket, sum(waiting) OVER (ORDER BY place) - waiting AS before FROM waiting)
    SELECT bucket FROM placed
     WHERE CASE WHEN before < :most THEN pg_try_advisory_xact_lock(:space, bucket) ELSE false END"""
)
_ANY_UNSENT = text(
    """
    SELECT bucket FROM generate_series(0, :buckets - 1) AS bucket CROSS JOIN LATERAL (
           SELECT FROM outbox
            WHERE outbox.bucket BETWEEN bucket.bucket AND bucket.bucket AND sent_at IS NULL AND held IS NULL
            ORDER BY outbox.bucket, id LIMIT 1) AS unsent
     LIMIT 1"""
)
# CASE: held keys are looked up only if there are any, each by the index.
_UNSENT = text(
    """
    SELECT unsent.*
      FROM unnest(CAST(:buckets AS integer[])) AS bucket CROSS JOIN LATERAL (
           SELECT id, topic, key, event_id, type, source, traceparent, data, created_at, misrouted, portal,
                  cursor,
                  CASE WHEN EXISTS (SELECT FROM outbox WHERE held IN ('refused', 'waiting'))
                       THEN EXISTS (SELECT FROM outbox AS before
                                     WHERE before.topic = outbox.topic AND before.key = outbox.key
                                       AND before.held IN ('refused', 'waiting'))
                       ELSE false END AS is_behind
             FROM outbox
            WHERE outbox.bucket BETWEEN bucket.bucket AND bucket.bucket
              AND sent_at IS NULL AND held IS NULL
            ORDER BY outbox.bucket, id LIMIT :most) AS unsent
     ORDER BY id"""
)
_UNSENT_TOPICS = text(
    "SELECT DISTINCT topic FROM outbox WHERE sent_at IS NULL AND held IS NULL AND topic IS NOT NULL"
)
# Without another producer there are no claims.
_REGISTER = text(
    """
    WITH unclaimed AS (
         INSERT INTO outbox_bucket (bucket, claimed_by)
         SELECT bucket, '{}' FROM generate_series(0, :buckets - 1) AS bucket
          WHERE NOT EXISTS (SELECT FROM outbox_producer)
             ON CONFLICT DO NOTHING)
    INSERT INTO outbox_producer (transactional_id) VALUES (:producer)"""
)
_FORGET = text("DELETE FROM outbox_producer WHERE transactional_id = :producer")
# A bucket without a row: Postgres crashed and lost the claims. The table is unlogged, so that a claim waits
# for no disk. Every existing producer may have claimed the bucket.
_CLAIM = text(
    """
    INSERT INTO outbox_bucket AS kept (bucket, claimed_by)
    SELECT bucket, ARRAY(SELECT transactional_id FROM outbox_producer)
      FROM unnest(CAST(:buckets AS integer[])) AS bucket ORDER BY bucket
        ON CONFLICT (bucket) DO UPDATE
       SET claimed_by = array_remove(kept.claimed_by, CAST(:producer AS varchar))
                        || CAST(:producer AS varchar)
    RETURNING claimed_by"""
)
_PLAN_ANEW = text("SELECT set_config('plan_cache_mode', 'force_custom_plan', true)")
# The claims end with the pass, because no record of these buckets is on its way any more. Feeds are locked in
# the order of their portals' names, so two processes cannot deadlock.
_MARK = text(
    """
    WITH fenced AS (
         DELETE FROM outbox_producer WHERE transactional_id = ANY(CAST(:fenced AS varchar[]))),
         settled AS (
         UPDATE outbox_bucket SET claimed_by = '{}'
          WHERE bucket = ANY(CAST(:settled AS integer[])) AND claimed_by <> '{}'),
         numbered AS (
         SELECT id, portal, row_number() OVER (PARTITION BY portal ORDER BY id)
                            - count(*) OVER (PARTITION BY portal) AS from_last
           FROM unnest(CAST(:numbered AS bigint[]), CAST(:portals AS varchar[])) AS sent (id, portal)),
         feed AS (
         INSERT INTO portal_feed AS feed (portal, last)
         SELECT portal, count(*) FROM numbered GROUP BY portal ORDER BY portal COLLATE "C"
             ON CONFLICT (portal) DO UPDATE SET last = feed.last + excluded.last
         RETURNING portal, last)
    UPDATE outbox SET sent_at = now(), cursor = coalesce(outbox.cursor, feed.last + numbered.from_last)
      FROM unnest(CAST(:ids AS bigint[])) AS marked (id)
           LEFT JOIN numbered USING (id) LEFT JOIN feed USING (portal)
     WHERE outbox.id = marked.id"""
)
