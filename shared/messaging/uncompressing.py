"""Uncompresses a batch of records into a bound, so that few bytes never become many in memory.

aiokafka's own decoders have no bound. These decode into memory of a fixed size.
"""

import mmap
import struct
import threading
from collections.abc import Callable, Mapping

import cramjam

MAX_BYTES = 16 * 1024 * 1024
"""Bytes of the records of a batch. Producers close a batch at 1 MB or less by default."""
MAX_HEAD = 1024

_XERIAL = struct.Struct(">8sii")
_XERIAL_MAGIC = b"\x82SNAPPY\x00"
_BLOCK = struct.Struct(">i")

_room = memoryview(mmap.mmap(-1, MAX_HEAD + MAX_BYTES, mmap.MAP_PRIVATE))
"""All batches share this memory in turn: new memory for each would cost more than to uncompress it.

Pages that no batch has needed yet take no memory.
"""
_in_use = threading.Lock()


class CannotUncompress(ValueError):
    """A batch is damaged, too large, or has an unknown compression."""


def uncompressed(codec: int, records: memoryview, head: bytes | bytearray) -> bytes:
    """Return ``head``, followed by ``records`` uncompressed. Raises :class:`CannotUncompress`.

    ``codec`` is Kafka's number of a compression, 1 to 4.
    """
    if codec not in _CODECS:
        raise CannotUncompress(f"there is no compression of number {codec}")
    name, decode = _CODECS[codec]
    start = len(head)
    with _in_use:
        _room[:start] = head
        try:
            size = decode(records, _room[start : start + MAX_BYTES])
        except (cramjam.DecompressionError, struct.error) as error:
            raise CannotUncompress(f"{name} is damaged, or more than {MAX_BYTES} bytes: {error}") from error
        return bytes(_room[: start + size])


def _snappy(records: memoryview, room: memoryview) -> int:
    """Decode snappy, plain or in the blocks of Java's ``SnappyOutputStream`` (xerial)."""
    if not (len(records) >= _XERIAL.size and _XERIAL.unpack_from(records)[0] == _XERIAL_MAGIC):
        return cramjam.snappy.decompress_raw_into(records, room)
    position, size = _XERIAL.size, 0
    while position < len(records):
        [length] = _BLOCK.unpack_from(records, position)
        position += _BLOCK.size
        if not 0 < length <= len(records) - position:
            raise CannotUncompress(f"a block of snappy has {length} bytes")
        size += cramjam.snappy.decompress_raw_into(records[position : position + length], room[size:])
        position += length
    return size


_CODECS: Mapping[int, tuple[str, Callable[[memoryview, memoryview], int]]] = {
    1: ("gzip", cramjam.gzip.decompress_into),
    2: ("snappy", _snappy),
    3: ("lz4", cramjam.lz4.decompress_into),
    4: ("zstd", cramjam.zstd.decompress_into),
}
