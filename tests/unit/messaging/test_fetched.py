"""What stops aiokafka for ever, or fills the memory, is read past: names of headers, and batches."""

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.codec import snappy_encode
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.record.util import calc_crc32c

from shared import clock
from shared.events.outcomes import RejectionCode
from shared.messaging import cluster, consumer, fetched, uncompressing
from shared.messaging.dead_letters import Parked
from shared.messaging.faststream import record_of
from shared.messaging.portals.admission import Rejected, admit
from shared.messaging.portals.registry import Portals
from tests.unit.messaging.test_subscribers import broker_of

COMPRESSIONS = {1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}
LATIN_1 = "pr\xe9nom".encode("latin-1")


class Latin1(str):
    """A name that encodes as a C client in a Latin-1 country might."""

    __slots__ = ()

    def encode(self, *_: Any) -> bytes:
        return LATIN_1


FetchedRecord = tuple[bytes, list[tuple[str, bytes | None]]]
GOOD: FetchedRecord = (b"good", [("prénom", b"Zo\xe9"), ("none", None)])
BAD: FetchedRecord = (b"bad", [("ce_id", b"1"), (Latin1("x"), b"\xff"), ("none", None)])


def a_fetch(*batches: list[FetchedRecord], compression: int = 0) -> bytes:
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


def every_record_of(data: bytes) -> Iterator[Any]:
    records = fetched._Records(data)
    while (batch := records.next_batch() if records.has_next() else None) is not None:
        assert batch.validate_crc()
        yield from batch


@contextmanager
def memory_bounded() -> Iterator[None]:
    """Fail if what happens inside takes a megabyte."""
    tracemalloc.start()
    try:
        yield
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 1_000_000


@pytest.mark.parametrize("compression", [0, *COMPRESSIONS], ids=["none", *COMPRESSIONS.values()])
def test_every_record_is_read_in_order_with_the_bad_bytes_escaped(compression: int) -> None:
    data = a_fetch([GOOD, BAD, GOOD], [GOOD], [BAD], [GOOD, GOOD, BAD], compression=compression)

    found = list(every_record_of(data))

    assert [record.offset for record in found] == list(range(100, 108))
    assert [record.value for record in found] == b"good bad good good bad good good bad".split()
    assert list(found[0].headers) == GOOD[1]
    assert list(found[1].headers) == [("ce_id", b"1"), ("pr\\xe9nom", b"\xff"), ("none", None)]


def test_a_batch_whose_checksum_is_wrong_is_still_refused() -> None:
    data = bytearray(a_fetch([GOOD]))
    data[-1] ^= 0xFF

    batch = fetched._Records(bytes(data)).next_batch()

    assert batch is not None
    assert not batch.validate_crc()


# ------------------------------------------------------------------------------ batches that nobody can read


LONG: FetchedRecord = (b"long" * 500, [])  # what is short is not compressed


def with_its_checksum(batch: bytes) -> bytes:
    """A batch that was made by hand, as a broker would keep it."""
    checksum: int = calc_crc32c(batch[21:])
    return batch[:17] + checksum.to_bytes(4, "big") + batch[21:]


def compressed_as(codec: int) -> bytes:
    batch = bytearray(a_fetch([GOOD]))
    batch[22] |= codec
    return with_its_checksum(bytes(batch))


def cut(batch: bytes) -> bytes:
    shorter = batch[:-3]
    return with_its_checksum(shorter[:8] + (len(shorter) - 12).to_bytes(4, "big") + shorter[12:])


def with_strange_attributes() -> bytes:
    """aiokafka takes the attributes of a record for a number of any length; Apache Kafka lets them pass."""
    batch = bytearray(a_fetch([GOOD]))
    batch[62] |= 0x80
    return with_its_checksum(bytes(batch))


def with_a_length_that_only_java_reads_as_4() -> bytes:
    """Kafka takes 32 bits of a length, aiokafka 64: here 4 bytes or 30 GB. BAD has it read in Python."""
    batch = a_fetch([BAD, (b"good", [])])
    record, longer = b"\x14\x00\x00\x02\x01\x08good\x00", b"\x1c\x00\x00\x02\x01\x88\x80\x80\x80\x70good\x00"
    assert batch.endswith(record)
    batch = batch.removesuffix(record) + longer
    return with_its_checksum(batch[:8] + (len(batch) - 12).to_bytes(4, "big") + batch[12:])


