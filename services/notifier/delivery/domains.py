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

Job = TypeVar("Job")

MOST_HELD = 200
"""Jobs of one domain that wait here for their turn."""
HOLD_SECONDS = 2.0
"""Nobody is held who would wait longer: their lease would run out here, and they would be in the way."""
REMEMBERED_TURNS = 100
"""After so many, older ones count half: a domain that has become slower or faster is soon known as such."""
AWAY_SECONDS = (0.5, 120.0)
"""How long who is turned away stays away, at least and at most; the domain may be faster by then."""


class Entry(Enum):
    """Whether a mail's turn is now."""

    NOW = "now"
    HELD = "held"
    """Somebody who leaves takes it with them: :meth:`Domains.leave`."""


@dataclass(frozen=True, slots=True)
class Later:
    """Come back in so many seconds."""

    seconds: float


@dataclass(slots=True)
class _Domain(Generic[Job]):
    """What one domain has in hand, and how fast it has been while somebody waited for it."""

    most: int
    under_way: int = 0
    held: deque[Job] = field(default_factory=deque)
    seconds: float = 0.0
    turns: float = 0.0
    last: float = 0.0
    """When somebody left, or began to wait, last."""
    free_at: float = 0.0
    """When all who were turned away will have had their turn."""

    def pace(self, now: float) -> float:
        """Seconds from one turn to the next; while few have left, as if all under way left by now."""
        waited = now - self.last if self.held else 0.0
        return (self.seconds + waited) / max(self.turns, self.most)

    def is_slow(self, now: float) -> bool:
        return len(self.held) * self.pace(now) > HOLD_SECONDS

    def hold(self, job: Job, now: float) -> None:
        if not self.held:
            self.last = now
        self.held.append(job)

    def take(self, now: float) -> Job:
        self.seconds += now - self.last
        self.turns += 1
        self.last = now
        if self.turns > REMEMBERED_TURNS:
            self.seconds /= 2
            self.turns /= 2
        return self.held.popleft()


class Domains(Generic[Job]):
    """``most`` mails of one domain under way at once; 0 is no limit."""

    def __init__(self, *, most: int = 0, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._monotonic = monotonic
        self._domains: dict[str, _Domain[Job]] = {}

    def enter(self, name: str, job: Job) -> Entry | Later:
        """Ask for a turn. After ``NOW``, :meth:`leave` must follow."""
        domain = self._domains.setdefault(name, _Domain(self._most))
        if not self._most or domain.under_way < self._most:
            domain.under_way += 1
            return Entry.NOW
        now = self._monotonic()
        if len(domain.held) < MOST_HELD and not domain.is_slow(now):
            domain.hold(job, now)
            return Entry.HELD
        return self._turn_away(domain, now)

    def leave(self, name: str) -> Job | None:
        """End a turn. The job that has it now, if one was held."""
        domain = self._domains[name]
        if domain.held:
            return domain.take(self._monotonic())
        domain.under_way -= 1
        if not domain.under_way:
            del self._domains[name]
        return None

    def waiting(self) -> int:
        """How many are held and will soon be gone: those of slow domains do not count."""
        now = self._monotonic()
        return sum(
            len(domain.held) for domain in self._domains.values() if domain.held and not domain.is_slow(now)
        )

    def let_go(self) -> None:
        """Forget who is held: somebody else gives them back."""
        for domain in self._domains.values():
            domain.held.clear()

    def _turn_away(self, domain: _Domain[Job], now: float) -> Later:
        """Until those before it have had their turn: so the domain has work, and nobody comes in vain."""
        pace = domain.pace(now)
        domain.free_at = max(domain.free_at, now + len(domain.held) * pace) + pace
        least, most = AWAY_SECONDS
        return Later(min(max(least, domain.free_at - now), most))
