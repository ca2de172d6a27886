"""Plays product code on Postgres, in an order that a seed draws.

The seed also draws faults. A schedule that breaks a promise is played again from its choices, and shortened.
"""

import asyncio
import re
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field
from operator import itemgetter
from random import Random
from typing import Any
from unittest import mock

import asyncpg
from aiokafka.errors import KafkaError
from sqlalchemy import text

from shared.database import Database, Transaction, is_temporary
from tests.proof.turns import Act, Actor, BrokenSchedule, Choices, ScheduleStep, Turns, Work, actor_now

SHRINKS = 12

_BLOCKED = text(
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'schedule' "
    "AND datname = current_database() AND wait_event_type = 'Lock'"
)
_END = text("SELECT pg_terminate_backend(pid, 10000) FROM unnest(CAST(:pids AS integer[])) AS pid")


@dataclass
class Points:
    """The steps of the processes that can be killed, and those just before which one was killed."""

    seen: set[str] = field(default_factory=set)
    visited: set[str] = field(default_factory=set)


class ScheduledDatabase(Database):
    """Each statement and each commit waits for its turn."""

    turns: Turns

    def __init__(self, url: str) -> None:
        super().__init__(url, application_name="schedule", pool_size=16)
        self.points = Points()
        self.pids: list[tuple[str, int]] = []
        self.committing: list[tuple[str, Any]] = []
        self.ended = 0
        """How many transactions have ended: before the next one there is nothing new to be found."""

    @asynccontextmanager
    async def autocommit(self) -> AsyncIterator[Transaction]:
        work = self.turns.begins("connects")
        try:
            async with super().autocommit() as tx:
                self.turns.ends(work)
                of_actor = actor_now(), tx.driver.get_server_pid()
                self.pids.append(of_actor)
                fetch, tx.driver = tx._fetch, _ScheduledDriver(tx.driver, self.turns)  # type: ignore[assignment]

                async def fetch_in_turn(statement: Any, params: Any) -> Any:
                    name = " ".join(statement.text.split())[:40]
                    await self.turns.gate(name)
                    return await _at_work(self.turns, name, fetch(statement, params))

                with mock.patch.object(tx, "_fetch", fetch_in_turn):
                    try:
                        yield tx
                    finally:
                        work = self.turns.begins("disconnects")
                        self.pids.remove(of_actor)
                        assert tx._orm_session is None, "a statement through SQLAlchemy takes no turn"
        finally:
            self.turns.ends(work, with_locks=True)

    @asynccontextmanager
    async def quiet_transaction(self, *, plan_once: bool = False) -> AsyncIterator[Transaction]:
        try:
            async with super().quiet_transaction(plan_once=plan_once) as tx:
                if plan_once:  # a relay chooses its buckets by random()
                    self.turns.draws[actor_now()] += 1
                    drawn = Random(f"{actor_now()} {self.turns.draws[actor_now()]}").random()
                    await tx.driver.execute(f"SELECT setseed({drawn})")
                yield tx
                committing = actor_now(), tx.driver
                self.committing.append(committing)
                try:
                    await self.turns.gate("commits")
                finally:
                    self.committing.remove(committing)
        except Exception as error:
            if not _is_of_a_fault(error):
                self.turns.fail(error)
            raise
        finally:
            self.ended += 1


class _ScheduledDriver:
    def __init__(self, driver: Any, turns: Turns) -> None:
        self.loses_answer = False
        self._driver = driver
        self._turns = turns

    def __getattr__(self, name: str) -> Any:
        return getattr(self._driver, name)

    async def execute(self, statement: str) -> Any:
        answer = await _at_work(self._turns, statement, self._driver.execute(statement))
        if self.loses_answer and statement == "COMMIT":
            self._driver.terminate()
            raise asyncpg.ConnectionDoesNotExistError("the answer to a commit is lost")
        return answer


async def _at_work(turns: Turns, name: str, work: Coroutine[Any, Any, Any]) -> Any:
    begun: Work | None = turns.begins(name)
    try:
        return await work
    finally:
        turns.ends(begun, with_locks=name in {"COMMIT", "ROLLBACK"})


