"""The topics as agreed; and what Apache Kafka says it has after ``topics create``."""

import asyncio
import json
import time
import uuid
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from typer.testing import CliRunner

from local.kafka import KafkaBroker
from services.enrolment.definition import DEFINITION
from shared.cli.service import service_cli
from shared.events.catalogue import BespokeRequestAnswered
from shared.events.documents import FOLDER
from shared.events.enrolment import DECISIONS, AgentWaitlisted, SessionChangedForAgent, WebhookDisabled
from shared.events.index import BY_TYPE, EVENTS, events_on
from shared.events.outcomes import RequestAccepted, RequestRejected
from shared.events.topics import TOPICS, Topic, answers_topic, is_of_portals
from shared.events.vocabulary import Event
from shared.messaging import topics
from shared.messaging.broker import KafkaSettings
from shared.messaging.portals.registry import Portal
from shared.messaging.topics import TopicsDiffer
from tests.conftest import settings_of

DAY, WEEK = str(24 * 3600 * 1000), str(7 * 24 * 3600 * 1000)
MAX_BYTES = str(4 * 1024 * 1024)


COMPACTED = {Topic.CATALOGUE_SESSIONS, Topic.CATALOGUE_RESOURCES, Topic.ENROLMENT_OCCUPANCY}
OF_TWELVE = {Topic.PORTAL_ENROLMENTS, Topic.ENROLMENT_DECISIONS}
NAMES = [*(topic.value for topic in Topic if topic is not Topic.PORTAL_ANSWERS), "portal.answers.essai"]
"""What ``topics create`` makes in a trial."""


@pytest.mark.parametrize("topic", Topic)
def test_a_topic_keeps_the_newest_state_of_its_subject_or_a_week(topic: Topic) -> None:
    settings = TOPICS[topic]
    kept = {"cleanup.policy": "delete", "retention.ms": WEEK, "segment.ms": DAY}
    assert settings.broker_config == {
        **({"cleanup.policy": "compact"} if topic in COMPACTED else kept),
        "max.message.bytes": MAX_BYTES,
        "message.timestamp.type": "LogAppendTime" if is_of_portals(topic) else "CreateTime",
    }
    assert settings.partitions == (12 if topic in OF_TWELVE else 6)


def test_the_type_of_an_event_names_its_owner_and_only_portals_send_requests() -> None:
    of_enrolment = {Topic.REQUESTS_OUTCOMES, Topic.PORTAL_ANSWERS, Topic.AGENTS_ERASED}
    for event in EVENTS:
        owner = "enrolment" if event.TOPIC in of_enrolment else event.TOPIC.partition(".")[0]
        assert f"fr.cnfpt.{owner}.{event.__name__}.v1" == event.TYPE
    names = (*(topic.value for topic in Topic), answers_topic("iel"), "notifier.portal.enrolments")
    assert {name for name in names if is_of_portals(name)} == {
        *("portal.enrolments", "portal.bespoke", "portal.agents")
    }


def test_every_event_that_is_written_down_is_listed() -> None:
    def published(event: type[Event]) -> set[type[Event]]:
        if "TYPE" in vars(event):
            return {event}
        return {found for kind in event.__subclasses__() for found in published(kind)}

    assert {event for event in published(Event) if event.__module__.startswith("shared.events.")} == set(
        EVENTS
    )


@pytest.mark.parametrize(("brokers", "replicas"), [(1, 1), (2, 2), (3, 3), (5, 3)])
def test_a_topic_is_on_three_brokers_or_on_all_where_there_are_fewer(brokers: int, replicas: int) -> None:
    assert topics.replicas(brokers) == replicas
    assert topics.durable(replicas) == ({"min.insync.replicas": "2"} if replicas == 3 else {})


def test_a_portal_hears_decisions_changes_outcomes_and_answers_to_bespoke_requests_on_its_topic() -> None:
    between_services = {"AgentDetailsCorrected", "NewAddressGiven"}
    decisions = {event.__name__ for event in DECISIONS} - between_services
    outcomes = {"SessionChangedForAgent", "RequestRejected", "RequestAccepted", "BespokeRequestAnswered"}
    assert {event.__name__ for event in events_on(Topic.PORTAL_ANSWERS)} == decisions | outcomes


def test_the_key_of_an_event_is_the_field_that_the_table_names() -> None:
    for path in (FOLDER / "examples").glob("*/*.json"):
        event = BY_TYPE[path.parent.name]
        document = json.loads(path.read_text())
        field = "portal" if event is WebhookDisabled else TOPICS[event.TOPIC].key
        expected = document[field] if field in document else document["agent"][field]
        assert expected in (None, event.model_validate(document).key)


