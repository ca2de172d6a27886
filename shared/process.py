"""The life of a service process: connect, consume, relay, run jobs, serve HTTP; stop in order.

A process that cannot do its work says why in one line and ends with a code that is not zero, so that
whoever supervises it starts it again; it never stays alive and useless.
"""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import uvicorn
from aiokafka.errors import KafkaError
from fastapi import FastAPI
from prometheus_client import Counter, Gauge

from shared import migrations
from shared.database import Database, is_temporary
from shared.events.topics import Topic
from shared.http import Probes, add_operations
from shared.messaging import dead_letters, inbox, outbox
from shared.messaging.broker import new_broker
from shared.messaging.consumer import Intake, Subscriptions, router_for
from shared.messaging.projections import Projections
from shared.messaging.reading import Reading
from shared.messaging.relay import Relay
from shared.settings import ServiceSettings

log = logging.getLogger(__name__)

JOB_FAILURES = Counter("parcours_job_failures_total", "Runs of a job that failed.", ["job"])
DEAD_LETTERS = Gauge("parcours_dead_letters", "Records that wait for an operator.")
UNSENT = Gauge("parcours_outbox_unsent", "Events that wait to be published.")
UNSENT_AGE = Gauge("parcours_outbox_oldest_seconds", "Age of the oldest event that waits to be published.")


