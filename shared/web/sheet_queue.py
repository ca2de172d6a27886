"""The queue of sheets in a process: they are read one after the other, few and so much of one organiser."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

from starlette.requests import HTTPConnection

from shared.auth import Principal
from shared.guard import Guard, LimitMet
from shared.limits import Rate

MOST_WAITING = 5
"""Sheets that wait in a process; one of 20,000 lines takes some seconds."""
SENT = Rate(64 * 1024, 3600)
"""KiB of sheets that are read of an organiser, tried ones too: some forty of 20,000 short lines."""
_BUSY_SECONDS = 10
_THREAD = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sheets")
"""One sheet after the other: together they are no faster, and the threads of all are for short work."""

T = TypeVar("T")


def sender_of(who: Principal) -> str:
    """Whose sheets count together: those of a delegation, or of somebody who acts everywhere."""
    return who.delegation or who.name


def kibibytes(content: bytes) -> int:
    """What a file counts for of :data:`SENT`."""
    return len(content) // 1024 + 1


class Busy(LimitMet):
    """Others come first, and enough of them wait: to come again in so many ``seconds``."""

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.detail = f"Other files come first, and nothing of yours is stored. Send it in {seconds} seconds."


class SheetQueue:
    """The sheet that is being read in a process, and those that wait: one of each organiser, few in all.

    A place is taken before any connection to the database, so that a sheet that waits holds neither a
    connection nor a lock.
    """

    def __init__(self) -> None:
        self._reading = asyncio.Lock()
        self._waiting: set[str] = set()

    @asynccontextmanager
    async def take(self, who: Principal) -> AsyncIterator[None]:
        """Wait until no other sheet is read; the next ones wait until this block ends.

        Raises :class:`Busy` where a sheet of the same organiser waits already, or too many of others do.
        """
        whose = sender_of(who)
        if whose in self._waiting or len(self._waiting) >= MOST_WAITING:
            raise Busy(_BUSY_SECONDS)
        self._waiting.add(whose)
        try:
            await self._reading.acquire()
        finally:
            self._waiting.discard(whose)
        try:
            yield
        finally:
            self._reading.release()


@asynccontextmanager
async def turn(
    queue: SheetQueue, guard: Guard, visit: HTTPConnection, who: Principal, content: bytes
) -> AsyncIterator[None]:
    """Wait until a sheet of somebody may be read, and count it. Raises :class:`LimitMet`, also as busy."""
    async with queue.take(who):
        await guard.take(visit, "sheet", SENT, sender_of(who), number=kibibytes(content))
        yield


async def in_thread(work: Callable[[], T]) -> T:
    """Do work on a sheet in a thread of its own, so that other requests are answered meanwhile."""
    return await asyncio.get_running_loop().run_in_executor(_THREAD, work)
