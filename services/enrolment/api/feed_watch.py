import asyncio
import logging
from dataclasses import dataclass, field

from services.enrolment.service import answers
from shared import clock
from shared.database import Database, is_temporary

log = logging.getLogger(__name__)

POLL_SECONDS = 0.25
"""The pause between two reads for waiting clients. Answers numbered in this process wake the reader at
once."""
_LEAST_SECONDS = 0.02
"""The shortest time between two reads."""
_PAUSE_SECONDS = 1.0
"""The pause after a database failure."""


@dataclass(eq=False, slots=True)
class _Waiter:
    portal: str
    after: int
    woken: asyncio.Event = field(default_factory=asyncio.Event)


class FeedWatch:
    """Long polling: one small query reads all feeds for all clients that wait in this process."""

    def __init__(self, database: Database, *, poll_seconds: float = POLL_SECONDS) -> None:
        self._database = database
        self._poll_seconds = poll_seconds
        self._waiters: set[_Waiter] = set()
        self._look = asyncio.Event()
        self._stopped = False

    @property
    def waiting(self) -> int:
        return len(self._waiters)

    def look(self) -> None:
        """Read the feeds at once if a client waits."""
        if self._waiters:
            self._look.set()

    async def news(self, portal: str, after: int, seconds: float) -> bool:
        """Wait until the feed's last number differs from ``after``. Returns False if time runs out."""
        if self._stopped:
            return False
        waiter = _Waiter(portal, after)
        if not self._waiters:
            self._look.set()  # nobody has read the feeds lately
        self._waiters.add(waiter)
        try:
            await clock.pause(waiter.woken, seconds)
        finally:
            self._waiters.discard(waiter)
        return waiter.woken.is_set() and not self._stopped

    async def run(self, stopping: asyncio.Event) -> None:
        """When the service stops, wake all clients."""
        stopped = asyncio.create_task(stopping.wait())
        try:
            while not stopping.is_set():
                looking = asyncio.create_task(self._look.wait())
                timeout = self._poll_seconds if self._waiters else None
                await asyncio.wait({looking, stopped}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                looking.cancel()
                self._look.clear()
                if self._waiters and not stopping.is_set():
                    await clock.pause(stopping, await self._wake())
        finally:
            stopped.cancel()
            self._stopped = True
            for waiter in self._waiters:
                waiter.woken.set()

    async def _wake(self) -> float:
        """Return the seconds until the next read."""
        try:
            async with self._database.quiet_transaction() as tx:
                last = await answers.last_numbers(tx)
        except Exception as error:
            if not is_temporary(error):
                raise
            log.warning("The feeds of portals cannot be looked at (%s)", type(error).__name__)
            return _PAUSE_SECONDS
        for waiter in self._waiters:
            if last.get(waiter.portal, 0) != waiter.after:
                waiter.woken.set()
        return _LEAST_SECONDS
