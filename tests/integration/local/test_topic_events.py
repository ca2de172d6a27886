"""The events of a topic are read until whoever reads them has enough, whatever becomes of the broker."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest
from aiokafka import AIOKafkaProducer

from local.observing import following
from local.tansu import TansuBroker
from tests.integration.local.test_brokers import create_topic

HEADERS = [
    ("ce_id", b"1"),
    ("ce_type", b"fr.cnfpt.enrolment.SeatOffered.v1"),
    ("ce_time", b"2025-03-10T09:00:00Z"),
]


async def test_reading_ends_also_where_the_broker_is_gone(
    caplog: pytest.LogCaptureFixture, eventually: Callable[..., Awaitable[None]]
) -> None:
    with TansuBroker.temporary() as broker:
        await create_topic(broker.bootstrap_servers, "answers")
        producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers)
        await producer.start()
        for _ in range(2):
            await producer.send_and_wait("answers", b"{}", headers=HEADERS)
        await producer.stop()
        read: list[str] = []
        came = asyncio.Event()

        def take(name: str, *_: object) -> None:
            read.append(name)
            came.set()

        async def it_is_missed() -> bool:
            return "Failed fetch messages" in caplog.text  # aiokafka says it nowhere else

        with caplog.at_level(logging.ERROR):
            async with (
                asyncio.timeout(30),
                following("answers", {"bootstrap_servers": broker.bootstrap_servers}, take),
            ):
                await came.wait()
                broker.kill()
                await eventually(it_is_missed, "the reader misses the broker")
    assert read == ["SeatOffered"]
