"""Faults of a run, drawn by its seed."""

import asyncio
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from random import Random

from local.children import Child
from local.failures import LocalStackError
from local.server import LocalServer
from local.services import SERVICES
from local.stack import Stack
from tests.proof.evidence import ProcessEnd
from tests.support.smtp import Drop, Reply, ScriptedRelay, SmtpAction

SHORT_SECONDS, LONG_SECONDS = 1.0, 20.0
"""For how long a process is stopped: less and more than its group waits for it."""
REFUSED, DROPPED = 40, 4
"""Dialogues with the mail relay that it refuses, or ends after it took the letter."""


@dataclass(frozen=True)
class DrawnFault:
    """What happens to ``part``, a service or a server. ``which`` chooses one of its processes."""

    kind: str
    part: str
    which: int = 0

    def __str__(self) -> str:
        return f"{self.part} {self.kind}"


KINDS = (
    *[(kind, service) for kind in ("killed", "stopped shortly", "stopped", "ended") for service in SERVICES],
    ("connections ended", "postgres"),
    ("killed", "postgres"),
    ("killed", "kafka"),
    ("stopped", "kafka"),
    ("refuses", "mail relay"),
    ("drops after DATA", "mail relay"),
)


def draw_faults(seed: int, number: int) -> list[DrawnFault]:
    """Return faults of all kinds in a random order, each kind as often as the others."""
    choices = Random(f"faults {seed}")
    kinds = [kind for _ in range(-(-number // len(KINDS))) for kind in choices.sample(KINDS, len(KINDS))]
    return [DrawnFault(kind, part, choices.randrange(100)) for kind, part in kinds[:number]]


class FaultInjector:
    """Causes faults in a stack, which starts again by itself what has died. ``heal`` ends those that last."""

    def __init__(self, stack: Stack, relay: ScriptedRelay) -> None:
        self._stack = stack
        self._relay = relay
        self._stopped: set[int] = set()
        self._asked_to_end: list[tuple[str, Child]] = []
        self._waking: set[asyncio.Task[None]] = set()

    async def cause(self, fault: DrawnFault) -> bool:
        """Return False if there was nothing to harm: the process is just being started again."""
        match fault.kind:
            case "connections ended":
                return await self._in_thread(self._end_connections)
            case "killed" if fault.part == "postgres":
                return await self._in_thread(self._stack.postgres.kill)
            case "killed" if fault.part == "kafka":
                return await self._in_thread(self._stack.broker.kill)
            case "refuses":
                self._refuse("MAIL", [Reply("421 too busy"), Drop()] * (REFUSED // 2))
            case "drops after DATA":
                self._refuse("DOT", [Drop()] * DROPPED)
            case _:
                return self._signal(fault)
        return True

    def ends(self) -> list[ProcessEnd]:
        """Return how the processes ended that got SIGTERM."""
        return [ProcessEnd(title, child.exit_code()) for title, child in self._asked_to_end]

    def heal(self) -> None:
        for task in self._waking:
            task.cancel()
        for pid in list(self._stopped):
            self._wake(pid)

    def _refuse(self, point: str, actions: Sequence[SmtpAction]) -> None:
        self._relay.script(point, *actions)

    def _signal(self, fault: DrawnFault) -> bool:
        servers = [server for server in self._servers(fault.part) if server.running()]
        if not servers:
            return False
        server = servers[fault.which % len(servers)]
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
                self._waking.add(asyncio.create_task(self._wake_after(pid, seconds)))
            return True
        return False

    def _servers(self, part: str) -> Sequence[LocalServer]:
        if part == "kafka":
            return [self._stack.broker]
        return [process for process in self._stack.services if process.service == part]

    async def _wake_after(self, pid: int, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._wake(pid)

    def _wake(self, pid: int) -> None:
        self._stopped.discard(pid)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    async def _in_thread(self, work: Callable[[], object]) -> bool:
        with suppress(LocalStackError):
            await asyncio.to_thread(work)
            return True
        return False

    def _end_connections(self) -> None:
        self._stack.postgres.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )


_SIGNALS = {
    "killed": (signal.SIGKILL, 0.0),
    "ended": (signal.SIGTERM, 0.0),
    "stopped shortly": (signal.SIGSTOP, SHORT_SECONDS),
    "stopped": (signal.SIGSTOP, LONG_SECONDS),
}