class ScheduledWorld:
    """Actors, what is between them, and what must hold at the end."""

    actors: Sequence[Actor]
    mortals: Sequence[Actor]
    """The actors that can be killed."""

    def __init__(self, database: ScheduledDatabase, choices: Choices) -> None:
        self.database = database
        self.choices = choices
        self.turns = database.turns = Turns(choices, self)
        self._looked: dict[asyncio.Task[Any] | None, int] = {}

    @abstractmethod
    async def prepare(self) -> None:
        """Leave nothing of the schedule before."""

    @abstractmethod
    def patched(self) -> AbstractContextManager[None]:
        """Put the parts of this world between the product and what it reaches outside."""

    @abstractmethod
    def others(self) -> list[ScheduleStep]: ...

    @abstractmethod
    def faults(self) -> list[ScheduleStep]: ...

    @abstractmethod
    async def is_done(self) -> bool: ...

    @abstractmethod
    async def check(self) -> None:
        """Raises :class:`BrokenSchedule`."""

    @abstractmethod
    def state(self) -> list[str]: ...

    async def pass_time(self) -> bool:
        return False

    async def blocked(self) -> int:
        async with Database.autocommit(self.database) as tx:
            return int(await tx.scalar(_BLOCKED))

    async def play(self) -> None:
        await self.prepare()
        with self.patched():
            for actor in self.actors:
                self.turns.start(actor)
            try:
                await self.turns.play()
            finally:
                names = tuple(actor.name for actor in self.mortals)
                seen = (step for step in self.turns.trace if step.startswith(names))
                self.database.points.seen.update(map(_point, seen))
                for actor in self.actors:
                    await self.turns.crash(actor)
        await self.check()

    def kills(self) -> list[ScheduleStep]:
        return [fault(f"{actor.name} is killed", self._kill(actor)) for actor in self.mortals]

    def lost_connections(self) -> list[ScheduleStep]:
        pids = sorted(self.database.pids, key=itemgetter(0))
        return [fault(f"Postgres ends a connection of {name}", self._end([pid])) for name, pid in pids]

    def lost_commits(self) -> list[ScheduleStep]:
        names = {actor.name for actor in self.mortals}
        committing = [(name, driver) for name, driver in self.database.committing if name in names]
        return [fault(f"{name} will not hear of its commit", _lose(driver)) for name, driver in committing]

    async def news(self, name: str) -> None:
        """Wait until a transaction has ended since the task last looked."""
        task = asyncio.current_task()
        seen = self._looked.get(task)
        await self.turns.gate(name, lambda: self.database.ended != seen)
        self._looked[task] = self.database.ended

    def _kill(self, actor: Actor) -> Act:
        async def kill() -> None:
            self.database.points.visited.update(map(_point, self.turns.next_steps(actor)))
            pids = [pid for name, pid in self.database.pids if name == actor.name]
            await self.turns.crash(actor)
            await self._end(pids)()
            self.turns.start(actor)

        return kill

    def _end(self, pids: Sequence[int]) -> Act:
        async def end() -> None:
            async with Database.autocommit(self.database) as tx:
                await tx.execute(_END, {"pids": pids})
            self.turns.ends(None, with_locks=True)

        return end


def _is_of_a_fault(error: Exception) -> bool:
    """Return whether a fault of a schedule can cause it. The product also tries a wrong statement again."""
    is_wrong = str(getattr(getattr(error, "orig", error), "sqlstate", "")).startswith("42")
    return not is_wrong and (is_temporary(error) or isinstance(error, KafkaError))


def _lose(driver: _ScheduledDriver) -> Act:
    async def lose() -> None:
        driver.loses_answer = True

    return lose


def _point(step: str) -> str:
    return re.sub(r"\d+", "N", step)


def fault(name: str, act: Act) -> ScheduleStep:
    return ScheduleStep("FAULT", name, act)


@dataclass(frozen=True)
class FoundSchedule:
    """A schedule that breaks a promise, with the choices that lead to it."""

    seed: int
    broken: str
    choices: list[int]
    trace: list[str]

    def __str__(self) -> str:
        return "\n".join([f"Seed {self.seed}: {self.broken}", *(f"  {step}" for step in self.trace)])


NewWorld = Callable[[ScheduledDatabase, Choices], ScheduledWorld]


async def play(
    new_world: NewWorld, database: ScheduledDatabase, seed: int, given: Sequence[int] = ()
) -> FoundSchedule | None:
    """Play the schedule that begins with the given choices. Returns it if it breaks a promise."""
    choices = Choices(seed, given)
    world = new_world(database, choices)
    try:
        await world.play()
    except BrokenSchedule as error:
        return FoundSchedule(seed, str(error), choices.taken, [*world.turns.trace, *error.state])
    return None


async def shrunk(new_world: NewWorld, database: ScheduledDatabase, found: FoundSchedule) -> FoundSchedule:
    """Leave out choices as long as a shorter schedule breaks the same promise."""
    tries, size = 0, len(found.choices) // 2
    while size and tries < SHRINKS:
        for start in range(0, len(found.choices), size):
            shorter = found.choices[:start] + found.choices[start + size :]
            tries += 1
            again = await play(new_world, database, found.seed, shorter)
            if again is not None and again.broken == found.broken and len(again.trace) < len(found.trace):
                found = again
                break
        else:
            size //= 2
    return found
