"""A settings file that is read again when it changes. A file with a mistake never comes into force."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from prometheus_client import Gauge

from shared import security_log
from shared.security_log import SecurityEvent, SecurityOutcome

log = logging.getLogger(__name__)

_RELOAD_SECONDS = 1.0
T = TypeVar("T")


class ReloadedFile(Generic[T]):
    """The last valid content of a file. Without a path it never changes.

    A job calls ``reload`` each second; a process without jobs reads the file again when it uses it.
    ``mistakes`` are the errors of an invalid file. The gauge ``is_valid`` is 0 while the file has a mistake.
    """

    def __init__(
        self, path: Path | None, read: Callable[[], T], *, mistakes: type[Exception], is_valid: Gauge
    ) -> None:
        self._path = path
        self._read = read
        self._mistakes = mistakes
        self._is_valid = is_valid
        self._version = _version_of(path)
        self._checked_at = time.monotonic()
        self._content = read()
        is_valid.set(1)

    @property
    def content(self) -> T:
        now = time.monotonic()
        if now - self._checked_at >= _RELOAD_SECONDS:
            self._checked_at = now
            self.reload()
        return self._content

    def reload(self) -> None:
        version = _version_of(self._path)
        if version == self._version:
            return
        self._version = version
        try:
            self._content = self._read()
        except self._mistakes as error:
            self._is_valid.set(0)
            self._record(SecurityOutcome.FAILED)
            log.error("What was read before stays in force: %s", error)  # noqa: TRY400 the line has the whole reason
        else:
            self._is_valid.set(1)
            self._record(SecurityOutcome.OK)
            log.info("%s is read again", self._path)

    def _record(self, outcome: SecurityOutcome) -> None:
        security_log.record(SecurityEvent.KEYS, outcome, where="" if self._path is None else self._path.name)


def _version_of(path: Path | None) -> tuple[int, int, int] | None:
    try:
        found = None if path is None else path.stat()
    except OSError:
        return None
    return None if found is None else (found.st_mtime_ns, found.st_size, found.st_ino)
