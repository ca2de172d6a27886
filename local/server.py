import time
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from local.children import Child
from local.failures import LocalStackError
from local.readiness import wait_until

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 15.0
_STABLE_SECONDS = 30.0


class LocalServer(ABC):
    """The context manager stops it. `title` is its name in messages."""

    title: str
    start_seconds: float = 20.0
    grace_seconds: float = 5.0
    _child: Child | None = None
    _began_at = 0.0
    _pause = _FIRST_PAUSE
    _begins_again_at: float | None = None

    @property
    def pid(self) -> int:
        """Raises `LocalStackError` if the server does not run."""
        return self.child.pid

    @property
    def child(self) -> Child:
        """Raises `LocalStackError` if the server was stopped."""
        if self._child is None:
            raise LocalStackError(f"{self.title} is not running")
        return self._child

    def running(self) -> bool:
        return self._child is not None and self._child.running()

    def ready(self) -> bool:
        return self.running() and self.answers()

    def stop(self) -> None:
        """Send the stop signal, and kill the process after `grace_seconds`. Its data on disk stays."""
        if (child := self._child) is not None:  # another thread may stop it too
            child.stop(self.grace_seconds)
            self._child = None
        self._begins_again_at = None

    def kill(self) -> None:
        if self._child is not None:
            self._child.kill()

    def restart(self) -> None:
        """Use the same ports and data, whether the process is stopped, killed or running."""
        self.stop()
        self.start()

    def start(self) -> Self:
        """Return once the server answers. Otherwise kill it and raise `LocalStackError`."""
        self._begin()
        try:
            self.wait_until_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def wait_until_ready(self) -> None:
        """Raises `LocalStackError` if the process ends first or takes too long."""
        what = f"an answer from {self.title}"
        wait_until(self.answers, seconds=self.start_seconds, what=what, child=self.child)

    def revive(self) -> str | None:
        """Start an ended server again after a pause. Return a message about the end or the start, or None.

        The pause doubles with each end soon after a start, up to 15 s. A server that ended without an error
        has the shortest pause. Raises `LocalStackError` if it cannot be started; it is tried again later.
        """
        if self._child is not None:
            code = self._child.exit_code()
            if code is None:
                return None
            log, self._child = self._child.log_file, None
            if code == 0 or time.monotonic() - self._began_at > _STABLE_SECONDS:
                self._pause = _FIRST_PAUSE
            pause, self._pause = self._pause, min(self._pause * 2, _LONGEST_PAUSE)
            self._begins_again_at = time.monotonic() + pause
            return f"{self.title} ended ({_cause(code)}); starting it again in {pause:g} s, log: {log}"
        if self._begins_again_at is None or time.monotonic() < self._begins_again_at:
            return None
        self._begins_again_at = time.monotonic() + self._pause
        self._begin()
        return f"{self.title} is started again"

    def _begin(self) -> None:
        self._child = self.start_process()
        self._began_at = time.monotonic()
        self._begins_again_at = None

    @abstractmethod
    def start_process(self) -> Child:
        pass

    @abstractmethod
    def answers(self) -> bool:
        """Another process's answer from its port does not count."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _cause(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
