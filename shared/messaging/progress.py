"""Read progress: until when a topic is read.

A deadline is judged, and an agent forgotten, only after all earlier records are read.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError
from sqlalchemy import text

from shared import clock
from shared.database import Database, Transaction, is_temporary
from shared.events.topics import Topic
from shared.messaging.consumer import Consumer

log = logging.getLogger(__name__)

OnRead = Callable[[Topic, Mapping[int, datetime], Collection[int]], Awaitable[None]]
"""All records before a partition's time have had their effect. The last argument has all partitions."""

RESTS = 10
"""A look for the oldest unsent event reads all of them. The pause after it is this many times as long."""


async def follow(
    consumers: Sequence[Consumer],
    database: Database,
    on_read: OnRead,
    stopping: asyncio.Event,
    *,
    every: float,
) -> None:
    """Report to ``on_read``, at this interval, until when each partition is read.

    Events in our own outbox are not read yet: a request that came by HTTP counts from its acceptance. Held
    events do not count, because one refused event would stop every deadline.
    """
    followed = [(consumer, ReadProgress()) for consumer in consumers]
    topics = [consumer.subscription.topic.value for consumer in consumers]
    while not stopping.is_set():
        now, began, looked = clock.now(), time.monotonic(), 0.0
        try:
            unsent = await _oldest_unsent(database, topics)
        except Exception as error:
            if not is_temporary(error):
                raise
            log.warning("The read progress is not known (%s)", type(error).__name__)
        else:
            looked = time.monotonic() - began
            # Concurrently: a broker answers no other request of a consumer while a fetch waits for records.
            await asyncio.gather(
                *(
                    _report(
                        on_read, consumer, progress, min(now, unsent.get(consumer.subscription.topic, now))
                    )
                    for consumer, progress in followed
                )
            )
        await clock.pause(stopping, max(every, RESTS * looked))


async def _report(
    on_read: OnRead, consumer: Consumer, progress: "ReadProgress", sent_until: datetime
) -> None:
    topic, kafka = consumer.subscription.topic, consumer.kafka
    if kafka is None:
        return
    try:
        async with asyncio.timeout(5):
            read = await progress.read_until(kafka, sent_until, busy=consumer.busy, batches=consumer.batches)
        partitions = kafka.partitions_for_topic(topic)
        if partitions:
            await on_read(topic, read, partitions)
    except IllegalStateError:
        return  # meanwhile another process has taken a partition over
    except Exception as error:
        if not isinstance(error, KafkaError) and not is_temporary(error):
            raise
        log.warning("The read progress of %s is not known (%s)", topic, type(error).__name__)


@dataclass(slots=True)
class _Goal:
    """A partition's end at a moment, and how many batches were done when all before it was fetched."""

    at: datetime
    end: int
    batches: int | None = None


class ReadProgress:
    """How far one consumer has read. :meth:`read_until` is called about once a second."""

    def __init__(self) -> None:
        self._goals: dict[TopicPartition, _Goal] = {}

    async def read_until(
        self, kafka: AIOKafkaConsumer, sent_until: datetime, *, busy: bool, batches: int
    ) -> Mapping[int, datetime]:
        """Return, by partition, a time by which all records that had come have had their effect.

        A partition without such a time is left out. ``sent_until``: until when records are on the topic, not
        later than now. ``busy``: a batch is being handled. ``batches``: how many
        are done. Records fetched at one call have had their effect at the next call if no batch is being
        handled then, or if one finished in between. Committed offsets would not do, because markers of
        transactions are never committed. Raises ``KafkaError``.
        """
        partitions = kafka.assignment()
        self._goals = {partition: goal for partition, goal in self._goals.items() if partition in partitions}
        if not partitions:
            return {}
        ends = await kafka.end_offsets(partitions)
        read = {}
        for partition in partitions:
            position = await kafka.position(partition)
            goal = self._goals.get(partition)
            if goal is not None:
                if position < goal.end:
                    goal.batches = None  # not fetched yet, or fetched again after a failure
                elif goal.batches is None:
                    goal.batches = batches
                elif not busy or batches > goal.batches:
                    read[partition.partition] = goal.at
                    goal = None
            if goal is None:
                end = ends[partition]
                self._goals[partition] = _Goal(sent_until, end, batches if position >= end else None)
        return read


def keeping(database: Database) -> OnRead:
    """Return a function that stores until when partitions are read."""

    async def keep(topic: Topic, read: Mapping[int, datetime], partitions: Collection[int]) -> None:
        async with database.autocommit() as tx:
            await save(tx, topic, read, partitions)

    return keep


async def save(
    tx: Transaction, topic: Topic, read: Mapping[int, datetime], partitions: Collection[int] = ()
) -> None:
    """Store until when each of these partitions is read.

    ``partitions`` are all that the topic has; empty if not known. A partition that was never read gets a row,
    and a partition that no longer exists loses its row.
    """
    parameters = {
        "topic": topic.value,
        "partitions": sorted(partitions),
        "read": list(read),
        "moments": list(read.values()),
    }
    await tx.execute(_SAVE, parameters)


async def read_until(tx: Transaction, topics: Collection[Topic]) -> datetime | None:
    """Return until when every partition of these topics is read, or None before a topic's first report.

    A partition that no process reads delays it.
    """
    moment: datetime | None = await tx.scalar(_READ_UNTIL, {"topics": list(topics)})
    return moment


async def _oldest_unsent(database: Database, topics: Sequence[str]) -> Mapping[str, datetime]:
    """Return, by topic, since when an event waits for the relay."""
    async with database.autocommit() as tx:
        return {row.topic: row.since for row in await tx.execute(_OLDEST_UNSENT, {"topics": topics})}


_READ_UNTIL = text(
    "SELECT CASE count(DISTINCT topic) WHEN cardinality(CAST(:topics AS varchar[])) THEN min(read_until) END "
    "FROM read_progress WHERE topic = ANY(CAST(:topics AS varchar[]))"
)
_OLDEST_UNSENT = text(
    "SELECT topic, min(created_at) AS since FROM outbox "
    "WHERE sent_at IS NULL AND held IS NULL AND topic = ANY(CAST(:topics AS varchar[])) GROUP BY topic"
)
_SAVE = text(
    """
    WITH existing AS (
         SELECT unnest(CAST(:partitions AS integer[])) AS partition
          UNION SELECT unnest(CAST(:read AS integer[]))),
         gone AS (
         DELETE FROM read_progress
          WHERE topic = :topic AND cardinality(CAST(:partitions AS integer[])) > 0
            AND partition NOT IN (SELECT partition FROM existing))
    INSERT INTO read_progress (topic, partition, read_until)
    SELECT CAST(:topic AS varchar), partition, coalesce(moment, to_timestamp(0))
      FROM existing LEFT JOIN unnest(CAST(:read AS integer[]), CAST(:moments AS timestamptz[]))
           AS read (partition, moment) USING (partition)
     ORDER BY partition
        ON CONFLICT (topic, partition) DO UPDATE SET read_until = excluded.read_until
     WHERE read_progress.read_until < excluded.read_until"""
)
