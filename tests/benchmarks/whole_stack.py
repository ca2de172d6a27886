"""The whole stack with Apache Kafka, a durable Postgres and the local mailbox, as an operator would run it.

At rest; at a steady 50 and 200 requests a second; then 40,000 requests that lie in Kafka when it begins. Half
of them get a seat, half a place in line. They end when every answer is published, and every mail is sent and
reported. At last 200 requests a second beside the mails of 40,000 others.

CPU time is read from `/proc`, latency from the timestamps of portal's and decision's records.
"""

import asyncio
import contextlib
import os
import signal
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import asyncpg
import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition

from local.children import cpu_seconds
from local.folder import remove_data
from local.postgres import PostgresServer
from local.services import SERVICES
from local.stack import Stack, StackOptions
from services.enrolment import personal_data as enrolment
from services.enrolment.settings import Settings as EnrolmentSettings
from services.notifier import personal_data as notifier
from services.notifier.settings import Settings as NotifierSettings
from shared.database import Database
from shared.events.catalogue import SessionScheduled, SessionState
from shared.events.portal import EnrolmentRequested
from shared.events.topics import TOPICS, Topic
from shared.events.vocabulary import Agent
from shared.personal_data import Register
from shared.process.jobs import end_old_rows
from shared.settings import ServiceSettings
from tests.benchmarks import growth
from tests.benchmarks.servers import LoadMessage, NotMeasured
from tests.support.builders import an_agent, as_json, enrolment_request, headers, open_now
from tests.support.kafka import KafkaPortal

REQUESTS = 40_000
SESSIONS = 200
SEATS = REQUESTS // SESSIONS // 2
RATES = (50, 200)
SECONDS = 10
DOMAINS = 500
WORK_SECONDS = 300.0
DATABASES = ("parcours_enrolment", "parcours_notifier")
PARTS = ("catalogue", "enrolment", "notifier", "postgres", "kafka", "mailbox")
STATEMENTS = 0
"""How many of the dearest statements and of the largest relations of each database are printed."""
COPIES = 0
"""How often the rows of a first backlog are copied before the rest is measured."""
OLD_COPIES = 0
"""How often they are copied at last, ten years older: answers are measured while retention deletes them."""

Parts = Mapping[str, float]
"""CPU seconds by part of the stack."""


async def run(*, on_kafka: bool = True) -> dict[str, float]:
    """CPU seconds by part, answers per second, milliseconds to the answer, and bytes kept for a request."""
    with TemporaryDirectory(prefix="parcours-bench-") as folder:
        if STATEMENTS:
            with PostgresServer(Path(folder) / "postgres").start() as postgres:
                postgres.execute("ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'")
                postgres.execute("ALTER SYSTEM SET pg_stat_statements.track_planning = on")
        options = StackOptions(
            broker="kafka" if on_kafka else "embedded",
            directory=Path(folder),
            environment={**os.environ, "LOG_LEVEL": "WARNING"},
        )
        stack = Stack(options, say=lambda line: print(line, file=sys.stderr))
        await asyncio.to_thread(stack.start)
        try:
            async with KafkaPortal(stack.kafka) as portal, _published(stack.kafka) as published:
                return await StackLoad(stack, portal, published).measure()
        finally:
            await asyncio.to_thread(stack.stop)
            remove_data(stack.directory)


