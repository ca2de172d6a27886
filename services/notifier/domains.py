"""No domain gets more of our connections, or more mails a second, than it may have.

One slow or strict mail host must not hold up the others, nor take offence at a fan-out. Known to one process
only: with several, each counts for itself. Nothing is known here of the queue or of SMTP.
"""

import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar
from uuid import UUID

Job = TypeVar("Job")

MOST_HELD = 200
"""Jobs of one domain that wait here for their turn; more would be for too long."""
SLOW_SECONDS = 1.0
"""Who has waited so long shows that their domain is slow: nobody else of it is held or waited for."""
TURN_AWAY_SECONDS = 30.0


class Entry(Enum):
    """Whether a mail's turn is now."""

    NOW = "now"
    HELD = "held"
    """Somebody who leaves takes it with them: :meth:`Domains.leave`."""


@dataclass(frozen=True, slots=True)
class Later:
    """Come back in so many seconds; the place is kept."""

    seconds: float


class Domains(Generic[Job]):
    """``most`` mails of one domain under way at once, ``rate`` begun each second; 0 is no limit."""

    def __init__(
        self, *, most: int = 0, rate: float = 0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._rate = rate
        self._monotonic = monotonic
        self._under_way: dict[str, int] = defaultdict(int)
        self._held: dict[str, deque[tuple[float, Job]]] = defaultdict(deque)
        self._free_at: dict[str, float] = {}
        self._places: dict[UUID, float] = {}

    def enter(self, domain: str, mail_id: UUID, job: Job) -> Entry | Later:
        """Ask for a turn. After ``NOW``, :meth:`leave` must follow."""
        if self._rate:
            wait = self._wait(domain, mail_id)
            if wait > 0:
                return Later(wait)
        if self._most and self._under_way[domain] >= self._most:
            held = self._held[domain]
            if len(held) >= MOST_HELD or self._is_slow(held):
                return Later(TURN_AWAY_SECONDS)  # or their leases would run out here
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

    def _wait(self, domain: str, mail_id: UUID) -> float:
        """Seconds until this mail's turn by the rate, 0 when it is now. A place that was given is kept."""
        now = self._monotonic()
        place = self._places.get(mail_id)
        if place is None:
            place = max(now, self._free_at.get(domain, 0.0))
            self._free_at[domain] = place + 1 / self._rate
            if place > now:
                self._places[mail_id] = place
        if place > now:
            return place - now
        self._places.pop(mail_id, None)
        if len(self._free_at) > 10_000:
            self._forget(now)
        return 0.0

    def _forget(self, now: float) -> None:
        """What is an hour old belongs to mails that another process has sent."""
        self._free_at = {domain: at for domain, at in self._free_at.items() if at > now}
        self._places = {mail_id: at for mail_id, at in self._places.items() if at > now - 3600}
