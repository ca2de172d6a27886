"""Plays relay, outbox, consumer and inbox on Postgres, in an order that a seed draws.

The code is that of the product, the broker is in this process. The seed also draws crashes, lost connections,
lost answers and rebalances. A schedule that breaks a promise is played again from its choices, and shortened.
"""

import asyncio
import logging
import math
import zlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from operator import itemgetter
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
from shared.database import Database, Transaction
from shared.events.cloudevents import Received, Record
from shared.events.enrolment import SessionOccupancyChanged
from shared.messaging import faststream, relay
from shared.messaging.broker import KafkaSettings
from shared.messaging.consumer import Consumer
from shared.messaging.offsets import OffsetCommits
from shared.messaging.outbox import BUCKETS, Outbox
from shared.messaging.producer import OutgoingRecord, Producer
from shared.messaging.relay import Relay
from shared.messaging.router import Router, Tx
from tests.proof.turns import (
    COMMIT,
    FAULT,
    Act,
    Actor,
    BrokenSchedule,
    Choices,
    ScheduleStep,
    Turns,
    actor_now,
)

SESSIONS = (UUID(int=1), UUID(int=2))
VERSIONS = 3
MOST_FAULTS = 3
TOPIC = SessionOccupancyChanged.TOPIC
PORTAL = "nord"
SHRINKS = 12

_PREPARE = (
    "CREATE TABLE IF NOT EXISTS effect (id bigint generated always as identity, key text, version int);"
    "DELETE FROM effect; DELETE FROM outbox; DELETE FROM inbox; DELETE FROM outbox_bucket;"
    "DELETE FROM outbox_producer; DELETE FROM portal_feed; DELETE FROM dead_letter"
)
_EFFECT = text("INSERT INTO effect (key, version) VALUES (:key, :version)")
_EFFECTS = text("SELECT key, version FROM effect ORDER BY id")
_ANSWER = text(
    "INSERT INTO outbox (bucket, key, event_id, type, source, data, portal) "
    "VALUES (:bucket, :key, gen_random_uuid(), 'fr.cnfpt.test.Answer.v1', '/services/test', '{}', :portal)"
)
_FEED = text("SELECT cursor FROM outbox WHERE portal = :portal AND cursor > :last ORDER BY cursor")
_LEFT = text("SELECT count(*) FROM outbox WHERE sent_at IS NULL")
_BLOCKED = text(
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'schedule' AND wait_event_type = 'Lock'"
)
_END = text("SELECT pg_terminate_backend(pid) FROM unnest(CAST(:pids AS integer[])) AS pid")


class ScheduledDatabase(Database):
    """Each statement and each commit waits for its turn."""

    turns: Turns | None = None

    def __init__(self, url: str) -> None:
        super().__init__(url, application_name="schedule", pool_size=16)
        self.pids: list[tuple[str, int]] = []
        self.ended = 0
        """How many transactions have ended: before the next one there is nothing new to be found."""

    @asynccontextmanager
    async def autocommit(self) -> AsyncIterator[Transaction]:
        async with super().autocommit() as tx:
            of_actor, fetch = (actor_now(), tx.driver.get_server_pid()), tx._fetch
            self.pids.append(of_actor)

            async def fetch_in_turn(statement: Any, params: Any) -> Any:
                await self._gate(" ".join(statement.text.split())[:40])
                return await fetch(statement, params)

            with mock.patch.object(tx, "_fetch", fetch_in_turn):
                try:
                    yield tx
                finally:
                    self.pids.remove(of_actor)

    @asynccontextmanager
    async def quiet_transaction(self, *, plan_once: bool = False) -> AsyncIterator[Transaction]:
        try:
            async with super().quiet_transaction(plan_once=plan_once) as tx:
                yield tx
                await self._gate(COMMIT)
        finally:
            self.ended += 1

    async def _gate(self, name: str) -> None:
        if self.turns is not None:
            await self.turns.gate(name)


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
        return [
            ScheduleStep("FAULT", f"no answer comes to {sent.producer}", self._loss(sent))
            for sent in waiting[:1]
        ]

    def _arrival(self, sent: OnItsWay) -> Callable[[], Coroutine[None, None, None]]:
        async def arrive() -> None:
            self.on_their_way.remove(sent)
            if sent.producer in self.fenced:
                sent.answer = sent.answer or ProducerFenced()
            else:
                self.log.append(sent.record)
                sent.answer = sent.answer or True

        return arrive

    def _loss(self, sent: OnItsWay) -> Callable[[], Coroutine[None, None, None]]:
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


