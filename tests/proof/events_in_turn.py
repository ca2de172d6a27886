"""Relay, outbox, consumer, inbox and feed in a schedule. The broker is in this process.

The faults are kills, lost connections, lost answers and rebalances.
"""

import math
import zlib
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from unittest import mock
from uuid import UUID

from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, KafkaTimeoutError, ProducerFenced
from faststream import ContextRepo
from faststream.exceptions import NackMessage
from sqlalchemy import text

from shared import clock
from shared.database import Database, is_temporary
from shared.events.cloudevents import Received, Record
from shared.events.enrolment import SessionOccupancyChanged
from shared.messaging import faststream, offsets, relay, sending
from shared.messaging.broker import KafkaSettings
from shared.messaging.consumer import Consumer
from shared.messaging.offsets import OffsetCommits
from shared.messaging.outbox import BUCKETS, Outbox
from shared.messaging.producer import OutgoingRecord, Producer
from shared.messaging.relay import Relay
from shared.messaging.router import Router, Tx
from tests.proof.schedules import ScheduledDatabase, ScheduledWorld, fault
from tests.proof.turns import Act, Actor, BrokenSchedule, Choices, ScheduleStep, Turns

SESSIONS = (UUID(int=1), UUID(int=2))
VERSIONS = 3
PASS = 2
"""A relay publishes so many events at once. The other one gets the rest."""
TOPIC = SessionOccupancyChanged.TOPIC
PORTAL = "nord"

_PREPARE = (
    "CREATE TABLE IF NOT EXISTS effect_in_turn"
    " (id bigint generated always as identity, key text, version int);"
    "DELETE FROM effect_in_turn; DELETE FROM outbox; DELETE FROM inbox; DELETE FROM outbox_bucket;"
    "DELETE FROM outbox_producer; DELETE FROM portal_feed; DELETE FROM dead_letter"
)
_EFFECT = text("INSERT INTO effect_in_turn (key, version) VALUES (:key, :version)")
_EFFECTS = text("SELECT key, version FROM effect_in_turn ORDER BY id")
_ANSWER = text(
    "INSERT INTO outbox (bucket, key, event_id, type, source, data, portal) "
    "VALUES (:bucket, :key, gen_random_uuid(), 'fr.cnfpt.test.Answer.v1', '/services/test', '{}', :portal)"
)
_FEED = text("SELECT cursor FROM outbox WHERE portal = :portal AND cursor > :last ORDER BY cursor")
_LEFT = text("SELECT count(*) FROM outbox WHERE sent_at IS NULL")


@dataclass(eq=False)
class OnItsWay:
    """A record that the broker has not taken. ``answer`` is an error or True, and None before it comes."""

    producer: str
    record: OutgoingRecord
    answer: BaseException | bool | None = None


@dataclass
class InProcessBroker:
    """One partition, and one group that reads it."""

    log: list[OutgoingRecord] = field(default_factory=list)
    on_their_way: list[OnItsWay] = field(default_factory=list)
    fenced: set[str] = field(default_factory=set)
    producers: int = 0
    reader: int = 0
    committed: int = 0

    def arrivals(self) -> list[ScheduleStep]:
        firsts = {sent.producer: sent for sent in reversed(self.on_their_way)}
        return [
            ScheduleStep(producer, "brings its next record", self._arrival(sent))
            for producer, sent in sorted(firsts.items())
        ]

    def losses(self) -> list[ScheduleStep]:
        """Return the answers that can be lost. Their records still arrive."""
        waiting = [sent for sent in self.on_their_way if sent.answer is None]
        return [fault(f"no answer comes to {sent.producer}", self._loss(sent)) for sent in waiting[:1]]

    def _arrival(self, sent: OnItsWay) -> Act:
        async def arrive() -> None:
            self.on_their_way.remove(sent)
            if sent.producer in self.fenced:
                sent.answer = sent.answer or ProducerFenced()
            else:
                self.log.append(sent.record)
                sent.answer = sent.answer or True

        return arrive

    def _loss(self, sent: OnItsWay) -> Act:
        async def lose() -> None:
            for other in self.on_their_way:
                if other.producer == sent.producer and other.answer is None:
                    other.answer = KafkaTimeoutError()

        return lose


