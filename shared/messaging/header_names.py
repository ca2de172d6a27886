"""Reading past header names that are not UTF-8, which C clients can send and aiokafka cannot read.

aiokafka raises inside its fetcher, again at every fetch: one such record and its partition stands still for
ever. Here the batch it is in is read once more, by aiokafka's own Python reader, with the bad bytes escaped.
"""

import struct
from collections.abc import Iterator
from typing import Any, SupportsIndex

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

_BATCH_START = struct.Struct(">qi")
"""Base offset, and the bytes that follow."""


def tolerate() -> None:
    """Let every consumer of this process read past such names. Calling it twice changes nothing."""
    fetcher.MemoryRecords = _Records


class _Records:
    """The records of one fetch, batch by batch, as the fetcher takes them."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._records = MemoryRecords(data)

    def has_next(self) -> bool:
        found: bool = self._records.has_next()
        return found

    def size_in_bytes(self) -> int:
        size: int = self._records.size_in_bytes()
        return size

    def next_batch(self) -> "_Batch | None":
        batch = self._records.next_batch()
        return None if batch is None else _Batch(batch, self._data)


class _Batch:
    """A batch that is read by the tolerant reader where the fast one fails."""

    def __init__(self, fast: Any, data: bytes) -> None:
        self._fast = fast
        self._data = data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fast, name)

    def __next__(self) -> Any:
        return next(self._fast)

    def __iter__(self) -> Iterator[Any]:
        last = -1
        try:
            for record in self._fast:
                last = record.offset
                yield record
        except (UnicodeDecodeError, CorruptRecordException) as error:
            if not isinstance(error.__cause__ or error, UnicodeDecodeError):
                raise
            yield from (record for record in self._tolerantly() if record.offset > last)

    def _tolerantly(self) -> Iterator[Any]:
        batch = _DefaultRecordBatchPy(_batch_at(self._data, self._fast.base_offset))
        records: Iterator[Any] = iter(batch)  # itself, decompressed
        batch._buffer = _Escaping(batch._buffer)  # noqa: SLF001 the one place where names are decoded
        return records


def _batch_at(data: bytes, base_offset: int) -> bytes:
    """Return the bytes of the batch that begins with this offset."""
    position = 0
    while True:
        offset, length = _BATCH_START.unpack_from(data, position)
        end: int = position + _BATCH_START.size + length
        if offset == base_offset:
            return data[position:end]
        position = end


class _Escaping(bytes):
    """Bytes of which every part can be decoded to text."""

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        part = super().__getitem__(index)
        return _Escaping(part) if isinstance(part, bytes) else part

    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:
        del errors
        return super().decode(encoding, "backslashreplace")