class ScheduledSystem:
    """Two writers, two relays, two consumers of a group, and a portal that reads its feed."""

    def __init__(self, database: ScheduledDatabase, choices: Choices) -> None:
        self.database = database
        self.broker = InProcessBroker()
        self.choices = choices
        self.turns = Turns(choices, self.broker.arrivals, self._faults, self._blocked, MOST_FAULTS)
        self.heard: list[int] = []
        self.looked: dict[asyncio.Task[Any] | None, int] = {}
        self.written = [0] * len(SESSIONS)
        self.positions = [0, 0]
        self.writers = [Actor(f"writer {number}", self._writer(number)) for number in range(len(SESSIONS))]
        self.relays = [Actor(f"relay {number}", self._relay) for number in range(2)]
        self.consumers = [Actor(f"consumer {number}", self._consumer(number)) for number in range(2)]
        self.portal = Actor("portal", lambda: [self._hear()])

    async def play(self) -> None:
        async with self.database.quiet_transaction() as tx:
            await tx.driver.execute(_PREPARE)
        self.database.turns = self.turns
        actors = [*self.writers, *self.relays, *self.consumers, self.portal]
        with self._patched():
            for actor in actors:
                self.turns.start(actor)
            try:
                await self.turns.play(self._is_done)
            finally:
                for actor in actors:
                    await self.turns.crash(actor)
                self.database.turns = None
        await self._check()

    @contextmanager
    def _patched(self) -> Iterator[None]:
        async def connected(*_: object) -> ScheduledProducer:
            await self.turns.gate("connects")
            return ScheduledProducer(self.turns, self.broker)

        async def pause(*_: object) -> None:
            await self._news("waits")

        with (
            mock.patch.object(Producer, "connected", connected),
            mock.patch.object(clock, "pause", pause),
            mock.patch.object(relay, "TOPICS_SECONDS", math.inf),  # no step may depend on the time
        ):
            yield

    def _faults(self) -> list[ScheduleStep]:
        actors = (*self.relays, *self.consumers)
        pids = sorted(self.database.pids, key=itemgetter(0))
        return [
            *(_fault(f"{actor.name} is killed", self._crash(actor)) for actor in actors),
            *(_fault(f"Postgres ends a connection of {name}", self._end(pid)) for name, pid in pids),
            *self.broker.losses(),
            _fault("the other consumer gets the partition", self._rebalance),
        ]

    def _crash(self, actor: Actor) -> Callable[[], Coroutine[None, None, None]]:
        async def crash() -> None:
            await self.turns.crash(actor)
            self.turns.start(actor)

        return crash

    def _end(self, pid: int) -> Callable[[], Coroutine[None, None, None]]:
        async def end() -> None:
            async with Database.autocommit(self.database) as tx:
                await tx.execute(_END, {"pids": [pid]})

        return end

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
                except Exception:  # noqa: BLE001, S112 its connection was ended: again
                    continue
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

    async def _news(self, name: str) -> None:
        """Wait until a transaction has ended since the task last looked."""
        task = asyncio.current_task()
        seen = self.looked.get(task)
        await self.turns.gate(name, lambda: self.database.ended != seen)
        self.looked[task] = self.database.ended

    async def _hear(self) -> None:
        while True:
            last = self.heard[-1] if self.heard else 0
            try:
                rows = await self.database.execute_alone(_FEED, {"portal": PORTAL, "last": last})
            except Exception:  # noqa: BLE001, S112 its connection was ended: again
                continue
            self.heard += [row.cursor for row in rows]
            await self._news("waits for answers")

    async def _blocked(self) -> int:
        async with Database.autocommit(self.database) as tx:
            return int(await tx.scalar(_BLOCKED))

    async def _is_done(self) -> bool:
        if self.broker.on_their_way or self.written != [VERSIONS] * len(SESSIONS):
            return False
        if self.broker.committed < len(self.broker.log) or len(self.heard) < sum(self.written):
            return False
        async with Database.autocommit(self.database) as tx:
            return not await tx.scalar(_LEFT)

    async def _check(self) -> None:
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
            async with self.database.quiet_transaction() as tx:
                effects = await tx.execute(_EFFECTS)
            _same("effects", [row.version for row in effects if row.key == key], wanted)
        _same("answers heard", self.heard, list(range(1, VERSIONS * len(SESSIONS) + 1)))


def _fault(name: str, act: Act) -> ScheduleStep:
    return ScheduleStep(FAULT, name, act)


async def _take(tx: Tx, received: list[Received[SessionOccupancyChanged]]) -> None:
    for each in received:
        await tx.execute(_EFFECT, {"key": str(each.event.session_id), "version": each.event.version})


def _record(record: OutgoingRecord, offset: int) -> Record:
    headers = tuple(record.headers)
    return Record(TOPIC, 0, offset, record.key, record.value, headers, clock.now())


def _same(what: str, found: list[int], wanted: list[int]) -> None:
    if found != wanted:
        raise BrokenSchedule(f"{what}: {found} instead of {wanted}")


@dataclass(frozen=True)
class FoundSchedule:
    """A schedule that breaks a promise, with the choices that lead to it."""

    seed: int
    broken: str
    choices: list[int]
    trace: list[str]

    def __str__(self) -> str:
        return "\n".join([f"Seed {self.seed}: {self.broken}", *(f"  {step}" for step in self.trace)])


async def play(database: ScheduledDatabase, seed: int, given: Sequence[int] = ()) -> FoundSchedule | None:
    """Play the schedule that begins with the given choices. Returns it if it breaks a promise."""
    choices = Choices(seed, given)
    world = ScheduledSystem(database, choices)
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        await world.play()
    except BrokenSchedule as error:
        return FoundSchedule(seed, str(error), choices.taken, world.turns.trace)
    finally:
        logging.disable(before)
    return None


async def shrunk(database: ScheduledDatabase, found: FoundSchedule) -> FoundSchedule:
    """Leave out choices as long as a shorter schedule breaks the same promise."""
    tries, size = 0, len(found.choices) // 2
    while size and tries < SHRINKS:
        for start in range(0, len(found.choices), size):
            shorter = found.choices[:start] + found.choices[start + size :]
            tries += 1
            again = await play(database, found.seed, shorter)
            if again is not None and again.broken == found.broken and len(again.trace) < len(found.trace):
                found = again
                break
        else:
            size //= 2
    return found
