"""The limit on failing handlers: our own fault must not park a whole topic.

Only events that reached a handler count. Rejected and unreadable records do not.
"""

import time
from collections import deque
from collections.abc import Callable

WINDOW_SECONDS = 60.0
NUMBER = 50
SHARE = 0.5


class FailureLimit:
    """The limit: more than :data:`NUMBER` failures within a minute, and most of the events.

    Once it is reached, nothing may be parked until most of a batch succeeds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.is_reached = False
        self._now = now
        self._batches: deque[tuple[float, int, int]] = deque()

    def allows(self, failed: int, events: int) -> bool:
        """Count a batch with ``failed`` of ``events``. Returns whether the failed events may be parked."""
        if not events:
            return True
        if self.is_reached:
            self.is_reached = failed > SHARE * events
            return not self.is_reached
        now = self._now()
        self._batches.append((now, failed, events))
        while self._batches[0][0] <= now - WINDOW_SECONDS:
            self._batches.popleft()
        all_failed = sum(failed for _, failed, _ in self._batches)
        all_events = sum(events for _, _, events in self._batches)
        self.is_reached = all_failed > NUMBER and all_failed > SHARE * all_events
        if self.is_reached:
            self._batches.clear()
        return not self.is_reached
