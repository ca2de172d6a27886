"""Outbox and offsets belong to one Kafka cluster: another one at the same address stops the process."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from sqlalchemy import text

from local.kafka import KafkaBroker
from local.tansu import TansuBroker
from shared.database import Database
from shared.events.enrolment import SessionOccupancyChanged
from shared.messaging import cluster, outbox, topics
from shared.messaging.broker import KafkaSettings
from shared.messaging.cluster import EMBEDDED, Ours
from shared.messaging.outbox import Outbox
from shared.messaging.relay import Relay
from tests.conftest import Eventually, settings_of
from tests.support.processes import run_cli

Run = Callable[..., Any]
KEPT = text("SELECT cluster_id FROM cluster")


async def kept(database: Database) -> str:
    async with database.quiet_transaction() as tx:
        return str(await tx.scalar(KEPT))


def settings(broker: KafkaBroker | TansuBroker) -> KafkaSettings:
    return KafkaSettings(kafka_bootstrap_servers=broker.bootstrap_servers)


async def write(database: Database) -> None:
    event = SessionOccupancyChanged(
        session_id=uuid.uuid4(), version=1, capacity=1, enrolled=0, waiting=0, offered=0
    )
    async with database.transaction() as tx:
        await Outbox("enrolment").publish(tx, [event])


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


async def test_embedded_brokers_come_and_go(database: Database) -> None:
    """They forget everything at each start, and all have one id; a trial may change from and to them."""
    await cluster.accept(database, "first")
    assert await cluster.keep(database, EMBEDDED) == EMBEDDED
    assert await cluster.keep(database, "second") == "second"


async def test_every_embedded_broker_has_the_same_id(tansu: TansuBroker) -> None:
    assert await cluster.id_at(settings(tansu)) == EMBEDDED


async def test_a_service_does_not_start_on_another_cluster_until_an_operator_says_so(
    kafka: KafkaBroker, enrolment_url: str, database: Database, run_service: Run
) -> None:
    await cluster.accept(database, "lost-with-its-disk")
    found = await cluster.id_at(settings(kafka))
    environment = settings_of("enrolment", enrolment_url, kafka.bootstrap_servers)

    ended = run_cli("enrolment", "serve", environment=environment | {"ENROLMENT_PORT": "0"})
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == (
        f"parcours: Kafka at {kafka.bootstrap_servers} is the cluster {found}; the outbox and the offsets of "
        "this database belong to lost-with-its-disk. Check KAFKA_BOOTSTRAP_SERVERS; if the cluster was made "
        "anew, run 'python -m services.enrolment outbox accept-cluster'."
    )

    accepted = run_cli("enrolment", "outbox", "accept-cluster", environment=environment)
    assert accepted.stdout == (
        f"{found} is the cluster of enrolment now. What it lacks: outbox replay --since …\n"
    )
    run_service("enrolment", enrolment_url, kafka.bootstrap_servers)
    assert await kept(database) == found


async def test_no_connection_to_another_cluster_is_used(kafka: KafkaBroker, database: Database) -> None:
    found = await cluster.id_at(settings(kafka))
    await write(database)
    relay = Relay(database, settings(kafka), "test")
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap_servers)
    with belonging_to("another") as others:
        for start in (relay.publish_unsent, consumer.start):
            with pytest.raises(KafkaError):
                await start()
    await consumer.stop()
    assert set(others) == {found}
    async with database.quiet_transaction() as tx:
        assert (await outbox.unsent(tx))[0] == 1

    with belonging_to(found) as others:
        assert await relay.publish_unsent() == 1
        await relay.close()
    assert others == []


@pytest.mark.slow
async def test_another_cluster_at_the_same_address_ends_the_process(
    *,
    restarted_kafka: KafkaBroker,
    enrolment_url: str,
    database: Database,
    run_service: Run,
    eventually: Eventually,
    tmp_path: Path,
) -> None:
    service = run_service("enrolment", enrolment_url, restarted_kafka.bootstrap_servers)
    restarted_kafka.kill()
    await write(database)

    async def it_has_ended() -> bool:
        return service.process.exit_code is not None

    with KafkaBroker.start(tmp_path, restarted_kafka.port) as another:
        await topics.create(settings(another))
        await eventually(it_has_ended, "the process ends")
        another.kill()
    restarted_kafka.restart()
    assert service.process.exit_code == 1
    assert "belong to" in service.log.read_text().splitlines()[-1]
    async with database.quiet_transaction() as tx:
        assert (await outbox.unsent(tx))[0] == 1, "it is not sent, whatever the other acknowledges"
