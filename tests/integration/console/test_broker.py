"""``parcours lag | topics``: what Kafka itself tells."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from local.kafka import KafkaBroker
from local.tansu import TansuBroker
from services.console.broker import of_group, of_service
from services.console.doctor import brokers
from services.console.findings import Mark
from shared import clock
from shared.database import Database
from shared.events.topics import TOPICS, Topic
from shared.messaging import lag
from shared.messaging.broker import KafkaSettings
from shared.messaging.groups import Group
from shared.messaging.lag import GroupLag
from shared.messaging.portals.registry import Portals
from shared.messaging.router import Router
from tests.conftest import Eventually, create_topics
from tests.integration.console.conftest import RunConsole
from tests.integration.console.test_doctor import line_of, of_enrolment
from tests.integration.messaging.conftest import Consuming, consuming
from tests.integration.messaging.consumers import ConsumerHandler

__all__ = ["consuming"]
READ = Group("Stable", frozenset({"somebody"}), frozenset(range(6)), frozenset(range(6)))
NOW = clock.now()
GROUP = GroupLag("enrolment", "portal.agents", "enrolment.portal.agents", READ)


async def test_topics_as_agreed_are_well(
    console: RunConsole, in_environment: pytest.MonkeyPatch, tansu: TansuBroker
) -> None:
    in_environment.setenv("KAFKA_BOOTSTRAP_SERVERS", tansu.bootstrap_servers)
    done = await console("topics")
    # One for each, with the answers to the portal of a trial.
    assert (done.code, [line["mark"] for line in done.findings]) == (0, ["ok"] * len(TOPICS))


async def test_a_topic_that_is_missing_or_otherwise_is_named_with_what_mends_it(
    console: RunConsole, in_environment: pytest.MonkeyPatch, spoilt: TansuBroker
) -> None:
    in_environment.setenv("KAFKA_BOOTSTRAP_SERVERS", spoilt.bootstrap_servers)
    admin = AIOKafkaAdminClient(bootstrap_servers=spoilt.bootstrap_servers)
    await admin.start()
    config = TOPICS[Topic.CATALOGUE_SESSIONS].broker_config | {"cleanup.policy": "delete"}
    await admin.create_topics([NewTopic("catalogue.sessions", 3, 1, topic_configs=config)])
    await admin.close()
    done = await console("topics")
    assert done.code == 1
    assert done.about("kafka", "portal.agents")["remedy"].startswith(
        "run 'python -m services.catalogue topics create', as"
    )
    line = done.about("kafka", "catalogue.sessions")
    assert line["found"] == "has 3 partitions, fewer than 6; cleanup.policy is delete, not compact"
    assert "kafka-topics --alter --topic catalogue.sessions --partitions 6" in line["remedy"]
    assert "--add-config cleanup.policy=compact" in line["remedy"]
    # Being asked about it has created nothing.
    assert (await console("topics")).about("kafka", "portal.agents")["partitions"] == 0


@pytest.mark.parametrize("command", ["topics", "lag"])
async def test_a_broker_that_cannot_be_asked_is_said(
    console: RunConsole, in_environment: pytest.MonkeyPatch, command: str
) -> None:
    done = await console(command)
    assert (done.code, done.findings[0]["mark"]) == (2, "unknown")
    assert "127.0.0.1:1 cannot be used" in done.findings[0]["found"]
    in_environment.delenv("KAFKA_BOOTSTRAP_SERVERS")
    done = await console(command)
    assert done.findings[0]["found"] == "KAFKA_BOOTSTRAP_SERVERS is not set"


async def test_a_group_that_nobody_is_in_has_what_waits_counted(
    console: RunConsole, in_environment: pytest.MonkeyPatch, spoilt: TansuBroker
) -> None:
    await asyncio.to_thread(create_topics, spoilt)
    in_environment.setenv("KAFKA_BOOTSTRAP_SERVERS", spoilt.bootstrap_servers)
    producer = AIOKafkaProducer(bootstrap_servers=spoilt.bootstrap_servers)
    await producer.start()
    for _ in range(3):
        await producer.send_and_wait("enrolment.decisions", b"{}", partition=4)
    await producer.stop()
    done = await console("lag", "--service", "notifier")
    line = done.about("notifier", "notifier.enrolment.decisions")
    assert (done.code, line["mark"], line["members"]) == (1, "act", 0)
    assert line["lag"] >= 2  # the embedded broker does not tell of the last
    assert line["remedy"] == "start notifier; where it runs, read its log"
    assert done.about("notifier", "notifier.portal.agents")["lag"] == 0
    done = await console("status", "--service", "notifier")
    line = done.about("notifier", "topics")
    assert (done.code, line["mark"], line["remedy"]) == (1, "act", "parcours lag --service notifier")
    assert line["found"].startswith("8 of 8 are not read, or late: notifier.catalogue.sessions: nobody reads")


async def test_a_group_keeps_up_also_where_a_transaction_that_was_undone_lies_behind_its_offset(
    kafka: KafkaBroker, database: Database, consuming: Consuming, eventually: Eventually
) -> None:
    router = ConsumerHandler().router
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers, transactional_id="console")
    async with consuming(kafka.bootstrap_servers, database, router):
        await producer.start()
        async with producer.transaction():
            await producer.send_and_wait("portal.enrolments", b"unreadable", partition=1)
        await eventually(lambda: keeps_up(kafka, router), "the group has caught up")
        await producer.begin_transaction()
        await producer.send_and_wait("portal.enrolments", b"never was", partition=1)
        await producer.abort_transaction()
        await producer.stop()
        assert await keeps_up(kafka, router)


async def keeps_up(kafka: KafkaBroker, router: Router) -> bool:
    """Whether the group of this router reads its topic, and nothing waits there."""
    settings = KafkaSettings(kafka_bootstrap_servers=kafka.bootstrap_servers)
    [group] = await lag.of_groups(settings, router.subscriptions.values())
    return of_group(group, clock.now()).mark is Mark.OK and not group.records


@pytest.mark.parametrize(
    ("group", "mark"),
    [
        (GROUP, Mark.OK),
        (replace(GROUP, records=3, oldest=NOW), Mark.OK),
        (replace(GROUP, records=3, oldest=NOW - timedelta(minutes=2)), Mark.ACT),
        (replace(GROUP, group=replace(READ, owned=frozenset({0, 1}))), Mark.ACT),
        (replace(GROUP, group=replace(READ, state="PreparingRebalance")), Mark.ACT),
        (replace(GROUP, group=replace(READ, members=frozenset())), Mark.ACT),
        (replace(GROUP, group=replace(READ, partitions=frozenset())), Mark.ACT),
        (replace(GROUP, group=None, unknown="GroupAuthorizationFailedError"), Mark.UNKNOWN),
    ],
)
def test_what_a_group_comes_to_and_its_service_with_it(group: GroupLag, mark: Mark) -> None:
    line = of_group(group, NOW)
    assert line.mark is mark
    assert of_service("enrolment", [of_group(GROUP, NOW), line]).mark is mark


async def test_a_broker_without_authorizer_and_topics_on_one_broker_are_named_outside_a_trial(
    kafka: KafkaBroker,
) -> None:
    for trial, rights, replicas in ((True, Mark.SKIPPED, 0), (False, Mark.ACT, 1)):
        settings = of_enrolment(kafka.bootstrap_servers, parcours_trial=trial)
        _, findings = await brokers.look(settings, Portals([]))
        assert line_of(findings, "rights").mark is rights
        assert len([found for found in findings if found.what == "replicas"]) == replicas
        assert line_of(findings, "topics").mark is Mark.OK
