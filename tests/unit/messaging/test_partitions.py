"""The partition that a record belongs in."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from shared.events.portal import WithdrawalRequested
from shared.messaging.partitions import FORMER_COUNTS, PartitionNumber, lies_right, partition_of
from tests.support.consuming import a_record

ADDED = datetime(2026, 11, 26, 10, 0, tzinfo=UTC)
REQUEST = WithdrawalRequested(session_id=UUID("6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a11"), agent_id="1001")
TICK = timedelta(microseconds=1)


# Source: org.apache.kafka.common.utils.UtilsTest.testMurmur2, of Apache Kafka.
@pytest.mark.parametrize(
    ("key", "hashed"),
    [
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
    ],
)
@pytest.mark.parametrize("number", [1, 6, 12, 24])
def test_a_key_belongs_where_kafkas_own_clients_put_it(key: str, hashed: int, number: int) -> None:
    assert partition_of(key, number) == (hashed & 0x7FFFFFFF) % number


def lies(partition: int, received_at: datetime, *numbers: PartitionNumber) -> bool:
    record = replace(a_record(REQUEST, received_at=received_at), partition=partition)
    return lies_right(record, REQUEST.key, numbers)


def test_a_record_lies_right_in_one_partition_alone() -> None:
    right = partition_of(REQUEST.key, 12)
    assert [number for number in range(12) if lies(number, ADDED, PartitionNumber(12))] == [right]


@pytest.mark.parametrize("after", [-FORMER_COUNTS, timedelta(0), FORMER_COUNTS - TICK, FORMER_COUNTS])
def test_the_former_number_counts_for_an_hour_after_partitions_were_added(after: timedelta) -> None:
    former, current = partition_of(REQUEST.key, 12), partition_of(REQUEST.key, 17)
    assert former != current
    numbers = PartitionNumber(12, ADDED), PartitionNumber(17)
    assert lies(current, ADDED + after, *numbers)
    assert lies(former, ADDED + after, *numbers) is (after < FORMER_COUNTS)


def test_while_no_number_is_known_nothing_lies_right() -> None:
    assert not lies(0, ADDED)
