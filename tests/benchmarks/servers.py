"""What measured programs run on: a durable Postgres, a broker, and Postfix's smtp-sink."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from local.children import Child
from local.kafka import KafkaBroker
from local.ports import LOOPBACK, free_port
from local.postgres import PostgresServer
from local.readiness import wait_until
from local.tansu import TansuBroker
from shared.messaging import topics
from shared.messaging.portals import registry
from tests.support.kafka import RecordHeaders
from tests.support.lacking import CHROMIUM

HERE = Path(__file__).parents[2]
START_SECONDS = 60.0
WORK_SECONDS = 180.0
LoadMessage = tuple[str, RecordHeaders, bytes]
"""A record to publish: key, headers, value."""
LOOK_SECONDS = 0.03
"""How often progress is looked at: seldom enough to cost the measured programs nothing."""


class NotMeasured(Exception):
    """A program did not do its work; the message says which and ends with its log."""


@dataclass(frozen=True, slots=True)
class Checkout:
    """A version of the project, in a folder: its services and its benchmarks are run there."""

    directory: Path = HERE

    def has_benchmark(self, part: str) -> bool:
        """Say whether this version knows the part; an older one may not."""
        return (self.directory / "tests" / "benchmarks" / f"{part}.py").exists()

    def command(self, program: str, *arguments: str) -> list[str]:
        """Python with a module, or with a file; with the libraries of that version, where it has its own."""
        own = self.directory / ".venv" / "bin" / "python"
        python = str(own) if own.exists() else sys.executable
        return [python, *(["-m"] if not program.endswith(".py") else []), program, *arguments]

    def environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        """Our own without the settings of a stack that may run beside, its code first in the path."""
        ours = (
            "KAFKA_",
            "SMTP_",
            "CATALOGUE_",
            "ENROLMENT_",
            "NOTIFIER_",
            "API_TOKENS_FILE",
            "PORTALS_FILE",
            "PUBLIC_",
        )
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return {**inherited, "PYTHONPATH": str(self.directory), **settings}

    def run(self, *arguments: str, settings: Mapping[str, str]) -> str:
        """Run a module, or a file, to its end and return what it printed."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.directory,
            env=self.environment(settings),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise NotMeasured(f"{' '.join(arguments)} in {self.directory} failed:\n{done.stderr[-3000:]}")
        return done.stdout

    @contextlib.contextmanager
    def running(self, *arguments: str, settings: Mapping[str, str]) -> Iterator[Child]:
        """Run a module beside us; it is stopped at the end."""
        with TemporaryDirectory(prefix="parcours-bench-") as logs:
            child = Child.start(
                " ".join(arguments),
                self.command(*arguments),
                log_file=Path(logs) / "log",
                env=self.environment(settings),
                cwd=self.directory,
            )
            try:
                yield child
            finally:
                child.stop()


@dataclass
class BenchmarkServers:
    """The servers of a whole run. Each measurement has a database and topics of its own."""

    postgres: PostgresServer
    broker: KafkaBroker | TansuBroker
    _templates: dict[tuple[str, ...], str] = field(default_factory=dict)

    @classmethod
    @contextlib.contextmanager
    def start(cls, broker: str) -> Iterator["BenchmarkServers"]:
        """``broker``: ``kafka`` or ``embedded``."""
        with (
            PostgresServer.temporary(durable=True) as postgres,
            KafkaBroker.temporary() if broker == "kafka" else TansuBroker.temporary() as started,
        ):
            yield cls(postgres, started)

    @property
    def kafka(self) -> str:
        return self.broker.bootstrap_servers

    def fresh_database(self, checkout: Checkout, variable: str, *migrate: str) -> str:
        """The URL of an empty database whose tables ``python -m …`` makes, told by ``variable`` where."""
        program = (str(checkout.directory), *migrate)
        if program not in self._templates:
            name = f"template_{len(self._templates)}"
            settings = settings_of("enrolment", "notifier", kafka=self.kafka)
            checkout.run(*migrate, settings=settings | {variable: self.postgres.create_database(name)})
            self._templates[program] = name
        template = self._templates[program]
        return self.postgres.fresh_database(owner=template, template=template)

    async def renew_topics(self) -> None:
        """Empty topics, and no consumer group."""
        if isinstance(self.broker, TansuBroker):
            await asyncio.to_thread(self.broker.restart)
        else:
            await self._delete_topics()
        await self._create_topics()

    async def _delete_topics(self) -> None:
        async with _admin(self.kafka) as admin:
            ours = [topic for topic in await admin.list_topics() if topic in _TOPICS]
            if ours:
                await admin.delete_topics(ours)
            await until(lambda: _none_of(ours, admin), "the topics' end")

    async def _create_topics(self) -> None:
        """Create them as the contract says."""
        async with _admin(self.kafka) as admin:
            await admin.create_topics(
                [
                    NewTopic(name, topic.partitions, 1, topic_configs=topic.broker_config)
                    for name, topic in _TOPICS.items()
                ]
            )


