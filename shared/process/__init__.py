"""The life of a service process: connect, relay, consume, run jobs, serve HTTP; stop in the opposite order.

A process that cannot do its work logs why and ends with an exit code that is not zero, so that its supervisor
starts it again.
"""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka.errors import KafkaError
from fastapi import FastAPI
from faststream import ContextRepo

from shared import revisions, tracing
from shared.auth import Tokens
from shared.database import Database, is_temporary
from shared.events.topics import Topic
from shared.failures import OperatorError
from shared.garbage import tune_gc
from shared.http import Probes, add_asyncapi, add_operations, operations_api
from shared.messaging import asyncapi, cluster, erasure, faststream, progress
from shared.messaging.cluster import Ours
from shared.messaging.consumer import Admit, Consumer, count_rejected_from_zero
from shared.messaging.erasure import Eraser
from shared.messaging.groups import ConsumerGroups
from shared.messaging.portals.registry import Portals, PortalsFile
from shared.messaging.projections import Projections
from shared.messaging.relay import Relay
from shared.messaging.router import Router
from shared.messaging.watchdog import Watchdog
from shared.observability import export_build
from shared.personal_data import Register
from shared.process.jobs import Job, housekeeping, repeat
from shared.process.server import CannotListen, Server, listen
from shared.settings import ServiceSettings
from shared.web import security_txt

log = logging.getLogger(__name__)


class CannotRun(OperatorError):
    """The process cannot start or go on. The message says why and what to do."""


Worker = Callable[[asyncio.Event], Awaitable[None]]


