"""The choices that the domain leaves open."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Policy:
    """The choices of an installation, with their defaults."""

    last_offer: timedelta = timedelta(hours=48)
    """Before the start: no seat is offered later, and no offer lasts longer."""
    grace: timedelta = timedelta(seconds=5)
    """How long after its end an offer, or a pending approval, waits for a reply on its way to us."""
    longest_hold: timedelta | None = None
    """Shortens every hold, for a rehearsal."""
    group_keeps: timedelta = timedelta(days=7)
    """How long a waiting group keeps seats that are too few for it (rule 17)."""
    overlap_check: bool = False
    """Refuse a session that overlaps another one in which the agent is enrolled or waits."""
    messages_a_day: int = 1
    """The most messages of its organiser that a participant gets in a day."""

    def longest(self, hold: timedelta) -> timedelta:
        """Return the length of a hold. A rehearsal may shorten it."""
        return hold if self.longest_hold is None else min(hold, self.longest_hold)
