"""Limits the connections of one process to one mail domain, so that a slow host holds up no other.

It always keeps some work for the slow host too.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, TypeVar

QueuedJob = TypeVar("QueuedJob")

MAX_HELD = 200
"""Jobs of one domain may wait here for a slot."""
HOLD_SECONDS = 2.0
"""A job that would wait longer is refused, because its lease would run out here."""
REMEMBERED = 100
"""After this many ended jobs, older ones count half, so that the pace follows the present."""
AWAY_SECONDS = (0.5, 120.0)


class Admitted(Enum):
    NOW = "now"
    HELD = "held"
    """The job gets the slot of a job that ends: :meth:`Domains.leave` returns it then."""


@dataclass(frozen=True, slots=True)
class Later:
    seconds: float


@dataclass(slots=True)
class _Domain(Generic[QueuedJob]):
    most: int
    under_way: int = 0
    held: deque[QueuedJob] = field(default_factory=deque)
    seconds: float = 0.0
    ended: float = 0.0
    last: float = 0.0
    free_at: float = 0.0
    """By then all refused jobs will have had a slot."""

    def pace(self, now: float) -> float:
        """Return the seconds from one slot to the next.

        With few ended jobs, running jobs count as ending now.
        """
        waited = now - self.last if self.held else 0.0
        return (self.seconds + waited) / max(self.ended, self.most)

    def is_slow(self, now: float) -> bool:
        return len(self.held) * self.pace(now) > HOLD_SECONDS

    def hold(self, job: QueuedJob, now: float) -> None:
        if not self.held:
            self.last = now
        self.held.append(job)

    def take(self, now: float) -> QueuedJob:
        self.seconds += now - self.last
        self.ended += 1
        self.last = now
        if self.ended > REMEMBERED:
            self.seconds /= 2
            self.ended /= 2
        return self.held.popleft()


class Domains(Generic[QueuedJob]):
    """At most ``most`` jobs of one domain run at once; 0 means no limit."""

    def __init__(self, *, most: int = 0, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._monotonic = monotonic
        self._domains: dict[str, _Domain[QueuedJob]] = {}

    def enter(self, name: str, job: QueuedJob) -> Admitted | Later:
        """Ask for a slot of this domain. After ``NOW``, call :meth:`leave`."""
        domain = self._domains.setdefault(name, _Domain(self._most))
        if not self._most or domain.under_way < self._most:
            domain.under_way += 1
            return Admitted.NOW
        now = self._monotonic()
        if len(domain.held) < MAX_HELD and not domain.is_slow(now):
            domain.hold(job, now)
            return Admitted.HELD
        return self._refuse(domain, now)

    def leave(self, name: str) -> QueuedJob | None:
        """Give a slot back. Returns the held job that gets it, or None."""
        domain = self._domains[name]
        if domain.held:
            return domain.take(self._monotonic())
        domain.under_way -= 1
        if not domain.under_way:
            del self._domains[name]
        return None

    def waiting(self) -> int:
        """Count the held jobs that will soon have a slot. Jobs of slow domains do not count."""
        now = self._monotonic()
        return sum(
            len(domain.held) for domain in self._domains.values() if domain.held and not domain.is_slow(now)
        )

    def drop_held(self) -> None:
        """The deliverer releases their claims."""
        for domain in self._domains.values():
            domain.held.clear()

    def _refuse(self, domain: _Domain[QueuedJob], now: float) -> Later:
        """Let a job come back only after the jobs ahead of it have had a slot."""
        pace = domain.pace(now)
        domain.free_at = max(domain.free_at, now + len(domain.held) * pace) + pace
        least, most = AWAY_SECONDS
        return Later(min(max(least, domain.free_at - now), most))
