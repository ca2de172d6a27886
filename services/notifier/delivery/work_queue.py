"""Claimed mails that wait for a worker, the most urgent first.

While answers come, mass letters get only some of the workers: each would delay the answers.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable

from services.notifier.letters import Priority
from services.notifier.store.claims import Claimed

SHARE = 4
"""While answers come, one worker in this many may send a mass letter."""
RECENT_SECONDS = 1.0
"""Answers are expected for this long after the last one."""


class WorkQueue:
    def __init__(self, workers: int, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._workers = workers
        self._monotonic = monotonic
        self._waiting: dict[Priority, deque[Claimed]] = {priority: deque() for priority in Priority}
        self._idle: deque[asyncio.Future[None]] = deque()
        self._to_many = 0
        self._last_answer = float("-inf")
        self._is_closed = False

    def put(self, mail: Claimed) -> None:
        if self._is_closed:
            return
        self._waiting[mail.priority].append(mail)
        self._wake_worker()

    async def get(self) -> Claimed | None:
        """The mail is in progress until :meth:`finished`. Returns None once the queue is closed."""
        while (mail := self._take()) is None:
            if self._is_closed:
                return None
            idle: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idle.append(idle)
            await idle
        self.begun(mail)
        return mail

    def begun(self, mail: Claimed) -> None:
        """Count a mail as in progress, even if it did not come from this queue."""
        if mail.priority is Priority.ANSWER:
            self._last_answer = self._monotonic()
        else:
            self._to_many += 1

    def finished(self, mail: Claimed) -> None:
        if mail.priority is not Priority.ANSWER:
            self._to_many -= 1
            self._wake_worker()

    def waiting(self, priority: Priority) -> int:
        """Count the waiting mails that are at least as urgent."""
        return sum(len(mails) for other, mails in self._waiting.items() if other <= priority)

    def close(self) -> None:
        """End the workers. The deliverer releases the claims of the dropped mails."""
        self._is_closed = True
        for mails in self._waiting.values():
            mails.clear()
        while self._idle:
            self._wake_worker()

    def _take(self) -> Claimed | None:
        for priority, mails in self._waiting.items():
            if mails and (priority is Priority.ANSWER or self._to_many < self._most_to_many()):
                return mails.popleft()
        return None

    def _most_to_many(self) -> int:
        if self._monotonic() - self._last_answer > RECENT_SECONDS:
            return self._workers
        return max(1, self._workers // SHARE)

    def _wake_worker(self) -> None:
        while self._idle:
            idle = self._idle.popleft()
            if not idle.done():
                idle.set_result(None)
                return
