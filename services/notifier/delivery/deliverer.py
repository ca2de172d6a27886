import asyncio
import logging
import random
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID, uuid4

from services.notifier.delivery.pool import SmtpPool
from services.notifier.delivery.workers import Workers
from services.notifier.letters import Priority
from services.notifier.render import Renderer
from services.notifier.store import claims
from services.notifier.store.claims import Claimed
from shared import clock
from shared.database import Database, is_temporary

log = logging.getLogger(__name__)

CLAIM = 100
CLAIM_LEASE = timedelta(minutes=1)
"""Short, so that mails of a killed process are soon free. A longer delivery costs a second claim."""
POLL_SECONDS = 0.5
"""A mail that is due later, or that another process has queued, is found within this time."""
GATHER_SECONDS = 0.02
"""A claim waits this long for the mails of other commits: it costs as much for one mail as for several."""
STOP_SECONDS = 8.0
"""A stop waits this long for mails that the relay is taking."""


class Deliverer:
    """Several deliverers may share a queue; each has its own ``owner`` id."""

    def __init__(
        self,
        database: Database,
        pool: SmtpPool,
        renderer: Renderer,
        *,
        workers: int,
        message_domain: str,
        stop_seconds: float = STOP_SECONDS,
        per_domain: int = 0,
        domain_rate: float = 0,
    ) -> None:
        self.owner: UUID = uuid4()
        self._database = database
        self._pool = pool
        self._message_domain = message_domain
        self._stop_seconds = stop_seconds
        self._domain_rate = domain_rate
        self._woken = asyncio.Event()
        self.idle = asyncio.Event()
        """Set while no mail is in progress and none can be claimed."""
        self._workers = Workers(
            database,
            self.owner,
            pool,
            renderer,
            number=workers,
            per_domain=per_domain,
            on_capacity=self._woken.set,
        )

    async def run(self, stopping: asyncio.Event) -> None:
        """Deliver until ``stopping`` is set, then finish the mails that the relay is taking."""
        self._database.after_commit = self._woken.set
        self.idle.clear()
        self._workers.open()
        try:
            await self._fill(stopping)
        finally:
            await self._stop()

    async def _fill(self, stopping: asyncio.Event) -> None:
        """End early if a worker dies."""
        stop = asyncio.create_task(stopping.wait())
        stop.add_done_callback(lambda _: self._workers.begin_no_more())
        try:
            while not stopping.is_set() and not self._workers.have_died():
                self._woken.clear()
                if pause := self._pool.pause():
                    await self._wait_out(pause, stop)
                    continue
                if not await self._relay_answers(stop):
                    continue
                try:
                    were_idle, room = self._workers.idle.is_set(), self._workers.priorities_with_capacity()
                    claimed, queue_is_empty = await self._claim(room) if room else ([], True)
                except Exception as error:
                    if not is_temporary(error):
                        raise
                    log.warning("The queue cannot be read (%s): tried again", type(error).__name__)
                    await asyncio.wait([stop], timeout=random.uniform(0.5, 1.5))  # noqa: S311 jitter
                    continue
                self._workers.submit(claimed)
                if queue_is_empty:
                    if were_idle and not claimed:
                        self.idle.set()
                    await self._wait_for_work(stop)
        finally:
            stop.cancel()

    async def _wait_out(self, pause: float, stop: "asyncio.Task[bool]") -> None:
        idle = asyncio.create_task(self._workers.idle.wait())
        await asyncio.wait([stop, idle], timeout=pause, return_when=asyncio.FIRST_COMPLETED)
        if idle.done():
            self.idle.set()
            await asyncio.wait([stop], timeout=self._pool.pause())
        idle.cancel()

    async def _relay_answers(self, stop: "asyncio.Task[bool]") -> bool:
        """Return whether to claim. After an outage, one connection is tried first."""
        if not self._pool.has_failed():
            return True
        trial = asyncio.create_task(self._pool.try_relay())
        await asyncio.wait([stop, trial], return_when=asyncio.FIRST_COMPLETED)
        if not trial.done():
            trial.cancel()
            await asyncio.wait([trial])
            return False
        return trial.result()

    async def _wait_for_work(self, stop: "asyncio.Task[bool]") -> None:
        """Wait until this queue is woken, a mail is due, or a worker has died."""
        woken = asyncio.create_task(self._woken.wait())
        try:
            while not self._workers.have_died():
                await asyncio.wait([stop, woken], timeout=POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                if woken.done():
                    await asyncio.wait([stop], timeout=GATHER_SECONDS)
                were_idle = self._workers.idle.is_set()
                if stop.done() or woken.done() or await self._any_due():
                    return
                if were_idle:
                    self.idle.set()
        finally:
            woken.cancel()

    async def _any_due(self) -> bool:
        """If the database fails, return True: the claim then reports the failure."""
        try:
            async with self._database.autocommit() as tx:
                return await claims.any_due(tx)
        except Exception as error:
            if not is_temporary(error):
                raise
            return True

    async def _claim(self, priorities: Sequence[Priority]) -> tuple[list[Claimed], bool]:
        """Return mails to send now, and whether no more of these priorities are due."""
        async with self._database.quiet_transaction(plan_once=True) as tx:
            return await claims.claim(
                tx,
                self.owner,
                priorities,
                most=CLAIM,
                lease=CLAIM_LEASE,
                message_domain=self._message_domain,
                now=clock.now(),
                domain_rate=self._domain_rate,
            )

    async def _stop(self) -> None:
        try:
            await self._workers.close(self._stop_seconds)
        finally:
            try:
                async with self._database.quiet_transaction() as tx:
                    # In this order: claims whose DATA had not begun go back, and the others become ambiguous.
                    await claims.release(tx, self.owner)
                    await claims.expire_leases(tx, self.owner)
            except Exception as error:
                if not is_temporary(error):
                    raise
                log.warning("Claims stay until their leases run out (%s)", type(error).__name__)
            await self._pool.close()