@dataclass
class Process:
    """One service, wired but not yet running.

    ``admit`` reads the records of ``portals``; ``context`` has values of handlers' parameters. Every
    ``follow_seconds`` it stores until when the topics that it ``follows`` are read; ``on_published`` is
    called each time that the relay marked events as sent.
    """

    name: str
    settings: ServiceSettings
    database: Database
    router: Router
    projections: Projections
    register: Register
    revisions: Path
    api: FastAPI
    admit: Admit
    eraser: Eraser
    portals: PortalsFile
    tokens: Tokens
    context: ContextRepo = field(default_factory=ContextRepo)
    jobs: Sequence[Job] = ()
    workers: Sequence[Worker] = ()
    follows: Collection[Topic] = ()
    follow_seconds: float = 1.0
    on_published: Callable[[], None] = lambda: None
    operations: FastAPI = field(init=False)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _fault: str | None = None
    _counted: Portals | None = field(default=None, init=False)
    watchdog: Watchdog | None = field(default=None, init=False)
    """It is None before the process runs."""

    def __post_init__(self) -> None:
        export_build(self.name, self.settings.parcours_commit)
        self.database.export_pool()
        self.operations = self.api if self.settings.operations_port is None else operations_api()

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT. Raises :class:`CannotRun`, ``DatabaseUnreachable``."""
        tune_gc()
        self._say_what_is_unprotected()
        self._say_how_log_ins_are_weak()
        try:
            listeners = self._listen()
        except CannotListen as error:
            raise CannotRun(str(error)) from error
        loop = asyncio.get_running_loop()
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signal_number, self._stopping.set)
        with contextlib.ExitStack() as listening:
            for listener in listeners:
                listening.enter_context(contextlib.closing(listener))
            listening.enter_context(tracing.export(self.settings, self.name))
            async with (
                self._database(),
                self._cluster(),
                self._relay() as relay,
                self._consumers(relay),
                self._jobs_and_workers(),
            ):
                await self._http(listeners)
        if self._fault is not None:
            raise CannotRun(self._fault)

    def _say_what_is_unprotected(self) -> None:
        if self.settings.unprotected and not self.settings.parcours_trial:
            log.warning(
                "Others on the network may read, or answer, what is sent to: %s",
                "; ".join(self.settings.unprotected.values()),
            )

    def _say_how_log_ins_are_weak(self) -> None:
        weakness = self.settings.login_weakness
        if weakness is not None and not self.settings.parcours_trial:
            log.warning("%s", weakness)

    def _listen(self) -> list[socket.socket]:
        host, operations = self.settings.http_host, self.settings.operations_port
        listeners = [listen(host, self.settings.port, f"{self.name.upper()}_PORT")]
        if operations is not None:
            listeners.append(listen(host, operations, f"{self.name.upper()}_OPERATIONS_PORT"))
        return listeners

    def consumer(self, topic: Topic) -> Consumer:
        """Return a consumer without a broker, for a redrive or a rebuild."""
        return Consumer(self.router.subscriptions[topic], self.database, self.context, self.admit)

    # ------------------------------------------------------------------ parts, in the order they start

    @contextlib.asynccontextmanager
    async def _database(self) -> AsyncIterator[None]:
        try:
            await self.database.check()
            lacking = await revisions.missing(self.database, self.revisions)
            if lacking is not None:
                how = f"run 'python -m services.{self.name} migrate' first, as the owner of the tables"
                raise CannotRun(f"{lacking}: {how}.")
            yield
        finally:
            await self.database.close()

    @contextlib.asynccontextmanager
    async def _cluster(self) -> AsyncIterator[None]:
        with self._kafka_errors():
            found = await cluster.id_at(self.settings)
        kept = await cluster.keep(self.database, found)
        if kept != found:
            raise CannotRun(self._other_cluster(kept, found))
        with cluster.belonging_to(Ours(kept, lambda other: self._fail(self._other_cluster(kept, other)))):
            yield

    def _other_cluster(self, kept: str, found: str) -> str:
        return (
            f"Kafka at {self.settings.kafka_bootstrap_servers} is the cluster {found}; the outbox and the "
            f"offsets of this database belong to {kept}. Check KAFKA_BOOTSTRAP_SERVERS; if the cluster was "
            f"made anew, run 'python -m services.{self.name} outbox accept-cluster'."
        )

    @contextlib.asynccontextmanager
    async def _relay(self) -> AsyncIterator[Relay]:
        relay = Relay(self.database, self.settings, self.name, self.settings.intake_key)
        relay.on_published = self.on_published
        with self._kafka_errors():
            await relay.start()
        self.database.after_publishing = relay.wake
        task = self._start("the relay", relay.run())
        try:
            yield relay
        finally:
            await relay.stop()
            await task
            await relay.close()

    @contextlib.asynccontextmanager
    async def _consumers(self, relay: Relay) -> AsyncIterator[None]:
        broker, consumers = faststream.new_broker(
            self.settings, self.router, self.database, self.context, self.admit
        )
        groups = ConsumerGroups(self.settings)
        watchdog = Watchdog(
            consumers, groups, limit=self.settings.stalled_seconds, relay_trouble=relay.trouble
        )
        self.watchdog = watchdog
        probes = Probes(live=lambda: self._fault, ready=self._ready, consuming=watchdog.trouble)
        add_operations(self.operations, probes)
        add_asyncapi(self.api, self._asyncapi)
        security_txt.add_to(self.api, self.settings)
        with self._kafka_errors():
            await broker.start()
        committing = self._start("the commits of offsets", broker.commit_offsets())
        watching = [self._start("the watchdog", self._watch(watchdog))]
        followed = [consumer for consumer in consumers if consumer.subscription.topic in self.follows]
        if followed:
            keep = progress.keeping(self.database)
            follow = progress.follow(followed, self.database, keep, self._stopping, every=self.follow_seconds)
            watching.append(self._start("the read progress", follow))
        try:
            yield
        finally:
            for consumer in consumers:
                consumer.stopping.set()  # a pause ends at the stop
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
            await committing
            await groups.close()
            await broker.stop()

    def _asyncapi(self) -> dict[str, Any]:
        """Use a broker that never runs: FastStream would rebuild the handlers of the running one."""
        broker, _ = faststream.new_broker(self.settings, self.router, self.database, self.context, self.admit)
        return asyncapi.document(broker, self.router)

    async def _read_files(self) -> None:
        """Read changed files again, so that a mistake is seen before the file is needed."""
        self.tokens.reload()
        self.portals.reload()
        if self.portals.portals is not self._counted:
            self._count_rejected_of(self.portals.portals)

    def _count_rejected_of(self, portals: Portals) -> None:
        for subscription in self.router.subscriptions.values():
            count_rejected_from_zero(subscription, portals)
        self._counted = portals

    @contextlib.asynccontextmanager
    async def _jobs_and_workers(self) -> AsyncIterator[None]:
        erase = Job("erase", erasure.EVERY_SECONDS, self.eraser.run)
        read_files = Job("read-files", 1.0, self._read_files)
        own = (*self.jobs, erase, read_files)
        jobs = (*own, *housekeeping(self.database, self.router, self.register, self.settings))
        repeating = [self._start(job.name, repeat(job, self._stopping)) for job in jobs]
        working = [self._start("a worker", worker(self._stopping)) for worker in self.workers]
        try:
            yield
        finally:
            self._stopping.set()
            _, late = await asyncio.wait(repeating, timeout=faststream.GRACEFUL_SECONDS)
            for task in late:  # it waits for a lock, and is rolled back
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
            await asyncio.gather(*working)

    async def _http(self, listeners: Sequence[socket.socket]) -> None:
        applications = (self.api, self.operations)[: len(listeners)]
        servers = [Server(api, proxies=self.settings.forwarded_allow_ips) for api in applications]
        serving = [
            asyncio.create_task(server.serve(sockets=[listener]))
            for server, listener in zip(servers, listeners, strict=True)
        ]
        for listener in listeners:
            log.info("%s listens on http://%s:%s", self.name, *listener.getsockname()[:2])
        await self._stopping.wait()
        log.info("%s stops", self.name)
        for server in servers:
            server.stop()
        await asyncio.gather(*serving)

    # ------------------------------------------------------------------ what ends the process

    def _start(self, what: str, work: Awaitable[None]) -> asyncio.Task[None]:
        return asyncio.create_task(self._guarded(what, work))

    async def _guarded(self, what: str, work: Awaitable[None]) -> None:
        """Await a part of the process, and end the process if the part fails.

        A part that is cancelled without the end of this task has failed too.
        """
        task = asyncio.current_task()
        try:
            await work
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise
            log.exception("%s failed", what)
            self._fail(f"{what} failed; see the log above")

    async def _watch(self, watchdog: Watchdog) -> None:
        stalled = await watchdog.stalled(self._stopping)
        if stalled is not None:
            self._fail(stalled)

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