class ScheduledProducer:
    """Stands for the relay's producer."""

    def __init__(self, turns: Turns, broker: InProcessBroker) -> None:
        broker.producers += 1
        self.transactional_id = f"producer {broker.producers}"
        self._turns = turns
        self._broker = broker

    async def send(self, records: Sequence[OutgoingRecord]) -> list[BaseException | None]:
        await self._turns.gate(f"sends {len(records)} records")
        sent = [OnItsWay(self.transactional_id, record) for record in records]
        self._broker.on_their_way += sent
        await self._turns.gate("hears the broker", lambda: all(each.answer is not None for each in sent))
        return [each.answer if isinstance(each.answer, BaseException) else None for each in sent]

    async def unusable(self, _topics: object) -> dict[str, BaseException]:
        return {}

    async def fence(self, transactional_id: str, _topics: object) -> None:
        await self._turns.gate(f"fences {transactional_id}")
        self._broker.fenced.add(transactional_id)

    async def close(self) -> None:
        """Unacknowledged records may still arrive."""


class ScheduledClient:
    """Stands for the Kafka client of a consumer."""

    def __init__(self, turns: Turns, broker: InProcessBroker, number: int) -> None:
        self._turns = turns
        self._broker = broker
        self._number = number
        self._coordinator = SimpleNamespace(member_id=str(number))

    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset({TopicPartition(TOPIC, 0)})

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        await self._turns.gate("commits its offset")
        if self._broker.reader != self._number:
            raise CommitFailedError
        [self._broker.committed] = offsets.values()


@dataclass
class FetchedBatch:
    """A batch as FastStream gives it to the middleware."""

    records: Sequence[Any]
    committed: object = None

    async def decode(self) -> Any:
        return self.records

    def set_decoder(self, decoder: Callable[[object], Coroutine[None, None, Any]]) -> None:
        self.decode = lambda: decoder(self)  # type: ignore[method-assign]


