import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg

from local.clock import MovedClock
from local.failures import LocalStackError
from local.observing import all_is_read, reading
from local.services import SERVICES
from local.year.acts import PATIENCE_SECONDS, until

_EPOCH = datetime.fromtimestamp(0, UTC)
_STEADY_SECONDS = 2.5
"""Nothing may happen for this time. Each job of the services looks for work once a second."""
_SETTLED_SECONDS = 0.5
"""The same, after an act whose effect needs no scheduled job."""

_COMMON = """
    SELECT (SELECT count(*) FROM outbox WHERE sent_at IS NULL AND held IS NULL)
         + (SELECT count(*) FROM erasure WHERE done_at IS NULL) AS left_to_do,
           (SELECT coalesce(max(id), 0) FROM outbox) AS done"""
_ENROLMENT = """
    SELECT (SELECT count(*) FROM request WHERE decided_at IS NULL) + (SELECT count(*) FROM session_change)
         + (SELECT count(*) FROM read_progress WHERE topic = 'portal.enrolments' AND read_until < $1)
         + (SELECT count(*) FROM message WHERE published_at IS NULL AND send_at <= now())
           AS left_to_do,
           (SELECT count(*) FROM enrolment_change) AS done"""
_NOTIFIER = """
    SELECT (SELECT count(*) FROM mail WHERE state IN ('claimed', 'data_started')
                OR (state IN ('pending', 'retry') AND due_at <= now()))
         + (SELECT count(*) FROM fan_out WHERE done_at IS NULL AND (begun_at IS NOT NULL OR due_at <= now()))
           AS left_to_do,
           (SELECT count(*) FROM mail WHERE state NOT IN ('pending', 'retry')) AS done"""


class Quiet:
    def __init__(
        self,
        databases: Mapping[str, asyncpg.Connection],
        connection: Mapping[str, Any],
        clock: MovedClock,
    ) -> None:
        self._clock = clock
        self._databases = databases
        self._connection = connection

    @classmethod
    @asynccontextmanager
    async def look(
        cls, urls: Mapping[str, str], connection: Mapping[str, Any], clock: MovedClock
    ) -> AsyncIterator["Quiet"]:
        async with AsyncExitStack() as connections:
            databases = {
                service: await connections.enter_async_context(reading(urls[service])) for service in SERVICES
            }
            yield cls(databases, connection, clock)

    async def wait(self) -> None:
        await self._until_steady(self._clock.now(), _STEADY_SECONDS)

    async def settle(self) -> None:
        """Wait for the act's effects, but not for the services' scheduled jobs."""
        await self._until_steady(_EPOCH, _SETTLED_SECONDS)

    async def wait_until_all_is_read(self) -> None:
        await until(lambda: all_is_read(self._connection), "the end of every topic")
        await self.wait()

    async def _until_steady(self, moment: datetime, seconds: float) -> None:
        began = since = time.monotonic()
        _, before = await self._state(moment)
        while True:
            await asyncio.sleep(0.1)
            left, done = await self._state(moment)
            if left or done != before:
                before, since = done, time.monotonic()
            elif time.monotonic() - since > seconds:
                return
            if time.monotonic() - began > PATIENCE_SECONDS:
                raise LocalStackError(f"something is never done: {left} left to do, {done} done")

    async def _state(self, moment: datetime) -> tuple[int, tuple[int, ...]]:
        rows = [await database.fetchrow(_COMMON) for database in self._databases.values()]
        rows.append(await self._databases["enrolment"].fetchrow(_ENROLMENT, moment))
        rows.append(await self._databases["notifier"].fetchrow(_NOTIFIER))
        found = [row for row in rows if row is not None]
        return sum(row["left_to_do"] for row in found), tuple(row["done"] for row in found)
