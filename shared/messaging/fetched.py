"""Reads what aiokafka fetched, whatever it contains (ADR 0006, ADR 0038).

aiokafka reads a batch of records inside its fetcher, above our parser. A batch that it cannot read is fetched
again for ever, and the partition stands still. A compressed batch is uncompressed whole, however large it
gets.

Here a batch is first uncompressed into a bound. A batch that is larger or unreadable becomes one record that
says so. So does a batch that would cost much more memory than its bytes: aiokafka's fast reader takes some
hundred bytes for a header of two, and its tolerant reader would follow any length out of the batch. In header
names that are not UTF-8, which C clients can send, the bad bytes are escaped.

The embedded broker numbers a batch before it stores it. While several clients write to a partition, a reader
may be given a later batch without an earlier one (ADR 0003). There a fetch ends before the gap.
"""

import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter
from typing import Any, ClassVar, SupportsIndex

from aiokafka import TopicPartition
from aiokafka.consumer import consumer, fetcher
from aiokafka.consumer.fetcher import Fetcher, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import decode_varint_py

from shared.messaging import cluster
from shared.messaging.uncompressing import CannotUncompress, uncompressed

MAX_RECORDS = 50_000
"""A request has some hundred bytes, so no honest batch of 16 MiB has more records."""
LEAST_COMPRESSED = 8
"""Bytes of a compressed batch for each of its records, because each has an id of its own.

Without the bound 32 KB are 50,000 records, and each is kept as a dead letter.
"""
MAX_HEADERS = 200
_AT_ONCE = 4 * 1024 * 1024
"""After this many uncompressed bytes, the rest of a fetch is fetched later.

A fetch may hold a thousand batches, and their records may all be requested together.
"""
_POLL_SECONDS = 1.0
"""The shortest poll: FastStream sleeps after a poll that found nothing."""
_MISSING_SECONDS = 5.0
"""A batch numbered by the embedded broker may be missing this long. Then it is passed over."""

# A batch begins with its base offset, its length, four unused bytes, and its format. The attributes, whose
# last bits are the compression, have another place in the formats 0 and 1.
_START = struct.Struct(">qi4xb")
_LENGTH = struct.calcsize(">qi")
_HEADER = _DefaultRecordBatchPy.HEADER_STRUCT.size
_COUNT = struct.Struct(">i")
_ATTRIBUTES, _OLD_ATTRIBUTES = 22, 17
_NONE = -1  # the length of a null
_FORM = 2  # the format since Kafka 0.11
_CODEC = _DefaultRecordBatchPy.CODEC_MASK


def tolerate() -> None:
    """Make every consumer of this process read this way. Repeating changes nothing."""
    fetcher.MemoryRecords = _Records
    fetcher.PartitionRecords = _PartitionRecords
    consumer.Fetcher = _Fetcher


class TooCostly(ValueError):
    """aiokafka may not read this batch, or its rest."""


class Unread(bytes):
    """The value of a record that replaces an unreadable one: why it is unreadable."""

    reason: str


@dataclass(frozen=True, slots=True)
class _UnreadRecord:
    """Replaces unreadable records of a batch, at the offset of the last of them."""

    offset: int
    timestamp: int
    timestamp_type: int
    value: Unread
    key: None = None
    checksum: None = None
    headers: tuple[()] = ()


class _Fetcher(Fetcher):  # type: ignore[misc]  # aiokafka left it untyped
    """Fetches only when a poll waits for records, so that a fetch brings all records since the last one.

    aiokafka fetches ahead: a fetch ends with the first new record, and its partition is left out of the next.
    That is right only for a backlog, where a poll gets as many records as it may have.
    """

    _has_backlog = False

    async def fetched_records(
        self,
        partitions: object,
        timeout: float = 0,  # noqa: ASYNC109 aiokafka's name
        max_records: int | None = None,
    ) -> dict[TopicPartition, list[Any]]:
        if max_records is not None:
            timeout = max(timeout, _POLL_SECONDS)
        found: dict[TopicPartition, list[Any]] = await super().fetched_records(
            partitions, timeout, max_records
        )
        self._has_backlog = max_records is None or sum(map(len, found.values())) == max_records
        return found

    def _create_fetch_waiter(self) -> Any:
        self._notify(self._wait_consume_future)
        return super()._create_fetch_waiter()

    def _get_actions_per_node(self, assignment: object) -> tuple[list[Any], *tuple[Any, ...]]:
        fetches, *others = super()._get_actions_per_node(assignment)
        ahead = self._has_backlog and not self._records
        return fetches if ahead or self._fetch_waiters else [], *others


