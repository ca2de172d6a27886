"""The mails that are claimed and wait for a worker, the most urgent first.

A mail that is under way makes each step of an answer's way later, from the event to the relay, since they
share the process. So while answers come, letters to many have only some of the workers.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable

from services.notifier.letters import Priority
from services.notifier.store.claims import Claimed

SHARE = 4
"""While answers come, one in so many workers may have a letter to many."""
RECENT_SECONDS = 1.0
"""For how long after an answer others are expected."""


class WorkQueue:
    """Gives mails to ``workers`` workers, each of which has one at a time."""

    def __init__(self, workers: int, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._workers = workers
        self._monotonic = monotonic
        self._waiting: dict[Priority, deque[Claimed]] = {priority: deque() for priority in Priority}
        self._idle: deque[asyncio.Future[None]] = deque()
        self._to_many = 0
        self._last_answer = float("-inf")
        self._is_closed = False

    def put(self, mail: Claimed) -> None:
        """Queue a mail, behind those that are as urgent; once the queue is closed, forget it."""
        if self._is_closed:
            return
        self._waiting[mail.priority].append(mail)
        self._wake_worker()

    async def get(self) -> Claimed | None:
        """Wait for a mail, which is under way until :meth:`finished`. None once the queue is closed."""
        while (mail := self._take()) is None:
            if self._is_closed:
                return None
            idle: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idle.append(idle)
            await idle
        self.begun(mail)
        return mail

    def begun(self, mail: Claimed) -> None:
        """Count a mail as under way; one that the worker had from elsewhere too."""
        if mail.priority is Priority.ANSWER:
            self._last_answer = self._monotonic()
        else:
            self._to_many += 1

    def finished(self, mail: Claimed) -> None:
        """Tell that a mail is under way no more."""
        if mail.priority is not Priority.ANSWER:
            self._to_many -= 1
            self._wake_worker()

    def waiting(self, priority: Priority) -> int:
        """How many mails wait that are as urgent, or more."""
        return sum(len(mails) for other, mails in self._waiting.items() if other <= priority)

    def close(self) -> None:
        """Forget the mails that wait, whose claims are released elsewhere; each worker ends when it asks."""
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
