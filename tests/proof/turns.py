"""Decides which task goes on: a seed, or a list of choices, chooses each step.

A task waits at a gate before each statement, commit and message. Only one gate is opened at a time. The next
step is taken when no callback is due, and each statement has ended or waits for a lock.
"""

import asyncio
import random
from asyncio import sleep  # a schedule replaces the one of the module
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple, Protocol

LOCK_SECONDS = 0.02
"""After this time it is looked whether the statements that have not ended wait for locks."""
STEP_SECONDS = 60.0
"""A step after which no rest comes breaks the schedule after this time, however busy the machine is."""
MOST_STEPS = 4_000
MOST_FAULTS = 3
FAULT_IN = 25
"""One step of so many is a fault."""
PACES = (32, 8, 1)
"""How often a process or a producer's records get a turn. A schedule draws it once for each."""

Act = Callable[[], Awaitable[object]]


class ScheduleStep(NamedTuple):
    """``mover`` is the process, or the producer whose record arrives."""

    mover: str
    name: str
    act: Act

    def __str__(self) -> str:
        return f"{self.mover} {self.name}"


class BrokenSchedule(AssertionError):
    """A schedule that broke a promise. ``state`` says who waits for what, if the schedule did not end."""

    def __init__(self, broken: str, state: Sequence[str] = ()) -> None:
        super().__init__(broken)
        self.state = state


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
class Life:
    """From the start of an actor to its crash. After the crash no gate opens for its tasks."""

    name: str
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    is_over: bool = False


@dataclass(eq=False)
class Actor:
    """A process: a crash ends its tasks together. ``begin`` returns them, also after a crash."""

    name: str
    begin: Callable[[], Iterable[Coroutine[None, None, None]]]
    life: Life = field(init=False)


class Work(NamedTuple):
    """A statement in progress, or a connection that opens or closes."""

    life: Life
    task: "asyncio.Task[object]"
    name: str


@dataclass(eq=False)
class _Gate:
    life: Life
    task: "asyncio.Task[object]"
    name: str
    is_ready: Callable[[], bool]
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def place(self) -> tuple[str, str]:
        """Tasks that begin together come to their gates in any order."""
        return self.life.name, self.name


_LIFE: ContextVar[Life | None] = ContextVar("life", default=None)


def actor_now() -> str:
    life = _LIFE.get()
    return "" if life is None else life.name


def _always() -> bool:
    return True


class Surroundings(Protocol):
    """What the steps of a schedule depend on beside the actors."""

    def others(self) -> list[ScheduleStep]:
        """Return steps that are nobody's, as the arrival of a message."""

    def faults(self) -> list[ScheduleStep]: ...

    async def blocked(self) -> int:
        """Return how many statements wait for a lock."""

    async def is_done(self) -> bool:
        """Asked while nobody can go on."""

    async def pass_time(self) -> bool:
        """Let leases and pauses end while nobody can go on. Return False if there are none."""

    def state(self) -> list[str]: ...