class _PartitionRecords(PartitionRecords):  # type: ignore[misc]  # aiokafka left it untyped
    """A partition's records; from the embedded broker, without a gap."""

    def __init__(
        self, tp: TopicPartition, records: "_Records", aborted: object, fetch_offset: int, *others: object
    ) -> None:
        if cluster.is_embedded():
            records.read_in_order(tp, fetch_offset)
        super().__init__(tp, records, aborted, fetch_offset, *others)


class _Records:
    _missing: ClassVar[dict[TopicPartition, tuple[int, float]]] = {}
    """The offset at which a partition waits for a batch, and since when (monotonic)."""

    def __init__(self, data: bytes) -> None:
        self.uncompressed = 0
        self._in_order: TopicPartition | None = None
        self._expected = 0
        self._data = memoryview(data)
        self._position = 0
        self._records = MemoryRecords(data)

    def read_in_order(self, tp: TopicPartition, offset: int) -> None:
        """From this offset on, end before a missing offset for as long as it may still come."""
        self._in_order, self._expected = tp, offset

    def has_next(self) -> bool:
        return self.uncompressed < _AT_ONCE and self._records.has_next() and not self._misses_one()

    def _misses_one(self) -> bool:
        if self._in_order is None or _START.unpack_from(self._data, self._position)[0] <= self._expected:
            return False
        now = time.monotonic()
        offset, since = self._missing.get(self._in_order, (None, now))
        if offset != self._expected:
            since = now
        self._missing[self._in_order] = self._expected, since
        return now - since < _MISSING_SECONDS

    def size_in_bytes(self) -> int:
        size: int = self._records.size_in_bytes()
        return size

    def next_batch(self) -> "_Batch | None":
        batch = self._records.next_batch()
        if batch is None:
            return None
        begin = self._position
        first, length, form = _START.unpack_from(self._data, begin)
        self._position = end = begin + _LENGTH + length
        self._expected = batch.next_offset
        return _Batch(batch, self._data[begin:end], self, first, form)


