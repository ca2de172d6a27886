"""Visits every state of a small model of a protocol and names the promise that a state breaks."""

from collections import deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

S = TypeVar("S", bound=Hashable)
Part = TypeVar("Part")


class ProtocolModel(Protocol[S]):
    """Two things that happen at the same time are steps in either order."""

    start: S

    def steps(self, state: S) -> Iterator[tuple[str, S]]:
        """Yield each step that a part of the protocol can take, by name, with the state after it."""

    def faults(self, state: S) -> Iterator[tuple[str, S]]:
        """Yield each crash, pause or loss that can happen. There must be an end to them."""

    def broken(self, state: S, *, at_rest: bool) -> str | None:
        """Return the promise that does not hold, or None. ``at_rest``: only a fault can happen."""


@dataclass(frozen=True)
class Explored:
    """``trace``: the shortest way to the state that breaks the promise."""

    states: int
    broken: str | None = None
    trace: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.broken is None:
            return f"{self.states} states, no promise is broken"
        return "\n".join([f"Broken: {self.broken}", *(f"  {step}" for step in self.trace)])


def explore(model: ProtocolModel[S]) -> Explored:
    """Visit all states, the nearest first, until one breaks a promise."""
    before: dict[S, tuple[str, S] | None] = {model.start: None}
    waiting = deque([model.start])
    while waiting:
        state = waiting.popleft()
        steps = list(model.steps(state))
        if (promise := model.broken(state, at_rest=not steps)) is not None:
            return Explored(len(before), promise, _trace(before, state))
        for step, after in [*steps, *model.faults(state)]:
            if after not in before:
                before[after] = (step, state)
                waiting.append(after)
    return Explored(len(before))


def replaced(parts: tuple[Part, ...], place: int, part: Part) -> tuple[Part, ...]:
    return (*parts[:place], part, *parts[place + 1 :])


def _trace(before: dict[S, tuple[str, S] | None], state: S) -> tuple[str, ...]:
    steps = []
    while (came := before[state]) is not None:
        step, state = came
        steps.append(step)
    return tuple(reversed(steps))