class Turns:
    def __init__(self, choices: Choices, surroundings: Surroundings) -> None:
        self.trace: list[str] = []
        self.faults_left = MOST_FAULTS
        self.draws: Counter[str] = Counter()
        """How often the database drew at random, by actor."""
        self._choices = choices
        self._surroundings = surroundings
        self._lives: list[Life] = []
        self._gates: list[_Gate] = []
        self._paces: dict[str, int] = {}
        self._works: set[Work] = set()
        self._waiting: set[Work] = set()
        """For a lock of another task."""
        self._ended = asyncio.Event()
        self._failure: BrokenSchedule | None = None

    async def gate(self, name: str, is_ready: Callable[[], bool] = _always) -> None:
        """Wait until it is the turn of this task. What belongs to no actor goes on at once."""
        life, task = _LIFE.get(), asyncio.current_task()
        if life is None or task is None:
            return
        if life.is_over:  # the task went on after it was cancelled
            raise asyncio.CancelledError
        gate = _Gate(life, task, name, is_ready)
        self._gates.append(gate)
        try:
            await gate.opened.wait()
        finally:
            if gate in self._gates:
                self._gates.remove(gate)

    def begins(self, name: str) -> Work | None:
        """No step is taken until this work has ended, or waits for a lock."""
        life, task = _LIFE.get(), asyncio.current_task()
        if life is None or task is None:
            return None
        work = Work(life, task, name)
        self._works.add(work)
        return work

    def ends(self, work: Work | None, *, with_locks: bool = False) -> None:
        """``with_locks``: another task may now get a lock."""
        if work is not None:
            self._works.discard(work)
            self._waiting.discard(work)
        if with_locks:
            self._waiting.clear()
        self._ended.set()

    def fail(self, error: Exception) -> None:
        """Break the schedule before the next step, though the product tries again."""
        self._failure = self._failure or BrokenSchedule(f"{actor_now()} fails: {error!r}")

    def start(self, actor: Actor) -> None:
        actor.life = Life(actor.name)
        self._lives.append(actor.life)
        self.give(actor, *actor.begin())

    def give(self, actor: Actor, *tasks: Coroutine[None, None, None]) -> None:
        """Have an actor do more."""
        token = _LIFE.set(actor.life)
        actor.life.tasks += [asyncio.create_task(task) for task in tasks]
        _LIFE.reset(token)

    def next_steps(self, actor: Actor) -> list[str]:
        return [f"{actor.name} {gate.name}" for gate in self._gates if gate.life is actor.life]

    async def crash(self, actor: Actor) -> None:
        """Its transactions roll back. What it has sent stays on its way."""
        life = actor.life
        life.is_over = True
        at_gates = (gate.task for gate in self._gates if gate.life is life)
        at_work = (work.task for work in self._works if work.life is life)
        ending = list(dict.fromkeys([*life.tasks, *at_gates, *at_work]))
        for task in ending:
            task.cancel()
        pending = ending and (await asyncio.wait(ending, timeout=STEP_SECONDS))[1]
        if pending:
            raise BrokenSchedule(f"{actor.name} goes on after a kill", [repr(task) for task in pending])
        self.ends(None, with_locks=True)

    async def play(self) -> None:
        """Take steps until all is done. Raises :class:`BrokenSchedule` if that never comes."""
        is_done = False
        while not is_done:
            try:
                async with asyncio.timeout(STEP_SECONDS):
                    is_done = await self._go_on()
            except TimeoutError:
                raise BrokenSchedule("a step does not end", self.state()) from None

    async def _go_on(self) -> bool:
        """Take a step. Return whether all is done instead."""
        await self._settle()
        if len(self.trace) == MOST_STEPS:
            raise BrokenSchedule("all is never done", self.state())
        step = self._next()
        if step is not None:
            self.trace.append(str(step))
            await step.act()
        elif await self._surroundings.is_done():
            return True
        elif await self._surroundings.pass_time():
            self.trace.append("time passes")
        else:
            raise BrokenSchedule("nobody can go on", self.state())
        return False

    async def _settle(self) -> None:
        """Wait until no callback is due, and each work has ended or waits for a lock."""
        await self._idle()
        while not self._works <= self._waiting:
            self._ended.clear()
            try:
                await asyncio.wait_for(self._ended.wait(), LOCK_SECONDS)
            except TimeoutError:
                blocked = await self._surroundings.blocked()
                if blocked >= len(self._works) and not self._ended.is_set():
                    self._waiting |= self._works
            await self._idle()
        if self._failure is not None:
            raise self._failure
        for life in self._lives:
            for task in life.tasks:
                if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                    raise BrokenSchedule(f"{life.name} ended by {error!r}") from error

    async def _idle(self) -> None:
        """Wait until the loop has no callback to run, and no socket has anything to read."""
        due = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]  # asyncio has no public name
        idle_rounds = 0
        while idle_rounds < 2:  # what a callback wrote to a socket is read in the next round
            await sleep(0)
            idle_rounds = 0 if due else idle_rounds + 1

    def _next(self) -> ScheduleStep | None:
        ready = sorted((gate for gate in self._gates if gate.is_ready()), key=lambda gate: gate.place)
        steps = [ScheduleStep(gate.life.name, gate.name, self._opening(gate)) for gate in ready]
        steps += self._surroundings.others()
        if not steps:
            return None
        if self.faults_left and self._choices.below(FAULT_IN) == 0:
            faults = self._surroundings.faults()
            self.faults_left -= 1
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
            gate.opened.set()

        return let_go

    def state(self) -> list[str]:
        gates = sorted(self._gates, key=lambda gate: gate.place)
        works = sorted(self._works, key=lambda work: (work.life.name, work.name))
        return [
            *(f"{gate.life.name} may not go on: {gate.name}" for gate in gates if not gate.is_ready()),
            *(f"{gate.life.name} may go on: {gate.name}" for gate in gates if gate.is_ready()),
            *(f"{work.life.name} waits for a lock: {work.name}" for work in works if work in self._waiting),
            *(f"{work.life.name} is busy: {work.name}" for work in works if work not in self._waiting),
            *self._surroundings.state(),
        ]