class PublishedEvents:
    """Reads the decisions and the reports on mails that the stack publishes."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self.decided: list[tuple[str, int]] = []
        self.mails = 0

    async def read(self) -> None:
        for partition, records in (await self._consumer.getmany(timeout_ms=20)).items():
            if partition.topic == Topic.NOTIFIER_DELIVERIES:
                self.mails += len(records)
            else:
                self.decided += [(record.key.decode(), record.timestamp) for record in records]


@contextlib.asynccontextmanager
async def _published(kafka: str) -> AsyncIterator[PublishedEvents]:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        topics = Topic.ENROLMENT_DECISIONS, Topic.NOTIFIER_DELIVERIES
        consumer.assign(
            [TopicPartition(topic, number) for topic in topics for number in range(TOPICS[topic].partitions)]
        )
        yield PublishedEvents(consumer)
    finally:
        await consumer.stop()


class StackLoad:
    def __init__(self, stack: Stack, portal: KafkaPortal, published: PublishedEvents) -> None:
        self._stack = stack
        self._portal = portal
        self._published = published
        self._requests = 0

    async def measure(self) -> dict[str, float]:
        sessions = [open_now(capacity=SEATS, waiting_list="offer") for _ in range(SESSIONS)]
        await self._portal.send(Topic.CATALOGUE_SESSIONS, [_scheduled(session) for session in sessions])
        await self._at_rate(50, 3, sessions)
        if COPIES:
            await self._backlog(sessions)
            await self._multiply(COPIES)
        figures = await self._at_rest()
        for rate in RATES:
            figures |= await self._at_rate(rate, SECONDS, sessions)
        figures |= await self._backlog(sessions) | await self._beside_mails(sessions)
        return figures | await self._beside_retention(sessions) if OLD_COPIES else figures

    async def _at_rest(self) -> dict[str, float]:
        await self._sessions_are_announced()
        used, seconds = await self._used(asyncio.sleep(SECONDS))
        figures = {f"percent_of_a_core_idle_{part}": spent / seconds * 100 for part, spent in used.items()}
        memory = {
            f"megabytes_{service}": sum(psutil.Process(pid).memory_info().rss for pid in pids) / 1e6
            for service, pids in self._stack.pids().items()
            if service in SERVICES
        }
        return figures | memory

    async def _sessions_are_announced(self) -> None:
        """The notifier is not at rest while it looks for the subscribers of new sessions."""
        open_ = "SELECT count(*) FROM fan_out WHERE begun_at IS NOT NULL AND done_at IS NULL"
        async with asyncio.timeout(WORK_SECONDS), self._database("parcours_notifier") as database:
            while await database.fetchval(open_):  # noqa: ASYNC110 another process ends them
                await asyncio.sleep(1)

    async def _at_rate(self, rate: int, seconds: int, sessions: Sequence[SessionState]) -> dict[str, float]:
        """Cores used, and milliseconds from a portal's record to its decision's record."""
        mails = self._published.mails
        answered: list[int] = []

        async def send() -> None:
            answered.extend(await self._milliseconds_to_answers(rate, seconds, sessions))

        used, took = await self._used(send())
        await self._until(lambda: self._published.mails >= mails + len(answered))
        return {
            **_percentiles(f"answered_at_{rate}", answered),
            **{f"percent_of_a_core_at_{rate}_{part}": spent / took * 100 for part, spent in used.items()},
        }

    async def _milliseconds_to_answers(
        self, rate: int, seconds: int, sessions: Sequence[SessionState]
    ) -> list[int]:
        sent_at: dict[str, int] = {}
        first, begun = len(self._published.decided), time.monotonic()
        for number in range(rate * seconds):
            await asyncio.sleep(max(0.0, begun + number / rate - time.monotonic()))
            agent = self._new_agent()
            sent_at[agent.agent_id] = int(time.time() * 1_000)
            request = _request(sessions[number % len(sessions)], agent)
            await self._portal.send_soon(Topic.PORTAL_ENROLMENTS, request)
        waiting = set(sent_at)
        seen = first

        def all_are_answered() -> bool:
            nonlocal seen
            waiting.difference_update(agent for agent, _ in self._published.decided[seen:])
            seen = len(self._published.decided)
            return not waiting

        await self._until(all_are_answered)
        return [at - sent_at[agent] for agent, at in self._published.decided[first:] if agent in sent_at]

    async def _backlog(self, sessions: Sequence[SessionState]) -> dict[str, float]:
        kept = await self._bytes()
        decided, mails = len(self._published.decided), self._published.mails
        await self._forget_statements()
        answered = 0.0

        async def settle() -> None:
            nonlocal answered
            await self._until(lambda: len(self._published.decided) >= decided + REQUESTS)
            answered = time.monotonic() - begun
            await self._until(lambda: self._published.mails >= mails + REQUESTS)

        with _stopped(self._stack.pids()["enrolment"]):
            await self._send(REQUESTS, sessions)
        begun = time.monotonic()
        used, took = await self._used(settle())
        await self._print_ledger()
        return {
            "answers_per_second": REQUESTS / answered,
            "answers_per_second_with_mails": REQUESTS / took,
            "bytes_per_request": (await self._bytes() - kept) / REQUESTS,
            **{f"microseconds_per_request_{part}": spent / REQUESTS * 1e6 for part, spent in used.items()},
        }

    async def _beside_mails(self, sessions: Sequence[SessionState]) -> dict[str, float]:
        """Milliseconds to an answer while the mails of a backlog are sent."""
        decided, mails = len(self._published.decided), self._published.mails
        await self._send(REQUESTS, sessions)
        await self._until(lambda: len(self._published.decided) >= decided + REQUESTS)
        answered = await self._milliseconds_to_answers(RATES[-1], SECONDS, sessions)
        if self._published.mails >= mails + REQUESTS:
            raise NotMeasured("the mails were sent before the last answer: raise REQUESTS")
        return _percentiles(f"answered_at_{RATES[-1]}_beside_mails", answered)

    async def _beside_retention(self, sessions: Sequence[SessionState]) -> dict[str, float]:
        """Milliseconds to an answer beside the deletion of old rows in both databases, and autovacuum."""
        await self._until(lambda: self._published.mails >= self._requests)
        await self._multiply(OLD_COPIES, years_older=10)
        deleting = asyncio.gather(
            self._delete_old(DATABASES[0], enrolment.REGISTER, EnrolmentSettings),
            self._delete_old(DATABASES[1], notifier.REGISTER, NotifierSettings),
        )
        answered = await self._milliseconds_to_answers(RATES[-1], SECONDS, sessions)
        if not deleting.cancel():
            raise NotMeasured("retention ended before the last answer: raise OLD_COPIES")
        with contextlib.suppress(asyncio.CancelledError):
            await deleting
        return _percentiles(f"answered_at_{RATES[-1]}_beside_retention", answered)

    async def _delete_old(self, name: str, register: Register, settings: type[ServiceSettings]) -> None:
        """What the job does each hour."""
        defaults = {field: info.default for field, info in settings.model_fields.items()}
        database = Database(self._stack.postgres.url(name), application_name="retention")
        try:
            while (rest := await end_old_rows(database, register, SimpleNamespace(**defaults))) is not None:  # noqa: ASYNC110 it is the rest
                await asyncio.sleep(rest)
        finally:
            await database.close()

    async def _send(self, number: int, sessions: Sequence[SessionState]) -> None:
        agents = [self._new_agent() for _ in range(number)]
        requests = [_request(sessions[at % len(sessions)], agent) for at, agent in enumerate(agents)]
        await self._portal.send(Topic.PORTAL_ENROLMENTS, requests)

    def _new_agent(self) -> Agent:
        self._requests += 1
        number = self._requests
        return an_agent(f"a-{number}", email=f"a-{number}@ville-{number % DOMAINS}.example")

    async def _used(self, work: Awaitable[None]) -> tuple[Parts, float]:
        """Return the CPU seconds of each part and of all parts during the work, and how long it took."""
        before, begun = self._spent(), time.monotonic()
        await work
        used = {part: spent - before[part] for part, spent in self._spent().items()}
        return used | {"all": sum(used.values())}, time.monotonic() - begun

    def _spent(self) -> Parts:
        return {
            part: sum(map(cpu_seconds, pids)) for part, pids in self._stack.pids().items() if part != "portal"
        }

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(WORK_SECONDS):
            while not condition():
                await self._published.read()

    async def _bytes(self) -> int:
        """Return the size of both databases, without what a vacuum frees."""
        size = 0
        for name in DATABASES:
            async with self._database(name) as database:
                await database.execute("VACUUM")
                size += await database.fetchval("SELECT pg_database_size(current_database())")
        return size

    @contextlib.asynccontextmanager
    async def _database(self, name: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        connection = await asyncpg.connect(self._stack.postgres.url(name))
        try:
            yield connection
        finally:
            await connection.close()

    async def _multiply(self, copies: int, *, years_older: int = 0) -> None:
        for name in DATABASES:
            async with self._database(name) as database:
                await growth.multiply(database, copies, years_older=years_older)

    async def _forget_statements(self) -> None:
        if STATEMENTS:
            async with self._database(DATABASES[0]) as database:
                await database.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
                await database.execute("SELECT pg_stat_statements_reset()")

    async def _print_ledger(self) -> None:
        """Print the dearest statements and the largest tables and indexes, for each request."""
        if not STATEMENTS:
            return
        async with self._database(DATABASES[0]) as database:
            rows = await database.fetch(_LEDGER, [*DATABASES], STATEMENTS)
        for row in rows:
            print(
                f"{row['datname']:18} {row['ms'] * 1_000 / REQUESTS:6.1f} µs, "
                f"{row['planning'] * 1_000 / REQUESTS:6.1f} planning {row['calls']:7} calls "
                f"{row['rows']:8} rows {row['wal'] / REQUESTS:6.0f} bytes of WAL  "
                + " ".join(row["query"].split())[:100],
                file=sys.stderr,
            )
        for name in DATABASES:
            async with self._database(name) as database:
                await database.execute("VACUUM")
                for row in await database.fetch(_SIZES, STATEMENTS):
                    print(
                        f"{name:18} {row['size'] / self._requests:6.0f} bytes {row['name']}", file=sys.stderr
                    )


_SIZES = """
    SELECT relname AS name, pg_relation_size(oid) AS size FROM pg_class
     WHERE relkind IN ('r', 'i', 't') AND relnamespace = 'public'::regnamespace ORDER BY size DESC LIMIT $1"""
_LEDGER = """
    SELECT * FROM (
           SELECT datname, query, calls, rows, total_exec_time AS ms, total_plan_time AS planning,
                  wal_bytes AS wal, row_number() OVER (
                  PARTITION BY datname ORDER BY total_exec_time + total_plan_time DESC) AS place
             FROM pg_stat_statements JOIN pg_database ON pg_database.oid = dbid
            WHERE datname = ANY($1)) AS ordered
     WHERE place <= $2 ORDER BY datname, place"""


def _percentiles(name: str, milliseconds: Sequence[int]) -> dict[str, float]:
    percentiles = statistics.quantiles(milliseconds, n=100)
    return {f"{name}_p50_milliseconds": percentiles[49], f"{name}_p99_milliseconds": percentiles[98]}


@contextlib.contextmanager
def _stopped(pids: Sequence[int]) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _scheduled(session: SessionState) -> LoadMessage:
    content = session.model_dump_json().encode()
    return str(session.session_id), headers(SessionScheduled.TYPE, source="/services/catalogue"), content


def _request(session: SessionState, agent: Agent) -> LoadMessage:
    session_id = str(session.session_id)
    return session_id, headers(EnrolmentRequested.TYPE), as_json(enrolment_request(session_id, agent))