class EventWorld(ScheduledWorld):
    """Two writers, two relays, two consumers of a group, and a portal that reads its feed."""

    def __init__(self, database: ScheduledDatabase, choices: Choices) -> None:
        super().__init__(database, choices)
        self.broker = InProcessBroker()
        self.heard: list[int] = []
        self.written = [0] * len(SESSIONS)
        self.positions = [0, 0]
        writers = [Actor(f"writer {number}", self._writer(number)) for number in range(len(SESSIONS))]
        relays = [Actor(f"relay {number}", self._relay) for number in range(2)]
        consumers = [Actor(f"consumer {number}", self._consumer(number)) for number in range(2)]
        self.mortals = [*relays, *consumers]
        self.actors = [*writers, *self.mortals, Actor("portal", lambda: [self._hear()])]

    async def prepare(self) -> None:
        async with Database.autocommit(self.database) as tx:
            await tx.driver.execute(_PREPARE)

    @contextmanager
    def patched(self) -> Iterator[None]:
        async def connected(*_: object) -> ScheduledProducer:
            await self.turns.gate("connects")
            return ScheduledProducer(self.turns, self.broker)

        async def pause(*_: object) -> None:
            await self.news("waits")

        with (
            mock.patch.object(Producer, "connected", connected),
            mock.patch.object(clock, "pause", pause),
            mock.patch.object(relay, "PASS", PASS),
            mock.patch.object(sending, "PASS", PASS),
            # No step may depend on the time.
            mock.patch.object(relay, "TOPICS_SECONDS", math.inf),
            mock.patch.object(relay, "SEND_DEADLINE_SECONDS", None),
            mock.patch.object(offsets, "DEADLINE_SECONDS", None),
        ):
            yield

    def others(self) -> list[ScheduleStep]:
        return self.broker.arrivals()

    def faults(self) -> list[ScheduleStep]:
        return [
            *self.kills(),
            *self.lost_connections(),
            *self.lost_commits(),
            *self.broker.losses(),
            fault("the other consumer gets the partition", self._rebalance),
        ]

    async def _rebalance(self) -> None:
        self.broker.reader = 1 - self.broker.reader
        self.positions[self.broker.reader] = self.broker.committed

    def _writer(self, number: int) -> Callable[[], list[Coroutine[None, None, None]]]:
        async def write() -> None:
            outbox, key = Outbox("enrolment"), str(SESSIONS[number])
            while (version := self.written[number] + 1) <= VERSIONS:
                event = SessionOccupancyChanged(
                    session_id=SESSIONS[number], version=version, capacity=9, enrolled=0, waiting=0, offered=0
                )
                try:
                    async with self.database.quiet_transaction() as tx:
                        await outbox.publish(tx, [event])
                        bucket = zlib.crc32(key.encode()) % BUCKETS
                        await tx.execute(_ANSWER, {"bucket": bucket, "key": key, "portal": PORTAL})
                except Exception as error:
                    if not is_temporary(error):
                        raise
                    continue  # its connection was ended: again
                self.written[number] = version

        return lambda: [write()]

    def _relay(self) -> list[Coroutine[None, None, None]]:
        return [Relay(self.database, KafkaSettings(kafka_bootstrap_servers="nowhere:9092"), "test").run()]

    def _consumer(self, number: int) -> Callable[[], list[Coroutine[None, None, None]]]:
        router = Router("schedule")
        router.subscriber(TOPIC)(_take)
        [subscription] = router.subscriptions.values()

        def begin() -> list[Coroutine[None, None, None]]:
            consumer = Consumer(subscription, self.database, ContextRepo())
            client: Any = ScheduledClient(self.turns, self.broker, number)
            consumer.subscriber = SimpleNamespace(consumer=client)  # type: ignore[assignment]
            commits = OffsetCommits(consumer)
            self.positions[number] = self.broker.committed
            return [self._consume(number, consumer, commits), self._commit(commits)]

        return begin

    async def _consume(self, number: int, consumer: Consumer, commits: OffsetCommits) -> None:
        def has_news() -> bool:
            return self.broker.reader == number and self.positions[number] < len(self.broker.log)

        middleware = faststream._ConsumerMiddleware(
            None, context=consumer.context, consumer=consumer, commits=commits
        )

        async def call_next(part: Any) -> Any:
            return await consumer._handler(await part.decode())

        while True:
            await self.turns.gate("fetches", has_news)
            first = self.positions[number]
            last = first + 1 + self.choices.below(len(self.broker.log) - first)
            batch: Any = FetchedBatch([_record(self.broker.log[at], at) for at in range(first, last)])
            try:
                await middleware.consume_scope(call_next, batch)
            except NackMessage:
                continue
            if self.positions[number] == first:  # else another process has read meanwhile
                self.positions[number] = last

    async def _commit(self, commits: OffsetCommits) -> None:
        while True:
            await self.turns.gate("has taken a batch", lambda: bool(commits._taken))
            await commits.commit()

    async def _hear(self) -> None:
        while True:
            last = self.heard[-1] if self.heard else 0
            try:
                rows = await self.database.execute_alone(_FEED, {"portal": PORTAL, "last": last})
            except Exception as error:
                if not is_temporary(error):
                    raise
                continue  # its connection was ended: again
            self.heard += [row.cursor for row in rows]
            await self.news("waits for answers")

    async def is_done(self) -> bool:
        if self.broker.on_their_way or self.written != [VERSIONS] * len(SESSIONS):
            return False
        if self.broker.committed < len(self.broker.log) or len(self.heard) < sum(self.written):
            return False
        async with Database.autocommit(self.database) as tx:
            return not await tx.scalar(_LEFT)

    def state(self) -> list[str]:
        broker = self.broker
        return [
            f"written: {self.written}; on their way: {len(broker.on_their_way)}; heard: {self.heard}",
            f"on the topic: {len(broker.log)}, of them committed: {broker.committed}",
            f"consumer {broker.reader} reads; positions: {self.positions}",
        ]

    async def check(self) -> None:
        wanted = list(range(1, VERSIONS + 1))
        for session_id in SESSIONS:
            key = str(session_id)
            published = [
                SessionOccupancyChanged.model_validate_json(record.value).version
                for record in self.broker.log
                if record.key.decode() == key
            ]
            _same("published", list(dict.fromkeys(published)), wanted)
            _same("the last that was published", published[-1:], wanted[-1:])
            async with Database.autocommit(self.database) as tx:
                effects = await tx.execute(_EFFECTS)
            _same("effects", [row.version for row in effects if row.key == key], wanted)
        _same("answers heard", self.heard, list(range(1, VERSIONS * len(SESSIONS) + 1)))


async def _take(tx: Tx, received: list[Received[SessionOccupancyChanged]]) -> None:
    for each in received:
        await tx.execute(_EFFECT, {"key": str(each.event.session_id), "version": each.event.version})


def _record(record: OutgoingRecord, offset: int) -> Record:
    headers = tuple(record.headers)
    return Record(TOPIC, 0, offset, record.key, record.value, headers, clock.now())


def _same(what: str, found: list[int], wanted: list[int]) -> None:
    if found != wanted:
        raise BrokenSchedule(f"{what}: {found} instead of {wanted}")