UNREADABLE = {
    **{
        name: (a_fetch([(b"0" * (uncompressing.MAX_BYTES + 1), [])], compression=codec), "more than 16777216")
        for codec, name in COMPRESSIONS.items()
    },
    "damaged gzip": (cut(a_fetch([LONG], compression=1)), "gzip is damaged"),
    "damaged snappy": (cut(a_fetch([LONG], compression=2)), "a block of snappy has"),
    "no such compression": (compressed_as(7), "no compression of number 7"),
    "strange attributes": (with_strange_attributes(), "cannot be read"),
}


@pytest.mark.parametrize(("batch", "reason"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_batch_that_cannot_be_read_is_one_record_that_says_so_and_costs_no_memory(
    batch: bytes, reason: str
) -> None:
    data = a_fetch([GOOD, GOOD]) + (105).to_bytes(8, "big") + batch[8:] + a_fetch([GOOD])

    with memory_bounded():
        [*_, unread, _] = found = list(every_record_of(data))

    assert [record.value for record in found] == [b"good", b"good", b"", b"good"]
    assert unread.offset == 105
    assert unread.value.reason.startswith("records 105 to 105 of this partition are in a batch that cannot")
    assert reason in unread.value.reason


def test_what_could_be_read_of_a_batch_is_read_and_the_rest_is_one_record_in_the_place_of_the_last() -> None:
    batch = bytearray(a_fetch([GOOD, GOOD, GOOD]))
    batch[-10:] = b"\x7f" * 10

    [*read_first, unread] = every_record_of(with_its_checksum(bytes(batch)))

    assert [record.value for record in read_first] == [b"good", b"good"]
    assert unread.offset == 102
    assert unread.value.reason.startswith("records 102 to 102 ")


def test_no_length_leads_out_of_the_batch() -> None:
    """aiokafka's reader follows it, and the process ends by a signal, again at each start."""
    [first, unread] = every_record_of(with_a_length_that_only_java_reads_as_4())

    assert (first.offset, first.value) == (100, b"bad")
    assert unread.offset == 101
    assert "a record is longer than its batch" in unread.value.reason


@pytest.mark.parametrize("compression", [0, *COMPRESSIONS], ids=["none", *COMPRESSIONS.values()])
def test_a_record_of_very_many_headers_costs_no_memory(compression: int) -> None:
    headers: list[tuple[str, bytes | None]] = [("", None)]
    most: FetchedRecord = (b"most", headers * fetched.MAX_HEADERS)
    many: FetchedRecord = (b"many", headers * 100_000)
    data = a_fetch([GOOD, most, many, GOOD], compression=compression)

    with memory_bounded():
        [good, last, unread] = every_record_of(data)

    assert (good.value, last.value, len(last.headers)) == (b"good", b"most", fetched.MAX_HEADERS)
    assert unread.offset == 103
    assert unread.value.reason.startswith("records 102 to 103 ")
    assert "100000 headers" in unread.value.reason


def test_a_batch_of_more_records_than_can_be_requests_is_rejected_as_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fetched, "MAX_RECORDS", 2)

    assert [record.value for record in every_record_of(a_fetch([GOOD, BAD]))] == [b"good", b"bad"]
    [unread] = every_record_of(a_fetch([GOOD, GOOD, GOOD], compression=1))
    assert unread.offset == 102
    assert "3 records, more than 2" in unread.value.reason


@pytest.mark.parametrize("compression", COMPRESSIONS, ids=COMPRESSIONS.values())
def test_few_bytes_never_become_many_records(compression: int, monkeypatch: pytest.MonkeyPatch) -> None:
    alike = a_fetch([(b"", [])] * 1_000, compression=compression)
    monkeypatch.setattr(fetched, "LEAST_COMPRESSED", len(alike) / 1_000)
    assert len(list(every_record_of(alike))) == 1_000

    monkeypatch.setattr(fetched, "LEAST_COMPRESSED", (len(alike) + 1) / 1_000)
    [unread] = every_record_of(alike)
    assert unread.value.reason.endswith(f"it has 1000 records in {len(alike)} bytes")


@pytest.mark.parametrize("compression", COMPRESSIONS, ids=COMPRESSIONS.values())
def test_a_batch_of_events_that_differ_only_in_their_ids_is_read(compression: int) -> None:
    events: list[FetchedRecord] = [
        (b"{}", [("ce_id", str(uuid5(NAMESPACE_URL, str(number))).encode())]) for number in range(1_000)
    ]

    assert len(list(every_record_of(a_fetch(events, compression=compression)))) == 1_000


@pytest.mark.parametrize("encode", [snappy_encode, partial(snappy_encode, xerial_compatible=False)])
def test_snappy_is_read_with_blocks_and_without(encode: Callable[[bytes], bytes]) -> None:
    content = b"of some length " * 10_000

    assert uncompressing.uncompressed(2, memoryview(bytes(encode(content))), b"head, ") == b"head, " + content


def test_no_block_of_snappy_ends_before_it_begins() -> None:
    """aiokafka reads such a one again and again, and never comes back."""
    blocks = snappy_encode(b"")[:16] + (-4).to_bytes(4, "big", signed=True)

    with pytest.raises(uncompressing.CannotUncompress, match="-4 bytes"):
        uncompressing.uncompressed(2, memoryview(blocks), b"")


def test_many_batches_that_are_large_when_they_are_uncompressed_are_fetched_a_few_at_a_time() -> None:
    large: FetchedRecord = (b"0" * 3_000_000, [])
    data = a_fetch([large], [large], [large], compression=4)

    assert [record.offset for record in every_record_of(data)] == [100, 101]


def test_a_record_that_stands_for_a_batch_is_evidence_without_content() -> None:
    unread = fetched.Unread()
    unread.reason = "why"
    raw = ConsumerRecord("portal.agents", 3, 105, 1_000, 1, None, unread, None, -1, 0, ())

    record = record_of(raw, clock.now())

    assert (record.offset, record.value, record.received_at.timestamp()) == (105, None, 1)
    refused = admit(record, Portals(()), [])
    assert isinstance(refused, Rejected)
    assert (refused.code, refused.explanation) == (RejectionCode.UNREADABLE, "unreadable: why")
    parked = consumer.read(record)
    assert isinstance(parked, Parked)
    assert parked.error == "why"


def test_every_consumer_of_a_service_reads_so() -> None:
    broker_of("enrolment")

    assert fetcher.MemoryRecords is fetched._Records


# ------------------------------------------------------------------------------------- missing batches

PARTITION = TopicPartition("portal.enrolments", 3)


@contextmanager
def reading_from(cluster_id: str) -> Iterator[None]:
    fetched.tolerate()
    with cluster.belonging_to(cluster.Ours(cluster_id, pytest.fail)):
        yield


def fetch(data: bytes, offset: int) -> tuple[list[int], int]:
    """The offsets that a consumer at ``offset`` is given of this answer, and its position afterwards."""
    records = fetcher.PartitionRecords(
        PARTITION, fetcher.MemoryRecords(data), [], offset, None, None, True, 1
    )
    return [record.offset for record in records], records.next_fetch_offset


FIRST, SECOND, THIRD = ([GOOD, GOOD] for _ in range(3))
WHOLE = a_fetch(FIRST, SECOND, THIRD)
A_BATCH = len(WHOLE) // 3


def test_a_batch_that_the_embedded_broker_has_numbered_and_not_stored_is_waited_for() -> None:
    with reading_from(cluster.EMBEDDED):
        assert fetch(WHOLE[:A_BATCH] + WHOLE[2 * A_BATCH :], 100) == ([100, 101], 102)
        assert fetch(WHOLE[2 * A_BATCH :], 102) == ([], 102)
        assert fetch(WHOLE[A_BATCH:], 102) == ([102, 103, 104, 105], 106)
        assert fetch(WHOLE[A_BATCH:], 103) == ([103, 104, 105], 106), "begun in the middle of a batch"


def test_a_batch_that_never_comes_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with reading_from(cluster.EMBEDDED):
        assert fetch(WHOLE[2 * A_BATCH :], 100) == ([], 100)
        assert fetch(WHOLE[2 * A_BATCH :], 101) == ([], 101)
        monkeypatch.setattr(fetched, "_MISSING_SECONDS", 0.0)
        assert fetch(WHOLE[2 * A_BATCH :], 101) == ([104, 105], 106)


def test_offsets_that_are_missing_on_apache_kafka_were_compacted_or_are_markers() -> None:
    with reading_from("MkU3OEVBNTcwNTJENDM2Qk"):
        assert fetch(WHOLE[2 * A_BATCH :], 100) == ([104, 105], 106)


@pytest.mark.parametrize("topic", ["enrolment.decisions", "portal.answers.iel"])
def test_what_a_service_of_ours_sent_is_received_then_and_in_its_order(topic: str) -> None:
    """However late it is read."""
    sent = datetime(2025, 3, 3, 11, 0, 0, 999_000, tzinfo=UTC)

    def received_at(offset: int) -> datetime:
        raw: Any = ConsumerRecord(
            topic, 0, offset, round(sent.timestamp() * 1000), 0, b"", b"", None, 0, 0, ()
        )
        return record_of(raw, clock.now()).received_at

    assert sent < received_at(8_007) < received_at(8_999) < sent + timedelta(milliseconds=1)
