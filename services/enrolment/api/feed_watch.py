"""Long polling: one look at the feeds for all clients that wait in this process."""

import asyncio
import logging
from dataclasses import dataclass, field

from services.enrolment.service import answers
from shared import clock
from shared.database import Database, is_temporary

log = logging.getLogger(__name__)

POLL_SECONDS = 0.25
"""How often the feeds are looked at while anybody waits; at once where this process numbered answers."""
_LEAST_SECONDS = 0.02
"""Between two looks, however much is published."""
_PAUSE_SECONDS = 1.0
"""After the database failed."""


@dataclass(eq=False, slots=True)
class _Waiter:
    portal: str
    after: int
    woken: asyncio.Event = field(default_factory=asyncio.Event)


class FeedWatch:
    """Looks at all feeds with one small query for all clients that wait in this process."""

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
        """Look at once if a client waits: answers were numbered."""
        if self._waiters:
            self._look.set()

    async def news(self, portal: str, after: int, seconds: float) -> bool:
        """Wait until the last number of the feed differs from ``after``. Returns whether it does."""
        if self._stopped:
            return False
        waiter = _Waiter(portal, after)
        if not self._waiters:
            self._look.set()  # nobody has looked lately
        self._waiters.add(waiter)
        try:
            await clock.pause(waiter.woken, seconds)
        finally:
            self._waiters.discard(waiter)
        return waiter.woken.is_set() and not self._stopped

    async def run(self, stopping: asyncio.Event) -> None:
        """Wake clients with news until the service stops, then wake all."""
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
        """Look at the feeds and wake clients with news. Returns the seconds until the next look."""
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
