"""The limit on failing handlers: a fault of ours must not park a whole topic.

Pure: how many events handlers took and failed on comes in, and whether those may be parked comes out. What
portals may not send, and what cannot be read, never gets to a handler and is not counted.
"""

import time
from collections import deque
from collections.abc import Callable

WINDOW_SECONDS = 60.0
NUMBER = 50
SHARE = 0.5


class FailureLimit:
    """The limit of one consumer: more than :data:`NUMBER` within a minute, and most of what came.

    Once ``is_reached`` nothing may be parked until most of a batch is handled: the fault is mended then.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.is_reached = False
        self._now = now
        self._batches: deque[tuple[float, int, int]] = deque()

    def allows(self, failed: int, events: int) -> bool:
        """Note a batch of ``events`` of which ``failed`` failed. Returns whether these may be parked."""
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