@pytest.mark.parametrize(
    ("event", "example", "key"),
    [
        (AgentWaitlisted, "minimal", "IEL-0048151"),
        (SessionChangedForAgent, "minimal", "IEL-0048151"),
        (RequestRejected, "invalid", "portal.enrolments-7-10452"),
        (RequestAccepted, "minimal", "0b6f1f1e-7c1f-4a52-8f4e-2f3f7d1f9a10"),
        (BespokeRequestAnswered, "minimal", "2c5ea4c0-4067-4d1e-9f0a-71e0c2c3b9aa"),
    ],
)
def test_answers_are_ordered_by_agent_by_record_or_by_request(
    event: type[Event], example: str, key: str
) -> None:
    document = (FOLDER / "examples" / event.TYPE / f"{example}.json").read_bytes()
    assert event.model_validate_json(document).answer_key == key


async def described(bootstrap_servers: str) -> dict[str, tuple[int, dict[str, str]]]:
    """Partitions and settings of every topic, as the broker tells them."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        partitions = {
            topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics(NAMES)
        }
        answers = await admin.describe_configs(
            [ConfigResource(ConfigResourceType.TOPIC, name) for name in NAMES]
        )
    finally:
        await admin.close()
    return {
        resource[3]: (partitions[resource[3]], {entry[0]: entry[1] for entry in resource[4]})
        for answer in answers
        for resource in answer.resources
    }


async def test_topics_create_makes_on_kafka_what_was_agreed_and_changes_nothing_when_run_again(
    kafka: KafkaBroker,
) -> None:
    before = await described(kafka.bootstrap_servers)

    environment = settings_of("enrolment", "postgresql://u@127.0.0.1:1/none", kafka.bootstrap_servers)
    create = partial(CliRunner().invoke, service_cli(DEFINITION), ["topics", "create"], env=environment)
    again = await asyncio.to_thread(create)  # the command line runs an event loop of its own

    assert again.exit_code == 0, again.output
    assert again.stdout.splitlines() == [f"{name}: exists" for name in NAMES]
    assert await described(kafka.bootstrap_servers) == before
    for name in NAMES:
        agreed = TOPICS[Topic.PORTAL_ANSWERS if name == "portal.answers.essai" else Topic(name)]
        partitions, config = before[name]
        assert (partitions, config | agreed.broker_config) == (agreed.partitions, config)


async def test_a_topic_may_have_more_partitions_than_agreed_and_not_fewer(kafka: KafkaBroker) -> None:
    settings = KafkaSettings(kafka_bootstrap_servers=kafka.bootstrap_servers)
    portals = [
        Portal.model_validate(
            {"portal": name, "issuer": name, "contact": "equipe@portail.example", "answers": ["kafka"]}
        )
        for name in ("more", "fewer")
    ]
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    try:
        for portal, partitions in zip(portals, (7, 5), strict=True):
            await admin.create_topics([NewTopic(answers_topic(portal.portal), partitions, 1)])
    finally:
        await admin.close()
    await topics.create(settings, portals=portals[:1])
    with pytest.raises(TopicsDiffer, match="fewer has 5 partitions, fewer than 6"):
        await topics.create(settings, portals=portals)


@pytest.mark.parametrize("is_quiet", [True, False], ids=["quiet", "busy"])
async def test_what_is_eight_days_old_is_gone_from_a_topic_with_personal_data(
    kafka: KafkaBroker, is_quiet: bool, eventually: Callable[..., Awaitable[None]]
) -> None:
    """By the settings that ``topics create`` gives it; seven days and the day of a segment are kept."""
    topic = f"retention-{uuid.uuid4()}"
    config = TOPICS[Topic.ENROLMENT_DECISIONS].broker_config
    now = int(time.time() * 1000)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers)
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap_servers)
    partition = TopicPartition(topic, 0)

    async def is_gone() -> bool:
        return bool((await consumer.beginning_offsets([partition]))[partition] == 2)

    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=config)])
        await producer.start()
        await consumer.start()
        for days in [8.1, 8] if is_quiet else [8.1, 8, 6.5, 0]:
            await producer.send_and_wait(topic, b"x", timestamp_ms=now - int(days * 24 * 3600 * 1000))
        await eventually(is_gone, "the old records are gone")
    finally:
        await consumer.stop()
        await producer.stop()
        await admin.close()