class CannotRun(Exception):
    """The process cannot start or go on; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Job:
    """What the clock triggers: ``run`` is called, then again after ``every`` seconds, or as soon as it says.

    ``run`` may return the seconds until it wants to be called, when that is sooner.
    """

    name: str
    every: float
    run: Callable[[], Awaitable[float | None]]


Worker = Callable[[asyncio.Event], Awaitable[None]]
"""Something that works until the event is set, and finishes what it has in hand."""


OnRead = Callable[[Topic, Mapping[int, datetime]], Awaitable[None]]
"""Told until when each partition in hand is read: all that came before has had its effect."""


@dataclass
class Process:
    """One service, wired but not yet running. ``app.py`` of each service builds one."""

    name: str
    settings: ServiceSettings
    database: Database
    subscriptions: Subscriptions
    projections: Projections
    revisions: Path
    api: FastAPI
    jobs: Sequence[Job] = ()
    workers: Sequence[Worker] = ()
    on_read: OnRead | None = None
    _intakes: list[Intake] = field(default_factory=list)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _fault: str | None = None

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT. Raises :class:`CannotRun`, ``DatabaseUnreachable``."""
        spare_the_collector()
        listener = _bind(self.settings.http_host, self.settings.port, self.name)
        loop = asyncio.get_running_loop()
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signal_number, self._stopping.set)
        with contextlib.closing(listener):
            async with self._database_ready(), self._relaying(), self._consuming(), self._working():
                await self._serve_http(listener)
        if self._fault is not None:
            raise CannotRun(self._fault)

    # ------------------------------------------------------------------ parts, in the order they start

    @contextlib.asynccontextmanager
    async def _database_ready(self) -> AsyncIterator[None]:
        try:
            await self.database.check()
            lacking = await migrations.missing(self.database, self.revisions)
            if lacking is not None:
                raise CannotRun(f"{lacking}: run 'python -m services.{self.name} migrate' first.")
            yield
        finally:
            await self.database.close()

    @contextlib.asynccontextmanager
    async def _relaying(self) -> AsyncIterator[None]:
        relay = Relay(self.database, self.settings, self.name)
        with self._kafka_errors():
            await relay.start()
        self.database.after_commit = relay.wake
        task = asyncio.create_task(self._guarded("the relay", relay.run()))
        try:
            yield
        finally:
            await relay.stop()
            await task
            await relay.close()

    @contextlib.asynccontextmanager
    async def _consuming(self) -> AsyncIterator[None]:
        router, self._intakes = router_for(self.subscriptions, self.database, self.settings)
        broker = new_broker(self.settings, self.name, [router])
        with self._kafka_errors():
            await broker.start()
        watching = [
            asyncio.create_task(self._guarded("the watchdog", self._watch())),
            asyncio.create_task(self._guarded("the look at what is read", self._follow())),
        ]
        try:
            yield
        finally:
            for intake in self._intakes:
                intake.stopping.set()  # do not sleep through the stop
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
            await broker.stop()

    @contextlib.asynccontextmanager
    async def _working(self) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(self._guarded(job.name, self._repeat(job)))
            for job in (*self.jobs, *self._housekeeping())
        ]
        tasks += [
            asyncio.create_task(self._guarded("a worker", worker(self._stopping))) for worker in self.workers
        ]
        try:
            yield
        finally:
            self._stopping.set()
            await asyncio.gather(*tasks)

    async def _serve_http(self, listener: socket.socket) -> None:
        add_operations(self.api, self.name, Probes(live=lambda: self._fault, ready=self._ready))
        server = _Server(
            uvicorn.Config(
                self.api, lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=5
            )
        )
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        log.info("%s listens on http://%s:%s", self.name, *listener.getsockname()[:2])
        await self._stopping.wait()
        log.info("%s stops", self.name)
        server.should_exit = True
        await serving

    # ------------------------------------------------------------------ what keeps an eye on the parts

    async def _guarded(self, what: str, work: Awaitable[None]) -> None:
        """A part that dies takes the process with it: half a service is worse than a restart."""
        try:
            await work
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("%s failed", what)
            self._fail(f"{what} failed; see the log above")

    def _fail(self, reason: str) -> None:
        self._fault = reason
        self._stopping.set()

    @contextlib.contextmanager
    def _kafka_errors(self) -> Iterator[None]:
        try:
            yield
        except (KafkaError, OSError) as error:
            raise CannotRun(
                f"Kafka at {self.settings.kafka_bootstrap_servers} cannot be used ({error}). "
                "Check that it runs and that KAFKA_BOOTSTRAP_SERVERS is right."
            ) from error

    async def _watch(self) -> None:
        """End the process when a consumer hangs over a batch, or has records before it and takes none."""
        limit = self.settings.stalled_seconds
        while not self._stopping.is_set():
            await _pause(self._stopping, min(5.0, limit / 4))
            for intake in self._intakes:
                if not intake.busy and (intake.consumer is None or await _has_caught_up(intake.consumer)):
                    intake.since = time.monotonic()
                idle = time.monotonic() - intake.since
                if idle > limit:
                    topic = intake.subscription.topic
                    self._fail(f"the consumer of {topic} has made no progress for {idle:.0f} s")

    async def _follow(self) -> None:
        """Tell, each second, until when each partition is read."""
        if self.on_read is None:
            return
        followed = [(intake, Reading()) for intake in self._intakes]
        while not self._stopping.is_set():
            # At once: a broker answers none of a consumer's questions while it has nothing for its fetch.
            await asyncio.gather(*(self._look(self.on_read, *one) for one in followed))
            await _pause(self._stopping, 1.0)

    async def _look(self, on_read: OnRead, intake: Intake, reading: Reading) -> None:
        topic = intake.subscription.topic
        if intake.consumer is None:
            return
        try:
            async with asyncio.timeout(5):
                read = await reading.look(intake.consumer, busy=intake.busy, batches=intake.batches)
            if read:
                await on_read(topic, read)
        except Exception as error:
            if not isinstance(error, KafkaError) and not is_temporary(error):
                raise
            log.warning("How far %s is read cannot be said (%s)", topic, type(error).__name__)

    async def _ready(self) -> str | None:
        if self._stopping.is_set():
            return "stopping"
        try:
            await asyncio.wait_for(self.database.check(), 2)
        except Exception as error:
            if not is_temporary(error):
                raise
            return "the database does not answer"
        return self._fault

    async def _repeat(self, job: Job) -> None:
        while not self._stopping.is_set():
            wanted: float | None = None
            try:
                wanted = await job.run()
            except Exception as error:
                JOB_FAILURES.labels(job.name).inc()
                if is_temporary(error):
                    log.warning("The job %s failed (%s) and is tried again", job.name, type(error).__name__)
                else:
                    log.exception("The job %s failed and is tried again", job.name)
            await _pause(self._stopping, job.every if wanted is None else min(wanted, job.every))

    def _housekeeping(self) -> tuple[Job, ...]:
        async def purge() -> None:
            async with self.database.quiet_transaction() as tx:
                await inbox.purge(tx)
                await outbox.purge(tx)

        async def measure() -> None:
            async with self.database.quiet_transaction() as tx:
                waiting, age = await outbox.unsent(tx)
                DEAD_LETTERS.set(await dead_letters.count_parked(tx))
            UNSENT.set(waiting)
            UNSENT_AGE.set(age)

        return Job("purge", 3600, purge), Job("measure", 10, measure)


def spare_the_collector() -> None:
    """Let the cyclic garbage collector look rarely, and never at what lives as long as the process.

    A batch makes tens of thousands of objects and no cycles worth finding: 15 % more decisions a second.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


class _Server(uvicorn.Server):
    """uvicorn, without its own ideas about signals: the process stops its parts in order itself."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _bind(host: str, port: int, name: str) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or error
        raise CannotRun(
            f"Port {port} on {host} cannot be used ({reason}). "
            f"Stop what uses it, or set {name.upper()}_PORT to another."
        ) from error
    return listener


async def _has_caught_up(consumer: Any) -> bool:
    """Whether the consumer has taken all that the broker has for it; yes, too, where the broker does not say.

    Asked of the broker: what the consumer knows of it stands still when the consumer does.
    """
    partitions = consumer.assignment()
    try:
        async with asyncio.timeout(5):
            ends = await consumer.end_offsets(partitions)  # of what is committed, for read_committed
    except (KafkaError, TimeoutError):
        return True  # the broker is away, and no restart of ours would bring it back
    try:
        async with asyncio.timeout(5):
            return all([await consumer.position(p) >= end for p, end in ends.items()])
    except (KafkaError, TimeoutError):
        return False  # it has lost its place


async def _pause(until: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(until.wait(), max(seconds, 0))
