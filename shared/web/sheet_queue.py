"""A process reads one uploaded sheet at a time, and each sender has a budget."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

from starlette.requests import HTTPConnection

from shared.auth import Principal
from shared.guard import Guard, LimitMet
from shared.rates import Rate

MOST_WAITING = 5
"""A sheet of 20,000 lines takes some seconds."""
SENT = Rate(64 * 1024, 3600)
"""KiB of a sender, trials included: some forty sheets of 20,000 short lines."""
_BUSY_SECONDS = 10
_THREAD = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sheets")
"""Several sheets at once are no faster, and the shared threads are for short work."""

T = TypeVar("T")


def sender_of(who: Principal) -> str:
    return who.delegation or who.name


def kibibytes(content: bytes) -> int:
    return len(content) // 1024 + 1


class Busy(LimitMet):
    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.detail = f"Other files come first, and nothing of yours is stored. Send it in {seconds} seconds."


class SheetQueue:
    """One sheet of each sender may wait.

    A sheet gets its place before any database connection, so a waiting sheet holds neither a connection nor a
    lock.
    """

    def __init__(self) -> None:
        self._reading = asyncio.Lock()
        self._waiting: set[str] = set()

    @asynccontextmanager
    async def take(self, whose: str) -> AsyncIterator[None]:
        """The next sheet waits until this block ends.

        Raises :class:`Busy` if a sheet of the same sender waits already, or too many others do.
        """
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
    queue: SheetQueue, guard: Guard, visit: HTTPConnection, whose: str, content: bytes
) -> AsyncIterator[None]:
    """``whose`` is the sender: :func:`sender_of`, or what a link is about."""
    async with queue.take(whose):
        await guard.take(visit, "sheet", SENT, whose, number=kibibytes(content))
        yield


async def in_thread(work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(_THREAD, work)
