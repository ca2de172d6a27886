"""Stores each mail as a file. A list needs only the files' names; a search reads every mail once."""

import itertools
import os
import re
import secrets
import time
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from local.mailbox.reading import first_fields

_NAME = re.compile(r"[\w-][\w.-]*\.eml")
_HEAD_BYTES = 16_384  # a longer header block is listed by its beginning


@dataclass(frozen=True, slots=True)
class Entry:
    """Names sort by arrival. `folded` is the text to search, without case and accents."""

    name: str
    recipient: str
    subject: str
    size: int
    folded: str

    @property
    def received_at(self) -> datetime:
        return _moment(self.name)

    def has(self, wanted: Sequence[str]) -> bool:
        return all(word in self.folded for word in wanted)


class MailIndex:
    """The mails of a directory. A header block is read when a page shows it or a search needs it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._entries: dict[str, Entry] = {}
        self._numbers = itertools.count()
        self._run = secrets.token_hex(3)  # keeps names apart: of two processes, or after a clock was set back
        self._draft = f"{directory}/.{self._run}.part"
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        names = os.listdir(directory)  # noqa: PTH208 a path of each of 100,000 mails would take seconds
        for left in names:
            if left.startswith(".") and left.endswith(".part"):
                (directory / left).unlink(missing_ok=True)
        self._names = sorted(name for name in names if name.endswith(".eml"))

    def keep(self, mail: bytes) -> str:
        """Write a mail to its file, atomically. Returns the file's name."""
        seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(seconds))
        name = f"{stamp}.{nanoseconds:09d}Z-{next(self._numbers):08d}-{self._run}.eml"
        # This runs a thousand times a second: plain paths and os.open halve its cost.
        descriptor = os.open(self._draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            while mail:
                mail = mail[os.write(descriptor, mail) :]
        finally:
            os.close(descriptor)
        os.rename(self._draft, f"{self.directory}/{name}")  # noqa: PTH104
        self._names.append(name)
        return name

    def find(self, query: str = "") -> Sequence[str]:
        """Return the names of the mails, the newest first.

        Each word must occur in recipient, sender or subject. Accents and case do not count.
        """
        wanted = fold(query).split()
        if not wanted:
            return self._names[::-1]
        return [entry.name for entry in self.entries(self._names[::-1]) if entry.has(wanted)]

    def entries(self, names: Sequence[str]) -> list[Entry]:
        """Leave out mails without a file. A mail that was read before stays until somebody opens it."""
        found = {name: self._entries.get(name) or self._read_entry(name) for name in names}
        self._forget({name for name, entry in found.items() if entry is None})
        return [entry for entry in found.values() if entry is not None]

    def read(self, name: str) -> bytes | None:
        # The name comes from an address: only plain names reach the file system.
        if _NAME.fullmatch(name) is None:
            return None
        try:
            return (self.directory / name).read_bytes()
        except OSError:
            self._forget({name})
            return None

    def _forget(self, names: Collection[str]) -> None:
        if names:
            self._names = [name for name in self._names if name not in names]
            for name in names:
                self._entries.pop(name, None)

    def _read_entry(self, name: str) -> Entry | None:
        try:
            with (self.directory / name).open("rb") as file:
                head, size = file.read(_HEAD_BYTES), os.fstat(file.fileno()).st_size
        except FileNotFoundError:
            return None
        fields = first_fields(head)
        envelope = fields.get("delivered-to", "")
        recipient, subject = fields.get("to") or envelope, fields.get("subject", "")
        entry = self._entries[name] = Entry(
            name=name,
            recipient=recipient,
            subject=subject,
            size=size,
            folded=fold(f"{recipient} {envelope} {subject} {fields.get('from', '')}"),
        )
        return entry


def fold(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)).casefold()


def _moment(name: str) -> datetime:
    try:
        return datetime.strptime(name[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return datetime.fromtimestamp(0, UTC)  # a person put the file there
