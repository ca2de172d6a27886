"""Outbox and offsets belong to one Kafka cluster: another one at the same address stops the process."""

import asyncio
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from local.kafka import KafkaBroker
from local.ports import free_port
from local.tansu import TansuBroker
from services.enrolment.definition import DEFINITION
from shared.database import Database
from shared.messaging import cluster
from shared.messaging.broker import KafkaSettings
from shared.messaging.cluster import EMBEDDED, Ours
from shared.messaging.producer import OutgoingRecord, Producer
from shared.messaging.relay import Relay
from shared.process import CannotRun
from tests.conftest import Eventually
from tests.integration.messaging.conftest import RunOperator
from tests.integration.messaging.relaying import news, unsent, write


def settings(broker: KafkaBroker | TansuBroker) -> KafkaSettings:
    return KafkaSettings(kafka_bootstrap_servers=broker.bootstrap_servers)


@contextmanager
def belonging_to(cluster_id: str) -> Iterator[list[str]]:
    """As within a process of this cluster; gives the ids of others that answered."""
    others: list[str] = []
    with cluster.belonging_to(Ours(cluster_id, others.append)):
        yield others


async def test_the_first_cluster_is_kept_and_another_is_not(database: Database) -> None:
    assert await cluster.keep(database, "first") == "first"
    assert await cluster.keep(database, "second") == "first"
    await cluster.accept(database, "second")
    assert await cluster.keep(database, "second") == "second"


async def test_embedded_brokers_come_and_go(tansu: TansuBroker, database: Database) -> None:
    """They forget everything at each start, and all have one id; a trial may change from and to them."""
    assert await cluster.id_at(settings(tansu)) == EMBEDDED
    await cluster.accept(database, "first")
    assert await cluster.keep(database, EMBEDDED) == EMBEDDED
    assert await cluster.keep(database, "second") == "second"


@pytest.mark.usefixtures("in_this_process")
async def test_a_service_does_not_start_on_another_cluster_until_an_operator_says_so(
    kafka: KafkaBroker, operator: RunOperator, database: Database, services_set_up: pytest.MonkeyPatch
) -> None:
    services_set_up.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap_servers)
    services_set_up.setenv("ENROLMENT_PORT", "0")
    await cluster.accept(database, "lost-with-its-disk")
    found = await cluster.id_at(settings(kafka))

    with pytest.raises(CannotRun) as ended:
        await DEFINITION.compose(DEFINITION.settings()).run()

    assert str(ended.value) == (
        f"Kafka at {kafka.bootstrap_servers} is the cluster {found}; the outbox and the offsets of "
        "this database belong to lost-with-its-disk. Check KAFKA_BOOTSTRAP_SERVERS; if the cluster was made "
        "anew, run 'python -m services.enrolment outbox accept-cluster'."
    )
    accepted = await operator("outbox", "accept-cluster")
    assert accepted.stdout == (
        f"{found} is the cluster of enrolment now. What it lacks: outbox replay --since …\n"
    )
    assert await cluster.keep(database, found) == found


async def test_no_connection_to_another_cluster_is_used(kafka: KafkaBroker, database: Database) -> None:
    found = await cluster.id_at(settings(kafka))
    await write(database, news(uuid.uuid4()))
    relay = Relay(database, settings(kafka), "test")
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap_servers)
    with belonging_to("another") as others:
        for start in (relay.publish_unsent, consumer.start):
            with pytest.raises(KafkaError):
                await start()
    await consumer.stop()
    assert set(others) == {found}
    assert await unsent(database) == 1

    with belonging_to(found) as others:
        assert await relay.publish_unsent() == 1
        await relay.close()
    assert others == []


@pytest.mark.usefixtures("in_this_process")
async def test_another_cluster_at_the_same_address_ends_the_process(
    kafka: KafkaBroker, services_set_up: pytest.MonkeyPatch, database: Database, eventually: Eventually
) -> None:
    """Kafka was made anew while the service ran: the relay loses its connection and gets another cluster."""
    services_set_up.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap_servers)
    services_set_up.setenv("ENROLMENT_PORT", str(free_port()))
    process = DEFINITION.compose(DEFINITION.settings())
    running = asyncio.create_task(process.run())

    async def it_consumes() -> bool:
        assert not running.done()
        return process.watchdog is not None and process.watchdog.trouble() is None

    try:
        await eventually(it_consumes, "each partition is read")
        have_another_cluster_answer(services_set_up)
        lose_the_relays_connection(services_set_up)
        await write(database, news(uuid.uuid4()))
        with pytest.raises(CannotRun, match="is the cluster another; the outbox and the offsets of"):
            async with asyncio.timeout(60):
                await running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert await unsent(database) == 1, "it is not sent, whatever the other cluster acknowledges"


def have_another_cluster_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put another id into what the broker says of its cluster."""
    send = AIOKafkaConnection.send

    async def answer(connection: AIOKafkaConnection, request: Any, expect_response: bool = True) -> Any:
        answer = await send(connection, request, expect_response)
        if isinstance(request, MetadataRequest):
            answer.cluster_id = "another"
        return answer

    monkeypatch.setattr(AIOKafkaConnection, "send", answer)


def lose_the_relays_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail the next pass of a relay, as when its broker has gone."""
    send = Producer.send

    async def fail(_producer: Producer, _records: Sequence[OutgoingRecord]) -> Any:
        monkeypatch.setattr(Producer, "send", send)
        raise KafkaConnectionError

    monkeypatch.setattr(Producer, "send", fail)
