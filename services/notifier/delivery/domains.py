"""No domain gets more of a process's connections to the relay than it may have.

A slow mail host must not hold up the others. What is shared out are the connections of this process, so each
process counts for itself. Nothing is known here of the queue or of SMTP.
"""

import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

Job = TypeVar("Job")

MOST_HELD = 200
"""Jobs of one domain that wait here for their turn; more would be for too long."""
SLOW_SECONDS = 1.0
"""Who has waited so long shows that their domain is slow: nobody else of it is held or waited for."""
TURN_AWAY_SECONDS = (1.0, 30.0)
"""How long who is turned away stays away, the first of a domain and the many after them."""


class Entry(Enum):
    """Whether a mail's turn is now."""

    NOW = "now"
    HELD = "held"
    """Somebody who leaves takes it with them: :meth:`Domains.leave`."""


@dataclass(frozen=True, slots=True)
class Later:
    """Come back in so many seconds."""

    seconds: float


class Domains(Generic[Job]):
    """``most`` mails of one domain under way at once; 0 is no limit."""

    def __init__(self, *, most: int = 0, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._monotonic = monotonic
        self._under_way: dict[str, int] = defaultdict(int)
        self._held: dict[str, deque[tuple[float, Job]]] = defaultdict(deque)
        self._turned_away: dict[str, int] = defaultdict(int)

    def enter(self, domain: str, job: Job) -> Entry | Later:
        """Ask for a turn. After ``NOW``, :meth:`leave` must follow."""
        if self._most and self._under_way[domain] >= self._most:
            held = self._held[domain]
            if len(held) >= MOST_HELD or self._is_slow(held):
                return self._turn_away(domain)  # or their leases would run out here
            held.append((self._monotonic(), job))
            return Entry.HELD
        self._under_way[domain] += 1
        return Entry.NOW

    def leave(self, domain: str) -> Job | None:
        """End a turn. The job that has it now, if one was held."""
        held = self._held.get(domain)
        if held:
            return held.popleft()[1]
        self._held.pop(domain, None)
        self._turned_away.pop(domain, None)
        self._under_way[domain] -= 1
        if not self._under_way[domain]:
            del self._under_way[domain]
        return None

    def waiting(self) -> int:
        """How many are held and will soon be gone: those of slow domains do not count."""
        return sum(len(held) for held in self._held.values() if not self._is_slow(held))

    def _is_slow(self, held: "deque[tuple[float, Job]]") -> bool:
        return bool(held) and self._monotonic() - held[0][0] > SLOW_SECONDS

    def let_go(self) -> None:
        """Forget who is held: somebody else gives them back."""
        self._held.clear()

    def _turn_away(self, domain: str) -> Later:
        """Longer the more there are: a few come back at once, a hundred thousand do not all the time."""
        least, most = TURN_AWAY_SECONDS
        self._turned_away[domain] += 1
        return Later(min(most, least + self._turned_away[domain] / 20))