_TOPICS = topics.names(registry.read(None, trial=True))
"""The topics of a trial."""


async def _none_of(topics: Sequence[str], admin: AIOKafkaAdminClient) -> bool:
    return not set(topics) & set(await admin.list_topics())


def settings_of(*services: str, kafka: str, smtp_port: int = 1) -> dict[str, str]:
    """The settings of these services, their databases aside, as small as they get."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": kafka,
        "PARCOURS_TRIAL": "1",
        **{f"{service.upper()}_PORT": str(free_port()) for service in services},
        "SMTP_HOST": LOOPBACK,
        "SMTP_PORT": str(smtp_port),
        "SMTP_TLS": "none",
        "SMTP_SENDER": "Parcours <ne-pas-repondre@parcours.example>",
        "PUBLIC_BASE_URL": "https://parcours.example",
        "LINK_SIGNING_KEY": "a key of thirty-two characters for tests only",
        "LOG_LEVEL": "WARNING",
    }


# ---------------------------------------------------------------------------------------------- progress


@contextlib.asynccontextmanager
async def _admin(kafka: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


@contextlib.asynccontextmanager
async def rows_in(url: str, table: str) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    """How many rows a table has: a consumer commits its offsets too rarely to measure by them."""
    connection = await asyncpg.connect(url)
    try:

        async def count() -> int:
            return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))

        yield count
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def records_in(kafka: str, *topics: str) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    """How many records these topics hold. Read, since the embedded broker's end offsets lag a batch."""
    partitions = [
        TopicPartition(topic, number) for topic in topics for number in range(_TOPICS[topic].partitions)
    ]
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, auto_offset_reset="earliest")
    await consumer.start()
    count = 0
    try:
        consumer.assign(partitions)

        async def held() -> int:
            nonlocal count
            count += sum(map(len, (await consumer.getmany(timeout_ms=1)).values()))
            return count

        yield held
    finally:
        await consumer.stop()


@dataclass(frozen=True, slots=True)
class Sink:
    """Postfix's smtp-sink, which takes every mail and counts it into a file."""

    port: int
    counters: Path

    async def taken(self) -> int:
        """How many mails it has taken."""
        with self.counters.open("rb") as file:
            file.seek(max(0, self.counters.stat().st_size - 200))
            found = re.findall(rb"mesg=(\d+)\r", file.read())
        return int(found[-1]) if found else 0


@contextlib.contextmanager
def smtp_sink() -> Iterator[Sink]:
    """Run one."""
    program = sink_program()
    if program is None:
        raise NotMeasured("smtp-sink is missing (Debian's postfix)")
    with TemporaryDirectory(prefix="parcours-sink-") as directory:
        sink = Sink(free_port(), Path(directory) / "counters")
        account = ["-u", "nobody"] if os.geteuid() == 0 else []
        command = [program, "-c", *account, f"{LOOPBACK}:{sink.port}", "1024"]
        child = Child.start("smtp-sink", command, log_file=sink.counters)
        try:
            wait_until(lambda: child.listens_on(sink.port), seconds=10, what="smtp-sink", child=child)
            yield sink
        finally:
            child.stop()


def sink_program() -> str | None:
    """Where smtp-sink is, if it is."""
    return shutil.which("smtp-sink", path=f"{os.environ['PATH']}:/usr/sbin")


def chromium_program() -> str | None:
    """Where Chromium is, if it is."""
    return next(filter(None, map(shutil.which, CHROMIUM)), None)


@dataclass(frozen=True, slots=True)
class Seen:
    """A count, and when it was seen, in seconds."""

    at: float
    count: int


async def rate(count: Callable[[], Awaitable[int]], work: range, program: Child) -> float:
    """How many a second, from the first progress that is seen beyond the start of ``work`` to its end."""
    first = await progress(count, work.start + 1, program)
    last = await progress(count, work.stop, program)
    return (last.count - first.count) / (last.at - first.at)


async def progress(count: Callable[[], Awaitable[int]], wanted: int, program: Child) -> Seen:
    """Wait until a count reaches ``wanted``."""
    deadline = time.perf_counter() + WORK_SECONDS
    while (reached := await count()) < wanted:
        if not program.running() or time.perf_counter() > deadline:
            raise NotMeasured(f"{program.name} did {reached} of {wanted}:\n{program.last_lines(40)}")
        await asyncio.sleep(LOOK_SECONDS)
    return Seen(time.perf_counter(), reached)


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Return when a condition holds."""
    async with asyncio.timeout(START_SECONDS):
        while not await condition():  # noqa: ASYNC110 a broker has no event for it
            await asyncio.sleep(LOOK_SECONDS)


@contextlib.contextmanager
def held_still(program: Child) -> Iterator[None]:
    """Stop a program where it stands; it goes on afterwards as if nothing had been."""
    program.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        program.process.send_signal(signal.SIGCONT)
