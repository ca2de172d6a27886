"""Moves the clock of this process's children by libfaketime, without changing any program.

Within `MovedClock.lend`, each child and its own children read the time of day from a file. Waiting, timeouts,
file times and the clock of this process do not move. The embedded broker is linked statically, so it ignores
the file.
"""

import contextlib
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from local.failures import LocalStackError

_FIXED = {
    "FAKETIME_NO_CACHE": "1",  # all processes follow the file at once
    "DONT_FAKE_MONOTONIC": "1",
    "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    "FAKETIME_FORCE_MONOTONIC_FIX": "0",  # otherwise waits in Java would end at once, again and again
    "NO_FAKE_STAT": "1",  # otherwise no compiled module would be as old as its source
}
_LIBRARY, _FILE = "LD_PRELOAD", "FAKETIME_TIMESTAMP_FILE"
_PLACES = (
    "/usr/lib/*/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/local/lib/faketime/libfaketimeMT.so.1",
)


def library(places: Sequence[str] = _PLACES) -> Path:
    """Raises `LocalStackError` with the package to install."""
    for place in places:
        for found in sorted(Path("/").glob(place.lstrip("/"))):
            return found
    raise LocalStackError(
        "the clock cannot be moved: libfaketime is missing. "
        "On Debian and Ubuntu: apt-get install faketime. It works on Linux alone."
    )


def lent() -> dict[str, str]:
    """Return the environment variables that a child needs for the clock."""
    if _FILE not in os.environ:
        return {}
    return {name: os.environ[name] for name in (_LIBRARY, _FILE, *_FIXED)}


def remove_left(memory: Path = Path("/dev/shm")) -> None:  # noqa: S108 - where POSIX shared memory is on Linux
    """Remove shared memory that the library leaves behind when its process ends."""
    for left in memory.glob("*faketime_s[eh]m_*"):
        pid = left.name.rpartition("_")[2]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            with contextlib.suppress(OSError):  # it belongs to another user
                left.unlink()


class MovedClock:
    """The clock of all children started within `lend`. It only goes forward."""

    def __init__(self, file: Path, moment: datetime) -> None:
        self._file = file
        self._offset = timedelta(0)
        self._move(_whole(moment - datetime.now(UTC)))

    @classmethod
    @contextlib.contextmanager
    def lend(cls, moment: datetime) -> Iterator["MovedClock"]:
        before = {name: os.environ.get(name) for name in (_LIBRARY, _FILE, *_FIXED)}
        preloaded = library()
        folder = Path(tempfile.mkdtemp(prefix="parcours-clock-"))
        try:
            folder.chmod(0o755)  # Postgres may run as another user
            clock = cls(folder / "offset", moment)
            os.environ |= {_LIBRARY: str(preloaded), _FILE: str(folder / "offset"), **_FIXED}
            yield clock
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value
            shutil.rmtree(folder, ignore_errors=True)
            remove_left()

    def now(self) -> datetime:
        return datetime.now(UTC) + self._offset

    def set(self, moment: datetime) -> None:
        ahead = moment - self.now()
        if ahead > timedelta(0):
            self._move(self._offset + _whole(ahead))

    def _move(self, offset: timedelta) -> None:
        draft = self._file.with_suffix(".new")
        draft.write_text(f"{offset // timedelta(seconds=1):+d}")
        draft.chmod(0o644)
        draft.replace(self._file)
        self._offset = offset


def _whole(time: timedelta) -> timedelta:
    return timedelta(seconds=math.ceil(time.total_seconds()))
