"""Faults of a run, drawn by its seed."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from random import Random
from typing import Any

import asyncpg
from aiokafka.errors import KafkaError

from local.children import Child
from local.clock import MovedClock
from local.failures import LocalStackError
from local.observing import READ_TOPICS
from local.ports import free_port
from local.server import LocalServer
from local.services import SERVICES, LocalService, start_again
from tests.proof.bad_records import BadRecords
from tests.proof.evidence import ProcessEnd
from tests.proof.proxied_stack import ProxiedStack
from tests.proof.proxy import TcpProxy
from tests.proof.rereading import forget_offsets
from tests.support.smtp import Drop, Hang, Reply, ScriptedRelay, SmtpAction

SECONDS = 20.0
"""How long a fault lasts that ends by itself, if its name does not say else."""
SHORT_SECONDS, LONG_SECONDS = 1.0, 90.0
REFUSED, DROPPED, SLOW = 40, 4, 8
"""Dialogues with the mail relay that it refuses, ends after it took the letter, or keeps waiting."""
DELAY_SECONDS = 0.3
CUT_AFTER = 3_000
"""Bytes that a connection still hands on at most."""


@dataclass(frozen=True)
class DrawnFault:
    """What happens to ``part``. ``which`` chooses a process, a topic, or how many bytes."""

    kind: str
    part: str
    which: int = 0

    def __str__(self) -> str:
        return f"{self.part} {self.kind}"


OF_SERVICES = (
    "killed",
    "ended",
    "stopped shortly",
    "stopped",
    "stopped for long",
    "restarted one by one",
    "has one process more",
    "reads a topic again",
)
OF_WAYS = ("delays", "is cut", "is reset", "stalls", "stalls back")
KINDS = (
    *[(kind, service) for kind in OF_SERVICES for service in SERVICES],
    *[(kind, f"way to {server}") for kind in OF_WAYS for server in ("postgres", "kafka", "mail relay")],
    *[(kind, "postgres") for kind in ("killed", "restarted", "connections ended")],
    *[(kind, "postgres") for kind in ("has a transaction left open", "has a session locked")],
    *[(kind, "kafka") for kind in ("killed", "restarted", "stopped", "gets bad records")],
    ("jumps an hour ahead", "clock"),
    *[(kind, "mail relay") for kind in ("refuses", "drops after DATA", "is slow", "answers twice")],
)


def draw_faults(seed: int, number: int) -> list[DrawnFault]:
    """Return faults of all kinds in a random order, each kind as often as the others."""
    choices = Random(f"faults {seed}")
    kinds = [kind for _ in range(-(-number // len(KINDS))) for kind in choices.sample(KINDS, len(KINDS))]
    return [DrawnFault(kind, part, choices.randrange(100)) for kind, part in kinds[:number]]


class FaultInjector:
    """Causes faults in a stack, which starts again by itself what has died. ``heal`` ends those that last.

    ``clock`` is that of the whole stack, or None if it is the machine's.
    """

    def __init__(
        self, stack: ProxiedStack, relay: ScriptedRelay, bad_records: BadRecords, clock: MovedClock | None
    ) -> None:
        self._stack = stack
        self._relay = relay
        self._bad_records = bad_records
        self._clock = clock
        self._stopped: set[int] = set()
        self._asked_to_end: list[tuple[str, Child]] = []
        self._open: list[asyncpg.Connection] = []
        self._lasting: set[asyncio.Task[None]] = set()
        self._healing = asyncio.Event()

    async def cause(self, fault: DrawnFault) -> bool:
        """Return False if there was nothing to harm: the process is just being started again, say."""
        if fault.part.startswith("way to "):
            self._harm_way(fault)
        elif fault.part == "clock":
            if self._clock is None:
                return False
            self._clock.set(self._clock.now() + timedelta(hours=1))
        elif fault.part == "mail relay":
            self._harm_mail_relay(fault.kind)
        elif fault.part == "postgres":
            return await self._harm_postgres(fault.kind)
        elif fault.kind == "gets bad records":
            self._begin(self._bad_records.send())
        elif fault.part == "kafka" and fault.kind in ("killed", "restarted"):
            return await self._end_server(self._stack.broker, fault.kind)
        elif fault.kind == "restarted one by one":
            self._begin(self._restart_one_by_one(fault.part))
        elif fault.kind == "has one process more":
            self._begin(self._add_process(fault.part))
        elif fault.kind == "reads a topic again":
            self._begin(self._read_again(fault.part, fault.which))
        else:
            return self._signal(fault)
        return True

    def ends(self) -> list[ProcessEnd]:
        """Return how the processes ended that got SIGTERM."""
        return [ProcessEnd(title, child.exit_code()) for title, child in self._asked_to_end]

    async def heal(self) -> None:
        """Raises the error of a fault that could not be caused."""
        self._healing.set()
        await asyncio.gather(*self._lasting)
        for connection in self._open:
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await connection.close(timeout=5)

    # ------------------------------------------------------------------------------- processes and servers

    def _signal(self, fault: DrawnFault) -> bool:
        running = [server for server in self._servers(fault.part) if server.running()]
        if not running:
            return False
        server = running[fault.which % len(running)]
        child, pid = server.child, server.pid
        if pid in self._stopped:
            return False
        number, seconds = _SIGNALS[fault.kind]
        with suppress(ProcessLookupError):
            os.kill(pid, number)
            if number == signal.SIGTERM:
                self._asked_to_end.append((server.title, child))
            if seconds:
                self._stopped.add(pid)
                self._begin(self._wake_after(pid, seconds))
            return True
        return False

    def _servers(self, part: str) -> Sequence[LocalServer]:
        return [self._stack.broker] if part == "kafka" else self._processes(part)

    def _processes(self, service: str) -> list[LocalService]:
        return [process for process in self._stack.services if process.service == service]

    async def _wake_after(self, pid: int, seconds: float) -> None:
        await self._wait(seconds)
        self._stopped.discard(pid)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    async def _end_server(self, server: LocalServer, kind: str) -> bool:
        """A server that is restarted is asked to end. The stack starts it again."""

        def end() -> None:
            if kind == "killed":
                server.kill()
            else:
                server.child.stop()

        return await _in_thread(end)

    async def _restart_one_by_one(self, service: str) -> None:
        for process in self._processes(service):
            self._ask_to_end(process)
            await _in_thread(partial(start_again, [process]))

    async def _add_process(self, service: str) -> None:
        """The groups of the service get a member more, and later a member less."""
        log = self._stack.directory / "logs" / f"{service}-more.log"
        process = LocalService(service, len(self._processes(service)) + 1, free_port(), log)
        process.env = self._stack.environment(service)
        if await _in_thread(process.start):
            await self._wait(SECONDS)
            self._ask_to_end(process)
        await _in_thread(process.stop)

    async def _read_again(self, service: str, which: int) -> None:
        """While no process of the service runs, its group forgets what it has read of a topic."""
        processes, topics = self._processes(service), READ_TOPICS[service]
        for process in processes:
            self._ask_to_end(process)
        await asyncio.gather(*(_in_thread(process.stop) for process in processes))
        with suppress(KafkaError):  # the topic is not read again
            await forget_offsets(self._stack.kafka_client("proof"), service, topics[which % len(topics)])
        await asyncio.gather(*(_in_thread(process.start) for process in processes))

    def _ask_to_end(self, process: LocalService) -> None:
        if process.running():
            self._asked_to_end.append((process.title, process.child))

    # ------------------------------------------------------------------------------------------- Postgres

    async def _harm_postgres(self, kind: str) -> bool:
        postgres = self._stack.postgres
        match kind:
            case "connections ended":
                return await _in_thread(lambda: postgres.execute(_END_CONNECTIONS))
            case "has a transaction left open":
                return await self._open_transaction(_LOOK)
            case "has a session locked":
                if locked := await self._open_transaction(_LOCK):
                    self._begin(self._end_last_transaction())
                return locked
        return await self._end_server(postgres, kind)

    async def _open_transaction(self, statement: str) -> bool:
        with suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            connection = await asyncpg.connect(self._stack.postgres.url("parcours_enrolment"), timeout=5)
            self._open.append(connection)
            await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            await connection.execute(statement, timeout=5)
            return True
        return False

    async def _end_last_transaction(self) -> None:
        connection = self._open.pop()
        await self._wait(SECONDS)
        with suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await connection.close(timeout=5)

    # ------------------------------------------------------------------------------------- mail relay, ways

    def _harm_mail_relay(self, kind: str) -> None:
        hangs = [Hang() for _ in range(SLOW)]
        scripts: dict[str, tuple[str, Sequence[SmtpAction]]] = {
            "refuses": ("MAIL", [Reply("421 too busy"), Drop()] * (REFUSED // 2)),
            "drops after DATA": ("DOT", [Drop()] * DROPPED),
            "is slow": ("DOT", hangs),
            "answers twice": ("DOT", [Reply("250 ok\r\n250 ok")] * DROPPED),
        }
        point, actions = scripts[kind]
        self._relay.script(point, *actions)
        if kind == "is slow":
            self._begin(self._release(hangs))

    async def _release(self, hangs: Sequence[Hang]) -> None:
        await self._wait(SECONDS)
        for hang in hangs:
            hang.release.set()

    def _harm_way(self, fault: DrawnFault) -> None:
        ways = self._stack.proxies
        proxy = {"postgres": ways.postgres, "kafka": ways.kafka}.get(
            fault.part.removeprefix("way to "), ways.mail_relay
        )
        match fault.kind:
            case "is cut":
                proxy.cut_after(CUT_AFTER * fault.which // 100)
            case "is reset":
                proxy.reset()
            case "delays":
                self._begin(self._delay(proxy))
            case _:
                self._begin(self._stall(proxy, forth=fault.kind == "stalls"))

    async def _delay(self, proxy: TcpProxy) -> None:
        proxy.delay = DELAY_SECONDS
        await self._wait(SECONDS)
        proxy.delay = 0.0

    async def _stall(self, proxy: TcpProxy, *, forth: bool) -> None:
        async with proxy.stalled(forth=forth):
            await self._wait(SECONDS)

    # --------------------------------------------------------------------------------------------- waiting

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        """The fault lasts, or takes long to cause. Others are caused meanwhile."""
        self._lasting.add(asyncio.create_task(work))

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._healing.wait(), seconds)


async def _in_thread(work: Callable[[], object]) -> bool:
    with suppress(LocalStackError):
        await asyncio.to_thread(work)
        return True
    return False


_SIGNALS = {
    "killed": (signal.SIGKILL, 0.0),
    "ended": (signal.SIGTERM, 0.0),
    "stopped shortly": (signal.SIGSTOP, SHORT_SECONDS),
    "stopped": (signal.SIGSTOP, SECONDS),
    "stopped for long": (signal.SIGSTOP, LONG_SECONDS),
}
_END_CONNECTIONS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
)
_LOOK = "SELECT count(*) FROM outbox"
_LOCK = "SELECT FROM session ORDER BY random() LIMIT 1 FOR UPDATE"
