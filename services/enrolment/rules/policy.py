from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Policy:
    last_offer: timedelta = timedelta(hours=48)
    """Before the start. No seat is offered later, and no offer lasts longer."""
    grace: timedelta = timedelta(seconds=5)
    """Offers and pending approvals wait this long after their end for a reply that was sent in time."""
    longest_hold: timedelta | None = None
    """Shortens every hold, for a rehearsal."""
    group_keeps: timedelta = timedelta(days=7)
    """A waiting group keeps too few seats this long (rule 17)."""
    overlap_check: bool = False
    """Refuse a session that overlaps another of the agent's enrolled or waiting sessions."""
    messages_a_day: int = 1

    def longest(self, hold: timedelta) -> timedelta:
        return hold if self.longest_hold is None else min(hold, self.longest_hold)
