"""Causes of what is wrong with the way of events."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from shared.events.topics import TOPICS, Topic, answers_topic
from tests.faults.alerts.installed import AlertCause, Installed
from tests.faults.installation import until
from tests.support.leaving_out import a_leader_that_leaves_one_out

DECISIONS = Topic.ENROLMENT_DECISIONS


@asynccontextmanager
async def _kafka_is_away(installed: Installed) -> AsyncIterator[None]:
    kafka = installed.users.installation.kafka
    kafka.kill()
    await installed.users.enrol_by_hand("large", "kafka-is-away@ville-exemple.fr")
    yield
    await asyncio.to_thread(kafka.restart)


@asynccontextmanager
async def _a_partition_is_read_by_nobody(installed: Installed) -> AsyncIterator[None]:
    """A program that is not ours leads the group, and leaves a partition out; then it is taken away."""
    users = installed.users
    await asyncio.to_thread(users.services["enrolment"].stop)
    topic = Topic.PORTAL_ENROLMENTS
    async with a_leader_that_leaves_one_out(
        users.installation.kafka.bootstrap_servers, f"enrolment.{topic.value}", topic
    ):
        await asyncio.to_thread(users.services["enrolment"].start)
        await until(partial(_has_unowned, installed, 1), "one partition is read by nobody")
        yield
    await until(partial(_has_unowned, installed, 0), "each partition is read by somebody")


async def _has_unowned(installed: Installed, number: int) -> bool:
    metrics = await installed.users.metrics_of("enrolment")
    topic = Topic.PORTAL_ENROLMENTS.value
    return f'parcours_consumer_unowned_partitions{{topic="{topic}"}} {number:.1f}\n' in metrics


@asynccontextmanager
async def _batches_fail(installed: Installed) -> AsyncIterator[None]:
    """The database is not as this version wants it: the same batch comes again until it is."""
    installed.sql("enrolment", "ALTER TABLE enrolment RENAME COLUMN ticket TO ticket_of_another_version")
    await installed.users.ask_for_seats("large", 3)
    yield
    installed.sql("enrolment", "ALTER TABLE enrolment RENAME COLUMN ticket_of_another_version TO ticket")


@asynccontextmanager
async def _a_handler_fails_on_all(installed: Installed) -> AsyncIterator[None]:
    """A fault of ours. Once it is mended the consumer goes on, and what was parked is handled."""
    installed.sql("enrolment", "ALTER TABLE enrolment ADD CONSTRAINT fault CHECK (false) NOT VALID")
    agents = await installed.users.ask_for_seats("large", 150)
    yield
    installed.sql("enrolment", "ALTER TABLE enrolment DROP CONSTRAINT fault")
    await until(installed.users.has_read_all, "all is read")
    assert not await installed.users.run("enrolment", "dead-letters", "redrive", "--all")
    ids = ", ".join(f"'{agent.agent_id}'" for agent in agents)
    await installed.until_sql(
        "enrolment", f"(SELECT count(*) FROM enrolment WHERE agent_id IN ({ids})) = 150"
    )


@asynccontextmanager
async def _a_record_cannot_be_handled(installed: Installed) -> AsyncIterator[None]:
    installed.sql("enrolment", "ALTER TABLE enrolment ADD CONSTRAINT fault CHECK (false) NOT VALID")
    [agent] = await installed.users.ask_for_seats("large", 1)
    yield
    installed.sql("enrolment", "ALTER TABLE enrolment DROP CONSTRAINT fault")
    assert not await installed.users.run("enrolment", "dead-letters", "redrive", "--all")
    await installed.until_sql(
        "enrolment", f"EXISTS (SELECT 1 FROM enrolment WHERE agent_id = '{agent.agent_id}')"
    )


@asynccontextmanager
async def _a_topic_takes_less_than_agreed(installed: Installed) -> AsyncIterator[None]:
    agreed = TOPICS[DECISIONS].broker_config
    async with installed.kafka_admin() as admin:
        less = ConfigResource(
            ConfigResourceType.TOPIC, DECISIONS.value, agreed | {"max.message.bytes": "200"}
        )
        await admin.alter_configs([less])
        await installed.users.ask_for_seats("large", 1)
        yield
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, DECISIONS.value, agreed)])
    assert not await installed.users.run("enrolment", "outbox", "redrive", "--all")


@asynccontextmanager
async def _a_topic_is_deleted(installed: Installed) -> AsyncIterator[None]:
    async with installed.kafka_admin() as admin:
        await admin.delete_topics([answers_topic("essai")])
    await installed.users.ask_for_seats("large", 1)
    yield
    assert not await installed.users.run("catalogue", "topics", "create")


CAUSES = [
    AlertCause(("ParcoursNotConsuming", "ParcoursOutboxLate"), _kafka_is_away),
    AlertCause(("ParcoursNotConsuming",), _a_partition_is_read_by_nobody),
    AlertCause(("ParcoursLagging",), _batches_fail),
    AlertCause(("ParcoursDeadLetters",), _a_record_cannot_be_handled),
    AlertCause(("ParcoursHandlerStopped",), _a_handler_fails_on_all),
    AlertCause(("ParcoursOutboxRefused",), _a_topic_takes_less_than_agreed),
    AlertCause(("ParcoursTopicMissing",), _a_topic_is_deleted),
]
