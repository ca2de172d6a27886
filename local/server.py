from abc import ABC, abstractmethod
from types import TracebackType
from typing import ClassVar, Self

from local.children import Child
from local.failures import LocalStackError
from local.readiness import wait_until


class LocalServer(ABC):
    """A server in a child process. The context manager stops it. `title` is its name in messages."""

    title: ClassVar[str]
    start_seconds: ClassVar[float] = 20.0
    grace_seconds: ClassVar[float] = 5.0
    _child: Child | None = None

    @property
    def pid(self) -> int:
        """Return the process's id. Raises `LocalStackError` if the server does not run."""
        return self.child.pid

    @property
    def child(self) -> Child:
        """Raises `LocalStackError` when it was stopped."""
        if self._child is None:
            raise LocalStackError(f"{self.title} is not running")
        return self._child

    def running(self) -> bool:
        return self._child is not None and self._child.running()

    def stop(self) -> None:
        """Send the stop signal, and kill the process after `grace_seconds`. Its data on disk stays."""
        if self._child is not None:
            self._child.stop(self.grace_seconds)
            self._child = None

    def kill(self) -> None:
        if self._child is not None:
            self._child.kill()

    def restart(self) -> None:
        """Start again on the same ports and data, whether the process is stopped, killed or running."""
        self.stop()
        self.start()

    def start(self) -> Self:
        """Start the server and return it once it answers. Otherwise kill it and raise `LocalStackError`."""
        self._child = self.start_process()
        try:
            wait_until(
                self.answers,
                seconds=self.start_seconds,
                what=f"an answer from {self.title}",
                child=self._child,
            )
        except BaseException:
            self._child.kill()
            raise
        return self

    @abstractmethod
    def start_process(self) -> Child:
        pass

    @abstractmethod
    def answers(self) -> bool:
        """Return whether the server works. Another process's answer from its port does not count."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
