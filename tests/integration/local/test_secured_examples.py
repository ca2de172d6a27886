"""Each portal of `examples/` on a Kafka with users and rights."""

import asyncio
import json
import os
import uuid
from collections.abc import Collection
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.partitioner import DefaultPartitioner

from local.readiness import wait_until
from shared.messaging.broker import client_options
from tests.integration.local.test_examples import COMMANDS, SECRET, Example, listening
from tests.support.secured_kafka import ADMIN, SecuredKafka

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

BY_KAFKA = [name for name in COMMANDS if name != "shell"]


async def requests_on(broker: SecuredKafka, ids: Collection[str]) -> dict[str, tuple[int, bytes]]:
    """The partition and the key of the requests with these ids."""
    found: dict[str, tuple[int, bytes]] = {}
    consumer = AIOKafkaConsumer(
        "portal.enrolments",
        **client_options(broker.settings(ADMIN), "test"),
        group_id=None,
        auto_offset_reset="earliest",
    )
    async with asyncio.timeout(30), consumer:
        while len(found) < len(ids):
            record = await consumer.getone()
            ce_id = dict(record.headers).get("ce_id", b"").decode()
            if ce_id in ids:
                found[ce_id] = record.partition, record.key
    return found


@pytest.mark.parametrize("name", BY_KAFKA)
async def test_an_example_logs_in_has_the_rights_it_needs_and_finds_the_partition_of_kafkas_clients(
    secured_kafka: SecuredKafka, tmp_path: Path, name: str
) -> None:
    user, output = secured_kafka.environment(f"portal-{name}"), tmp_path / "heard"
    names = ("KAFKA_BOOTSTRAP_SERVERS", "KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD", "KAFKA_CA_FILE")
    environment = {**os.environ, **{setting: user[setting] for setting in names}}
    environment |= {"PORTAL": name, "KEY_ID": "essai", "SECRET": SECRET}
    command = COMMANDS[name]()
    sessions = [str(uuid.uuid5(uuid.NAMESPACE_URL, f"{name}-{number}")) for number in range(2)]
    sent = {
        Example(command, {**environment, "SESSION_ID": session}, output).run("ask", "EX-1"): session
        for session in sessions
    }
    requests = await requests_on(secured_kafka, sent.keys())
    partition = DefaultPartitioner()  # aiokafka's, which is Java's
    for ce_id, session in sent.items():
        key = session.encode()
        assert requests[ce_id] == (partition(key, list(range(12)), list(range(12))), key)

    answer = {"request_id": None, "agent": {"agent_id": "EX-1"}}
    async with AIOKafkaProducer(**client_options(secured_kafka.settings(ADMIN), "test")) as producer:
        value, ce_type = json.dumps(answer).encode(), b"fr.cnfpt.enrolment.AgentEnrolled.v1"
        await producer.send_and_wait(f"portal.answers.{name}", value, headers=[("ce_type", ce_type)])
    with listening(command, environment, output) as example:
        await asyncio.to_thread(
            wait_until, lambda: "AgentEnrolled" in example.output.read_text(), seconds=60, what="the answer"
        )
