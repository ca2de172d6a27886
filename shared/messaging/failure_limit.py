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
        self._failed = self._events = 0

    def allows(self, failed: int, events: int) -> bool:
        """Count a batch with ``failed`` of ``events``. Returns whether the failed events may be parked."""
        if not events:
            return True
        if self.is_reached:
            self.is_reached = failed > SHARE * events
            return not self.is_reached
        now = self._now()
        self._batches.append((now, failed, events))
        self._count(failed, events)
        while self._batches[0][0] <= now - WINDOW_SECONDS:
            _, old_failed, old_events = self._batches.popleft()
            self._count(-old_failed, -old_events)
        self.is_reached = self._failed > NUMBER and self._failed > SHARE * self._events
        if self.is_reached:
            self._batches.clear()
            self._failed = self._events = 0
        return not self.is_reached

    def _count(self, failed: int, events: int) -> None:
        self._failed += failed
        self._events += events
