"""The choices that the domain leaves open."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Policy:
    """What each installation may choose, and the usual values."""

    last_offer: timedelta = timedelta(hours=48)
    """Before the start: no seat is offered later, and no offer stands longer."""
    grace: timedelta = timedelta(seconds=5)
    """How long after its end an offer, or an approval, waits for an answer that is on its way to us."""
    longest_hold: timedelta | None = None
    """Shortens every hold, for a rehearsal."""
    group_keeps: timedelta = timedelta(days=7)
    """How long a group that waits keeps seats that are too few for it (rule 17)."""
    overlap_check: bool = False
    """Refuse a session that overlaps another in which the agent is enrolled or waits."""
    messages_a_day: int = 1
    """How many messages of its organiser who is in a session gets on one day."""

    def longest(self, hold: timedelta) -> timedelta:
        """Return how long a hold is, that a rehearsal may shorten."""
        return hold if self.longest_hold is None else min(hold, self.longest_hold)
