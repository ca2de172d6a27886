import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from local import unprivileged
from local.credentials import write_privately
from local.failures import LocalStackError


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raises `LocalStackError` if a file below the path cannot be written."""
    try:
        yield
    except OSError as error:
        raise LocalStackError(
            f"{path} cannot be written ({error.strerror}): "
            "it may belong to another user who ran the stack; run as that user or remove it"
        ) from None


class Folder:
    def __init__(self, path: Path, data: Path | None) -> None:
        self.path = path.absolute()
        self.data = (data or path).absolute()
        self.description = self.path / "stack.json"
        self._lock: IO[str] | None = None

    @property
    def taken(self) -> bool:
        return self._lock is not None

    def take(self) -> None:
        """Raises `LocalStackError` if another stack runs in the folder or it cannot be written."""
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            unprivileged.close_to_others(self.path)
            lock = (self.path / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            owner = lock.read().strip() or "?"
            lock.close()
            raise LocalStackError(
                f"another stack runs in this folder (process {owner}): stop it with Ctrl-C or kill {owner}"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock
        self.description.unlink(missing_ok=True)  # a killed stack has left it

    def release(self) -> None:
        if self._lock is not None:
            self.description.unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def log(self, part: str, number: int = 1) -> Path:
        return self.path / "logs" / f"{part}-{number}.log"

    def set_logs_aside(self) -> None:
        previous = self.path / "logs" / "previous"
        shutil.rmtree(previous, ignore_errors=True)
        previous.mkdir(parents=True)
        for log in previous.parent.glob("*.log"):
            log.rename(previous / log.name)

    def empty_data(self) -> None:
        if self.data == self.path:
            raise ValueError("a fresh stack needs a data folder of its own")
        remove_data(self.data)

    def describe(self, description: Mapping[str, object]) -> None:
        write_privately(self.description, json.dumps(description, indent=2) + "\n")


def remove_data(data: Path) -> None:
    unprivileged.remove_data(data / "postgres")
    shutil.rmtree(data, ignore_errors=True)
