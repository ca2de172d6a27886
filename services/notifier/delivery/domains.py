"""No domain gets more of a process's connections to the relay than it may have.

A slow mail host must not hold up the others, and must itself never wait for work. What is shared out are the
connections of this process, so each process counts for itself. Nothing is known here of the queue or of SMTP.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, TypeVar

QueuedJob = TypeVar("QueuedJob")

MAX_HELD = 200
"""Jobs of one domain that wait here for a slot."""
HOLD_SECONDS = 2.0
"""No job is held that would wait longer: its lease would run out here, and others need the place."""
REMEMBERED = 100
"""After so many ended jobs, older ones count half, so that the pace is that of now."""
AWAY_SECONDS = (0.5, 120.0)
"""After how long a refused job comes back, at least and at most; the domain may be faster by then."""


class Admitted(Enum):
    """Whether a job has a slot."""

    NOW = "now"
    HELD = "held"
    """It gets the slot of a job that ends: :meth:`Domains.leave` returns it."""


@dataclass(frozen=True, slots=True)
class Later:
    """Come back in so many seconds."""

    seconds: float


@dataclass(slots=True)
class _Domain(Generic[QueuedJob]):
    """The jobs of one domain, and its pace while jobs waited for a slot."""

    most: int
    under_way: int = 0
    held: deque[QueuedJob] = field(default_factory=deque)
    seconds: float = 0.0
    ended: float = 0.0
    last: float = 0.0
    """When a job last ended, or began to wait."""
    free_at: float = 0.0
    """When all refused jobs will have had a slot."""

    def pace(self, now: float) -> float:
        """Seconds from one slot to the next; while few jobs have ended, as if all under way ended now."""
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
    """``most`` mails of one domain under way at once; 0 is no limit."""

    def __init__(self, *, most: int = 0, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._monotonic = monotonic
        self._domains: dict[str, _Domain[QueuedJob]] = {}

    def enter(self, name: str, job: QueuedJob) -> Admitted | Later:
        """Ask for a slot of this domain. After ``NOW``, :meth:`leave` must follow."""
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
        """Give a slot back. Returns the job that has it now, if one was held."""
        domain = self._domains[name]
        if domain.held:
            return domain.take(self._monotonic())
        domain.under_way -= 1
        if not domain.under_way:
            del self._domains[name]
        return None

    def waiting(self) -> int:
        """How many jobs are held and will soon have a slot: those of slow domains do not count."""
        now = self._monotonic()
        return sum(
            len(domain.held) for domain in self._domains.values() if domain.held and not domain.is_slow(now)
        )

    def drop_held(self) -> None:
        """Forget the jobs that are held: their claims are released elsewhere."""
        for domain in self._domains.values():
            domain.held.clear()

    def _refuse(self, domain: _Domain[QueuedJob], now: float) -> Later:
        """Say when those before it will have had a slot: the domain has work, and no job comes in vain."""
        pace = domain.pace(now)
        domain.free_at = max(domain.free_at, now + len(domain.held) * pace) + pace
        least, most = AWAY_SECONDS
        return Later(min(max(least, domain.free_at - now), most))
