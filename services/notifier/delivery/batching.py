"""Many small writes in few statements."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from shared import clock

T = TypeVar("T")
R = TypeVar("R")


class Batcher(Generic[T, R]):
    """Collects items while a write is in progress; the next write takes all of them.

    Each write first waits ``linger`` seconds for more items, unless :meth:`hurry` ends the wait.
    """

    def __init__(self, write: Callable[[Sequence[T]], Awaitable[R]], *, linger: float = 0) -> None:
        self._write = write
        self._linger = linger
        self._hurried = asyncio.Event()
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._writing: asyncio.Task[None] | None = None

    def put(self, item: T) -> "asyncio.Future[R]":
        """The future completes after the commit, with the item's result."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())
        return future

    def hurry(self, result: "asyncio.Future[R]") -> None:
        """End the wait for more items if this result is still waiting to be written."""
        if any(future is result for _, future in self._waiting):
            self._hurried.set()

    async def flush(self) -> None:
        self._hurried.set()
        while self._writing is not None:
            await asyncio.wait([self._writing])

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                if self._linger:
                    await clock.pause(self._hurried, self._linger)
                    self._hurried.clear()
                batch, self._waiting = self._waiting, []
                try:
                    result = await self._write([item for item, _ in batch])
                except Exception as error:  # noqa: BLE001 the futures carry it to the callers
                    for _, future in batch:
                        if not future.done():
                            future.set_exception(error)
                            future.exception()  # Python would log the error of a future that nobody awaits
                else:
                    for _, future in batch:
                        if not future.done():
                            future.set_result(result)
        finally:
            self._writing = None
