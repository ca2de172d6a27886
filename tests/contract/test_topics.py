"""The table of topics, as agreed; and what Apache Kafka says it has after ``topics create``."""

import json
from typing import NamedTuple

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from shared.events import EVENTS, Event
from shared.events.documents import FOLDER
from shared.events.topics import TOPICS
from tests.conftest import Broker, settings_of
from tests.support.processes import run_cli

DAY, WEEK = str(24 * 3600 * 1000), str(7 * 24 * 3600 * 1000)
MOST_BYTES = str(4 * 1024 * 1024)


class Agreed(NamedTuple):
    """A line of the design's table."""

    key: str
    partitions: int
    cleanup: str
    retention: str | None
    stamp: str
    types: set[str]


TABLE = {
    "portal.enrolments": Agreed(
        "session_id", 12, "delete", WEEK, "LogAppendTime",
        {"EnrolmentRequested", "GroupEnrolmentRequested", "WithdrawalRequested",
         "ApprovalDecided", "SeatOfferAnswered"},
    ),
    "portal.bespoke": Agreed(
        "siret", 6, "delete", WEEK, "LogAppendTime", {"BespokeTrainingRequested", "TraineesNominated"}
    ),
    "portal.agents": Agreed(
        "agent_id", 6, "delete", WEEK, "LogAppendTime", {"SubscriptionChanged", "AgentErasureRequested"}
    ),
    "catalogue.sessions": Agreed(
        "session_id", 6, "compact", None, "CreateTime",
        {"SessionScheduled", "SessionOpened", "SessionChanged",
         "SessionClosed", "SessionCancelled", "SessionCompleted"},
    ),
    "catalogue.resources": Agreed(
        "resource_id", 6, "compact", None, "CreateTime", {"ReplayPublished", "ResourcePublished"}
    ),
    "catalogue.bespoke": Agreed("siret", 6, "delete", WEEK, "CreateTime", {"BespokeRequestAnswered"}),
    "enrolment.decisions": Agreed(
        "agent_id", 12, "delete", WEEK, "CreateTime",
        {"AgentEnrolled", "AgentWaitlisted", "SeatOffered", "SeatOfferLapsed", "EnrolmentPending",
         "EnrolmentRefused", "EnrolmentWithdrawn", "AttendanceRecorded"},
    ),
    "enrolment.occupancy": Agreed(
        "session_id", 6, "compact", None, "CreateTime", {"SessionOccupancyChanged"}
    ),
    "notifier.deliveries": Agreed(
        "agent_id", 6, "delete", WEEK, "CreateTime", {"EmailSent", "EmailBounced", "EmailFailed"}
    ),
}  # fmt: skip


def test_the_topics_are_the_agreed_ones_and_no_others() -> None:
    assert {topic.value for topic in TOPICS} == set(TABLE)


def test_every_event_that_is_written_down_is_listed() -> None:
    def published(event: type[Event]) -> set[type[Event]]:
        if "TYPE" in vars(event):
            return {event}
        return {found for kind in event.__subclasses__() for found in published(kind)}

    assert {event for event in published(Event) if event.__module__.startswith("shared.events.")} == set(
        EVENTS
    )


@pytest.mark.parametrize("name", TABLE)
def test_a_topic_has_the_agreed_key_partitions_cleanup_retention_and_stamp(name: str) -> None:
    agreed, settings = TABLE[name], {topic.value: listed for topic, listed in TOPICS.items()}[name]

    assert (settings.key, settings.partitions) == (agreed.key, agreed.partitions)
    config = settings.broker_config
    assert config["cleanup.policy"] == agreed.cleanup
    assert config.get("retention.ms") == agreed.retention
    assert config.get("segment.ms") == (DAY if agreed.retention else None)
    assert config["max.message.bytes"] == MOST_BYTES
    assert config["message.timestamp.type"] == agreed.stamp


@pytest.mark.parametrize("name", TABLE)
def test_a_topic_carries_the_agreed_types(name: str) -> None:
    types = {event.TYPE for event in EVENTS if name == event.TOPIC}

    assert types == {f"fr.cnfpt.{name.partition('.')[0]}.{event}.v1" for event in TABLE[name].types}


@pytest.mark.parametrize("event", EVENTS, ids=[event.__name__ for event in EVENTS])
def test_the_key_of_an_event_is_the_field_that_the_table_names(event: type[Event]) -> None:
    for path in (FOLDER / "examples" / event.TYPE).glob("*.json"):
        document = json.loads(path.read_text())
        field = TABLE[event.TOPIC].key
        expected = document[field] if field in document else document["agent"][field]

        assert event.model_validate(document).key == expected


async def described(bootstrap_servers: str) -> dict[str, tuple[int, dict[str, str]]]:
    """Partitions and settings of every topic, as the broker tells them."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        partitions = {
            topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics(list(TABLE))
        }
        answers = await admin.describe_configs(
            [ConfigResource(ConfigResourceType.TOPIC, name) for name in TABLE]
        )
    finally:
        await admin.close()
    return {
        resource[3]: (partitions[resource[3]], {entry[0]: entry[1] for entry in resource[4]})
        for answer in answers
        for resource in answer.resources
    }


@pytest.mark.kafka
async def test_topics_create_makes_on_kafka_what_was_agreed_and_changes_nothing_when_run_again(
    kafka: Broker, enrolment_url: str
) -> None:
    before = await described(kafka.bootstrap_servers)

    again = run_cli(
        "enrolment", "topics", "create",
        environment=settings_of("enrolment", enrolment_url, kafka.bootstrap_servers),
    )  # fmt: skip

    assert again.returncode == 0, again.stderr
    assert again.stdout.splitlines() == [f"{name}: exists" for name in TABLE]
    assert await described(kafka.bootstrap_servers) == before
    for name, agreed in TABLE.items():
        partitions, config = before[name]
        assert partitions == agreed.partitions, name
        assert config["cleanup.policy"] == agreed.cleanup, name
        assert config["message.timestamp.type"] == agreed.stamp, name
        assert config["max.message.bytes"] == MOST_BYTES, name
        if agreed.retention is not None:
            assert (config["retention.ms"], config["segment.ms"]) == (agreed.retention, DAY), name
