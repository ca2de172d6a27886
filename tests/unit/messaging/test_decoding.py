"""From raw Kafka records to deliveries: nothing in a record can hurt the batch it is in."""

import dataclasses
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka import ConsumerRecord
from faststream.kafka import KafkaMessage

from shared.events.catalogue import SessionScheduled
from shared.events.cloudevents import Received, Record
from shared.events.portal import EnrolmentRequested
from shared.messaging.consumer import Delivery, read
from shared.messaging.dead_letters import Parked
from shared.messaging.faststream import _decode, _parse, record_of
from tests.support.builders import a_session, as_json, enrolment_request, headers

READ_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CREATE_TIME, LOG_APPEND_TIME = 0, 1
RawHeaders = list[tuple[str, bytes | None]]


def a_record(
    record_headers: RawHeaders, value: bytes | None = None, topic: str = "portal.enrolments"
) -> Record:
    return Record(
        topic=topic,
        partition=3,
        offset=42,
        key=b"key",
        value=as_json(enrolment_request(uuid.uuid4())) if value is None else value,
        headers=tuple(record_headers),
        received_at=READ_AT,
    )


def raw(record: Record, *, stamp: int = CREATE_TIME, timestamp: int = 1_700_000_000_000) -> Any:
    """What aiokafka makes of a record."""
    return ConsumerRecord(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp=timestamp,
        timestamp_type=stamp,
        key=record.key,
        value=record.value,
        checksum=None,
        serialized_key_size=-1,
        serialized_value_size=-1,
        headers=record.headers,
    )


@pytest.mark.parametrize("value", [b"\xff\xfe", None])
@pytest.mark.parametrize("name", ["ce_subject", "x-portal", "traceparent", "ce_time"])
def test_an_unreadable_header_that_nobody_needs_costs_nothing(name: str, value: bytes | None) -> None:
    with_it: RawHeaders = [*headers(EnrolmentRequested.TYPE), (name, value)]
    shouted = [(kept.upper(), good) for kept, good in with_it]

    assert isinstance(read(a_record(with_it)), Received)
    assert isinstance(read(a_record(shouted)), Received)


@pytest.mark.parametrize("value", [b"\xff\xfe", None])
@pytest.mark.parametrize("name", ["ce_id", "ce_type", "ce_source", "ce_specversion"])
def test_an_unreadable_header_that_is_needed_counts_as_missing(name: str, value: bytes | None) -> None:
    spoilt = [(kept, value if kept == name else good) for kept, good in headers(EnrolmentRequested.TYPE)]

    delivery = read(a_record(spoilt))

    assert isinstance(delivery, Parked)
    assert f"header {name}" in delivery.error
    assert delivery.event_type == (None if name == "ce_type" else EnrolmentRequested.TYPE)


def test_a_known_type_on_another_topic_is_not_an_event_of_that_topic() -> None:
    session = a_session()
    record = a_record(headers(SessionScheduled.TYPE), session.model_dump_json().encode())

    delivery = read(record)

    assert isinstance(delivery, Parked)
    assert (
        delivery.error == f"{SessionScheduled.TYPE} belongs on catalogue.sessions, not on portal.enrolments"
    )
    assert delivery.event_type == SessionScheduled.TYPE


def test_the_brokers_stamp_is_the_time_of_receipt() -> None:
    record = record_of(raw(a_record([]), stamp=LOG_APPEND_TIME, timestamp=1_742_464_800_250), READ_AT)

    assert record.received_at == datetime(2025, 3, 20, 10, 0, 0, 250_000, tzinfo=UTC)


@pytest.mark.parametrize("timestamp", [-1, 0, 1_000, 1_742_464_800_250, 2**62])
def test_the_senders_stamp_is_never_trusted(timestamp: int) -> None:
    assert (
        record_of(raw(a_record([]), stamp=CREATE_TIME, timestamp=timestamp), READ_AT).received_at == READ_AT
    )


async def decoded(records: list[Record]) -> list[Delivery]:
    """What a handler gets, through the parser and decoder as FastStream calls them."""

    async def original(batch: tuple[Any, ...]) -> KafkaMessage:
        # FastStream's own: decodes every header, and so raises on bytes that are not UTF-8 and on null.
        for record in batch:
            {name: value.decode() for name, value in record.headers}
        return KafkaMessage(raw_message=batch, body=[record.value for record in batch], consumer=None)  # type: ignore[arg-type]  # nobody asks it

    message = await _parse(tuple(raw(record) for record in records), original)
    return [read(record) for record in await _decode(message, original)]


async def test_one_delivery_per_record_in_order_whatever_is_among_them() -> None:
    good = [a_record(headers(EnrolmentRequested.TYPE)) for _ in range(3)]
    bad = [
        a_record(headers(EnrolmentRequested.TYPE, ce_source=b"\xff")),
        a_record([("ce_id", None)]),
        dataclasses.replace(good[0], value=None),
        a_record(headers(EnrolmentRequested.TYPE), b"\xff" * 900_000),
    ]
    records = [bad[0], good[0], bad[1], good[1], bad[2], bad[3], good[2]]

    deliveries = await decoded(records)

    assert [isinstance(delivery, Received) for delivery in deliveries] == [
        record in good for record in records
    ]
    places = [delivery.record for delivery in deliveries if delivery is not None]
    assert [(delivery.headers, delivery.value) for delivery in places] == [
        (record.headers, record.value) for record in records
    ]
