"""Decides which task goes on: a seed, or a list of choices, chooses each step.

A task waits at a gate before each statement, commit and message. Only one gate is opened at a time.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

LOCK_SECONDS = 0.02
"""After this time it is looked whether the tasks that have come to no gate wait for locks."""
MOST_STEPS = 4_000
FAULT_IN = 25
"""One step of so many is a fault."""
PACES = (32, 8, 1)
"""How often a process or a producer's records get a turn. A schedule draws it once for each."""

COMMIT, FAULT = "commits", "FAULT"

Act = Callable[[], Awaitable[object]]


class ScheduleStep(NamedTuple):
    """``mover`` is the process, or the producer whose record arrives."""

    mover: str
    name: str
    act: Act

    @property
    def ends_locks(self) -> bool:
        return self.name == COMMIT or self.mover == FAULT

    def __str__(self) -> str:
        return f"{self.mover} {self.name}"


class BrokenSchedule(AssertionError):
    """A schedule that broke a promise."""


class Choices:
    """Takes the given numbers, then draws others by a seed."""

    def __init__(self, seed: int, given: Sequence[int] = ()) -> None:
        self.taken: list[int] = []
        self._random = random.Random(seed)
        self._given = given

    def below(self, number: int) -> int:
        place = len(self.taken)
        choice = self._given[place] % number if place < len(self._given) else self._random.randrange(number)
        self.taken.append(choice)
        return choice


@dataclass(eq=False)
class Actor:
    """A process: a crash ends its tasks together. ``begin`` starts them, also after a crash."""

    name: str
    begin: Callable[[], Sequence[Coroutine[None, None, None]]]
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


@dataclass(eq=False)
class _Gate:
    actor: Actor
    task: "asyncio.Task[object]"
    name: str
    is_ready: Callable[[], bool]
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def place(self) -> tuple[str, str]:
        """Tasks that begin together come to their gates in any order."""
        return self.actor.name, self.name


_ACTOR: ContextVar[Actor | None] = ContextVar("actor", default=None)


def actor_now() -> str:
    actor = _ACTOR.get()
    return "" if actor is None else actor.name


def _always() -> bool:
    return True


class Turns:
    """``others`` returns steps that are nobody's, as the arrival of a message. ``faults`` returns faults.

    ``blocked`` returns how many tasks wait for a lock of another one.
    """

    def __init__(
        self,
        choices: Choices,
        others: Callable[[], list[ScheduleStep]],
        faults: Callable[[], list[ScheduleStep]],
        blocked: Callable[[], Awaitable[int]],
        most_faults: int,
    ) -> None:
        self.trace: list[str] = []
        self._choices = choices
        self._others = others
        self._faults = faults
        self._blocked = blocked
        self._faults_left = most_faults
        self._tasks: list[asyncio.Task[None]] = []
        self._gates: list[_Gate] = []
        self._paces: dict[str, int] = {}
        self._running: set[asyncio.Task[object]] = set()
        self._waiting: set[asyncio.Task[object]] = set()
        """For a lock of another task."""
        self._arrived = asyncio.Event()

    async def gate(self, name: str, is_ready: Callable[[], bool] = _always) -> None:
        """Wait until it is the turn of this task. What belongs to no actor goes on at once."""
        actor, task = _ACTOR.get(), asyncio.current_task()
        if actor is None or task is None:
            return
        gate = _Gate(actor, task, name, is_ready)
        self._gates.append(gate)
        self._rests(task)
        try:
            await gate.opened.wait()
        finally:
            if gate in self._gates:
                self._gates.remove(gate)

    def start(self, actor: Actor) -> None:
        token = _ACTOR.set(actor)
        actor.tasks = [asyncio.create_task(work) for work in actor.begin()]
        _ACTOR.reset(token)
        for task in actor.tasks:
            self._running.add(task)
            self._tasks.append(task)
            task.add_done_callback(self._rests)

    async def crash(self, actor: Actor) -> None:
        """Its transactions roll back. What it has sent stays on its way."""
        for task in actor.tasks:
            task.cancel()
        await asyncio.wait(actor.tasks)

    async def play(self, is_done: Callable[[], Awaitable[bool]]) -> None:
        """Take steps until all is done. Raises :class:`BrokenSchedule` if that never comes."""
        for _ in range(MOST_STEPS):
            await self._settle()
            step = self._next()
            if step is None and await is_done():
                return
            if step is None:
                raise BrokenSchedule("nobody can go on")
            self.trace.append(str(step))
            if step.ends_locks:
                self._running |= self._waiting
                self._waiting.clear()
            await step.act()
        raise BrokenSchedule("all is never done")

    def _rests(self, task: "asyncio.Task[object]") -> None:
        self._running.discard(task)
        self._waiting.discard(task)
        self._arrived.set()

    async def _settle(self) -> None:
        """Wait until each task is at a gate, has ended, or waits for a lock."""
        while self._running:
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), LOCK_SECONDS)
            except TimeoutError:
                if await self._blocked() >= len(self._running | self._waiting):
                    self._waiting |= self._running
                    self._running.clear()
        for task in self._tasks:
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise BrokenSchedule(f"a process ended by {error!r}") from error

    def _next(self) -> ScheduleStep | None:
        ready = sorted((gate for gate in self._gates if gate.is_ready()), key=lambda gate: gate.place)
        steps = [ScheduleStep(gate.actor.name, gate.name, self._opening(gate)) for gate in ready]
        steps += self._others()
        if not steps:
            return None
        if self._faults_left and self._choices.below(FAULT_IN) == 0 and (faults := self._faults()):
            self._faults_left -= 1
            return faults[self._choices.below(len(faults))]
        paces = [self._pace(step.mover) for step in steps]
        place = self._choices.below(sum(paces))
        return next(step for step, end in zip(steps, accumulate(paces), strict=True) if place < end)

    def _pace(self, mover: str) -> int:
        if mover not in self._paces:
            self._paces[mover] = PACES[self._choices.below(len(PACES))]
        return self._paces[mover]

    def _opening(self, gate: _Gate) -> Act:
        async def let_go() -> None:
            self._gates.remove(gate)
            self._running.add(gate.task)
            gate.opened.set()

        return let_go
