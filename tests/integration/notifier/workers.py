"""Notifiers as processes of their own, to be stopped and killed by the dozen.

Each is forked from a server that has imported everything already, so that it costs a tenth of a second. It
shares nothing with the test but the database and the relay.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from multiprocessing.context import ForkServerProcess

from services.notifier import jobs
from services.notifier.delivery import Deliverer
from services.notifier.delivery.pool import SmtpPool
from services.notifier.settings import SmtpServer
from shared.database import Database
from tests.unit.notifier.builders import a_renderer

NAME = "worker"
"""What the database calls their connections."""


class Worker:
    """One process, from its start to its end."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process

    def send(self, number: signal.Signals) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    async def kill(self) -> None:
        """SIGKILL: nothing gets a last word."""
        self._process.kill()
        assert await self.end() == -signal.SIGKILL, "it had ended before: this proves nothing"

    async def end(self, seconds: float = 30) -> int | None:
        """Wait until it ends by itself; its exit code."""
        await asyncio.to_thread(self._process.join, seconds)
        return self._process.exitcode

    def clear_away(self) -> None:
        if self._process.is_alive():
            self._process.kill()
        self._process.join(10)
        self._process.close()


Work = Callable[..., None]
Start = Callable[..., Worker]


def deliver(url: str, port: int) -> None:
    """Send what is due, one mail after the other."""

    async def work(database: Database) -> None:
        pool = SmtpPool(SmtpServer("127.0.0.1", port), size=1)
        await Deliverer(database, pool, a_renderer(), workers=1, message_domain="x.example").deliver_due()

    _run(work, url)


def fan_out(url: str, most: int) -> None:
    """Put all fan-outs into the queue, ``most`` agents at a time."""

    async def work(database: Database) -> None:
        while await jobs.fan_out(database) is not None:
            pass

    jobs.SLICE = most
    _run(work, url)


def _run(work: Callable[[Database], Coroutine[None, None, None]], url: str) -> None:
    async def whole() -> None:
        database = Database(url, application_name=NAME)
        await work(database)
        await database.close()

    asyncio.run(whole())
