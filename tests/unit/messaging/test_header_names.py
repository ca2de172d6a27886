"""A header name that is not UTF-8 stops aiokafka at its record for ever; ours reads on."""

from typing import Any

import pytest
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.record.memory_records import MemoryRecords

from shared.messaging import header_names
from tests.unit.messaging.test_subscribers import broker_of

LATIN_1 = "pr\xe9nom".encode("latin-1")


class Latin1(str):
    """A name that encodes as a C client in a Latin-1 country might."""

    __slots__ = ()

    def encode(self, *_: Any) -> bytes:
        return LATIN_1


Record = tuple[bytes, list[tuple[str, bytes | None]]]
GOOD: Record = (b"good", [("prénom", b"Zo\xe9"), ("none", None)])
BAD: Record = (b"bad", [("ce_id", b"1"), (Latin1("x"), b"\xff"), ("none", None)])


def a_fetch(*batches: list[Record], compression: int = 0) -> bytes:
    """What a broker answers: batches of records, of which only C clients could make some."""
    data, offset = b"", 100
    for records in batches:
        builder = _DefaultRecordBatchBuilderPy(
            magic=2,
            compression_type=compression,
            is_transactional=0,
            producer_id=-1,
            producer_epoch=-1,
            base_sequence=-1,
            batch_size=10**6,
        )
        for number, (value, record_headers) in enumerate(records):
            builder.append(number, timestamp=1, key=None, value=value, headers=record_headers)
        batch = bytearray(builder.build())
        batch[0:8] = offset.to_bytes(8, "big")
        offset += len(records)
        data += bytes(batch)
    return data


def read(records: Any) -> list[tuple[int, bytes, list[tuple[str, bytes | None]]]]:
    found = []
    while records.has_next():
        batch = records.next_batch()
        assert batch.validate_crc()
        found += [(record.offset, record.value, list(record.headers)) for record in batch]
    return found


def test_aiokafka_alone_cannot_read_past_such_a_name() -> None:
    """When this fails, aiokafka has learnt it, and header_names can go."""
    with pytest.raises(Exception, match="utf-8"):
        read(MemoryRecords(a_fetch([BAD])))


@pytest.mark.parametrize("compression", [0, 1, 2, 3, 4], ids=["none", "gzip", "snappy", "lz4", "zstd"])
def test_every_record_is_read_in_order_with_the_bad_bytes_escaped(compression: int) -> None:
    data = a_fetch([GOOD, BAD, GOOD], [GOOD], [BAD], [GOOD, GOOD, BAD], compression=compression)

    found = read(header_names._Records(data))

    assert [(offset, value) for offset, value, _ in found] == [
        (100 + place, value) for place, value in enumerate(b"good bad good good bad good good bad".split())
    ]
    assert found[0][2] == GOOD[1]
    assert found[1][2] == [("ce_id", b"1"), ("pr\\xe9nom", b"\xff"), ("none", None)]


def test_what_is_corrupt_otherwise_is_still_refused() -> None:
    data = bytearray(a_fetch([GOOD]))
    data[-1] ^= 0xFF
    data[61] = 0x7F

    with pytest.raises(Exception, match=r".") as refused:
        read(header_names._Records(bytes(data)))
    assert not isinstance(refused.value, UnicodeDecodeError)


def test_every_consumer_of_a_service_reads_so() -> None:
    broker_of("enrolment")

    assert fetcher.MemoryRecords is header_names._Records
