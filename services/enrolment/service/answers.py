"""The feeds of portals: what each hears over HTTP, in the order of its numbers, and who waits for more."""

import asyncio
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from services.enrolment.store import answers
from shared import clock, read_log
from shared.database import Database, Transaction, is_temporary
from shared.events.vocabulary import AgentKey
from shared.messaging.tables import OutboxRow
from shared.read_log import Reading, ReadKind

log = logging.getLogger(__name__)

POLL_SECONDS = 0.25
"""How often the feeds are looked at while anybody waits; at once where this process numbered answers."""
_LEAST_SECONDS = 0.02
"""Between two looks, however much is published."""
_PAUSE_SECONDS = 1.0
"""After the database failed."""


@dataclass(frozen=True, slots=True)
class FeedPage:
    """Answers in order, and the number to ask after next."""

    answers: Sequence[OutboxRow]
    next: int


class NeverGiven(LookupError):
    """A number that the feed has not reached; ``last`` is the last that it gave."""

    def __init__(self, last: int) -> None:
        super().__init__(last)
        self.last = last


class Forgotten(LookupError):
    """Answers that follow the number are kept no more; those after ``kept_after`` are."""

    def __init__(self, kept_after: int) -> None:
        super().__init__(kept_after)
        self.kept_after = kept_after


async def page(
    tx: Transaction, portal: str, after: int, limit: int, reading: Reading | None = None
) -> FeedPage:
    """Return the answers of a portal that follow a number; 0: from the oldest that is kept.

    Those about an agent who was erased since are left out; their numbers are passed over. Who of the staff
    reads is recorded. Raises
    :class:`NeverGiven`, and :class:`Forgotten`: numbers have no gaps, so that one shows what is lost.
    """
    last = await answers.last_number(tx, portal)  # before the answers: more may be numbered meanwhile
    found = await answers.page(tx, portal, after, limit)
    before = _number(found[0]) - 1 if found else last
    if after > before:
        raise NeverGiven(before)
    if 0 < after < before:
        raise Forgotten(before)
    known = [answer for answer in found if answer.key]
    if reading is not None and (agents := _agents_in(known)):
        await read_log.record(tx, reading, ReadKind.ANSWERS, agents=agents, of_a_list=True)
    return FeedPage(known, _number(found[-1]) if found else before)


def _agents_in(found: Sequence[OutboxRow]) -> list[AgentKey]:
    """Return the agents whom these answers are about; a rejection is about none."""
    said = [json.loads(answer.data).get("agent") for answer in found]
    return [AgentKey(agent["issuer"], agent["agent_id"]) for agent in said if agent is not None]


def _number(answer: OutboxRow) -> int:
    assert answer.cursor is not None  # noqa: S101 it was found by it
    return answer.cursor


@dataclass(eq=False, slots=True)
class _Waiter:
    portal: str
    after: int
    woken: asyncio.Event = field(default_factory=asyncio.Event)


class Watch:
    """Looks at all feeds for all who wait in this process: one small query, however many they are."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiters: set[_Waiter] = set()
        self._look = asyncio.Event()
        self._stopped = False

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiters)

    def look(self) -> None:
        """Look at once, if anybody waits: answers were numbered."""
        if self._waiters:
            self._look.set()

    async def news(self, portal: str, after: int, seconds: float) -> bool:
        """Wait until the feed has another last number than ``after``. Returns whether it has."""
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
        """Wake who has news, until the service stops; then all."""
        stopped = asyncio.create_task(stopping.wait())
        try:
            while not stopping.is_set():
                looking = asyncio.create_task(self._look.wait())
                timeout = POLL_SECONDS if self._waiters else None
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
        """Look at the feeds, and wake who has news. Returns for how long not to look again, in seconds."""
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
