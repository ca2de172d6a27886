"""A producer ends when it is closed, and whoever closes it goes on."""

import asyncio

from aiokafka import AIOKafkaProducer

from shared.messaging.broker import KafkaSettings
from shared.messaging.producer import Producer

NOWHERE = "127.0.0.1:1"


async def test_closing_a_producer_whose_sender_has_not_begun_cancels_nobody_else() -> None:
    """As after ``start`` on Python 3.12 and newer, which gives the sender no turn before it returns."""
    kafka = AIOKafkaProducer(bootstrap_servers=NOWHERE)
    sending = asyncio.create_task(kafka._sender._sender_routine())
    kafka._sender._sender_task = sending
    await Producer(kafka, KafkaSettings(kafka_bootstrap_servers=NOWHERE), None).close()
    assert sending.done()
