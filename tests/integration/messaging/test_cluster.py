"""Outbox and offsets belong to one Kafka cluster: another one at the same address stops the process."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

import shared.process
from local.kafka import KafkaBroker
from local.tansu import TansuBroker
from services.enrolment.app import DEFINITION
from shared.database import Database
from shared.messaging import cluster, topics
from shared.messaging.broker import KafkaSettings
from shared.messaging.cluster import EMBEDDED, Ours
from shared.messaging.relay import Relay
from shared.process import CannotRun
from tests.conftest import Eventually
from tests.integration.messaging.conftest import RunOperator
from tests.integration.messaging.relaying import news, unsent, write

Run = Callable[..., Any]


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


async def test_a_service_does_not_start_on_another_cluster_until_an_operator_says_so(
    kafka: KafkaBroker, operator: RunOperator, database: Database, services_set_up: pytest.MonkeyPatch
) -> None:
    services_set_up.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap_servers)
    services_set_up.setenv("ENROLMENT_PORT", "0")
    services_set_up.setattr(shared.process, "tune_gc", lambda: None)
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
    await write(database, news(uuid.uuid4()))

    async def it_has_ended() -> bool:
        return service.process.exit_code is not None

    with KafkaBroker.start(tmp_path, restarted_kafka.port) as another:
        await topics.create(settings(another))
        await eventually(it_has_ended, "the process ends")
        another.kill()
    restarted_kafka.restart()
    assert service.process.exit_code == 1
    assert "belong to" in service.log.read_text().splitlines()[-1]
    assert await unsent(database) == 1, "it is not sent, whatever the other acknowledges"