class _Batch:
    """A batch, read by aiokafka's fast or tolerant reader, or not at all."""

    # The fetcher reads these before the batch; through __getattr__ each would cost as much as a record.
    base_offset = property(attrgetter("_fast.base_offset"))
    next_offset = property(attrgetter("_fast.next_offset"))
    producer_id = property(attrgetter("_fast.producer_id"))
    is_transactional = property(attrgetter("_fast.is_transactional"))
    is_control_batch = property(attrgetter("_fast.is_control_batch"))
    validate_crc = property(attrgetter("_fast.validate_crc"))

    def __init__(self, fast: Any, data: memoryview, fetch: _Records, first: int, form: int) -> None:
        self._fast = fast
        self._data = data
        self._fetch = fetch
        self._read_to = first - 1
        self._form = form

    def __next__(self) -> Any:
        return next(self._fast)

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self._read()
        except Exception as error:  # noqa: BLE001 its checksum is right, so each attempt would fail
            yield self._unread(error)

    def _read(self) -> Iterator[Any]:
        batch = self._uncompressed()
        starts, fault = ([], None) if self._form < _FORM else _measured(self._data)
        readable = None if fault is None else len(starts)
        done = 0
        try:
            for record in islice(batch, readable):
                self._read_to, done = record.offset, done + 1
                yield record
        except (UnicodeDecodeError, CorruptRecordException) as error:
            if not isinstance(error.__cause__ or error, UnicodeDecodeError):
                raise
            tolerant = _Tolerant(self._data, starts[done], done)
            for record in islice(tolerant, readable if readable is None else readable - done):
                self._read_to = record.offset
                yield record
        if fault is not None:
            raise fault

    def _uncompressed(self) -> Any:
        is_old = self._form < _FORM
        codec = self._data[_OLD_ATTRIBUTES if is_old else _ATTRIBUTES] & _CODEC
        if not codec:
            return self._fast
        if is_old:
            raise CannotUncompress(f"compressed records of the old format {self._form} are not read")
        header = bytearray(self._data[:_HEADER])
        [count] = _COUNT.unpack_from(header, _HEADER - _COUNT.size)
        if count * LEAST_COMPRESSED > len(self._data):
            raise TooCostly(f"it has {count} records in {len(self._data)} bytes")
        header[_ATTRIBUTES] &= ~_CODEC
        self._data = memoryview(uncompressed(codec, self._data[_HEADER:], header))
        self._fetch.uncompressed += len(self._data)
        return DefaultRecordBatch(self._data)

    def _unread(self, error: Exception) -> _UnreadRecord:
        first, last = self._read_to + 1, self.next_offset - 1
        value = Unread()
        value.reason = (
            f"records {first} to {last} of this partition are in a batch that cannot be read: {error}"
        )
        fast = self._fast
        return _UnreadRecord(
            last, getattr(fast, "max_timestamp", 0), getattr(fast, "timestamp_type", 0), value
        )


def _measured(batch: memoryview) -> tuple[list[int], Exception | None]:
    """Return where the readable records begin, and what is wrong with the record after them.

    aiokafka must get no other record: a length that it and the broker read differently hides what follows.
    The length of a record itself may be trusted, because aiokafka reads nothing after a wrong one.
    """
    [count] = _COUNT.unpack_from(batch, _HEADER - _COUNT.size)
    if count > MAX_RECORDS:
        return [], TooCostly(f"it has {count} records, more than {MAX_RECORDS}")
    starts: list[int] = []
    position = _HEADER
    try:
        for _ in range(count):
            headers, end = _headers_of(batch, position)
            if not 0 <= headers <= MAX_HEADERS:
                return starts, TooCostly(f"a record has {headers} headers, more than {MAX_HEADERS}")
            starts.append(position)
            position = end
    except (IndexError, ValueError) as error:
        return starts, TooCostly(f"a record is longer than its batch, or has a size that is none: {error}")
    return starts, None


def _headers_of(batch: memoryview, position: int) -> tuple[int, int]:
    length, begin = decode_varint_py(batch, position)
    position = begin
    for _ in range(3):  # attributes, time, offset
        _, position = decode_varint_py(batch, position)
    for _ in range(2):  # key, value
        size, position = decode_varint_py(batch, position)
        if size < _NONE:
            raise ValueError(f"a size of {size}")
        position += max(size, 0)
    headers, _ = decode_varint_py(batch, position)
    return headers, begin + length


class _Tolerant(_DefaultRecordBatchPy):  # type: ignore[misc]  # aiokafka left it untyped
    """The records of a batch from one of them on, by aiokafka's reader in Python.

    It gets a bounded function to read numbers; the function in C has no bound.
    """

    def __init__(self, batch: memoryview, position: int, number: int) -> None:
        super().__init__(batch)
        self._buffer: Any = _Escaping(self._buffer)
        self._pos = position
        self._next_record_index = number

    def _read_msg(self, decode_varint: Any = decode_varint_py) -> Any:
        return super()._read_msg(decode_varint)


class _Escaping(bytes):
    """Every part of these bytes can be decoded to text."""

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        part = super().__getitem__(index)
        return _Escaping(part) if isinstance(part, bytes) else part

    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:
        del errors
        return super().decode(encoding, "backslashreplace")
