"""Creating the topics, by an explicit and idempotent command alone."""

import asyncio
import time

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from shared.events.topics import TOPICS, Topic
from shared.messaging.broker import KafkaSettings, client_options

METADATA_SECONDS = 15.0


class TopicsDiffer(Exception):
    """A topic exists with another number of partitions; the message says which."""


async def create(settings: KafkaSettings, *, replication_factor: int = 1) -> dict[Topic, bool]:
    """Create what is missing, with the settings of the contract. Returns which topics were.

    Raises ``KafkaError`` when the broker cannot be used and :class:`TopicsDiffer` when a topic is not as
    agreed. Existing topics are never altered.
    """
    admin = AIOKafkaAdminClient(**client_options(settings, "parcours-topics"))
    await admin.start()
    try:
        created = {topic: await _create(admin, topic, replication_factor) for topic in Topic}
        # Only now: some brokers create a topic that they are asked about, with settings of their own.
        await _check_partitions(admin)
    finally:
        await admin.close()
    return created


async def _create(admin: AIOKafkaAdminClient, topic: Topic, replication_factor: int) -> bool:
    agreed = TOPICS[topic]
    response = await admin.create_topics(
        [
            NewTopic(
                topic.value,
                num_partitions=agreed.partitions,
                replication_factor=replication_factor,
                topic_configs=agreed.broker_config | _durable(replication_factor),
            )
        ]
    )
    code, message = response.topic_errors[0][1:3]
    if code == TopicAlreadyExistsError.errno:
        return False
    if code:
        raise for_code(code)(f"{topic} could not be created: {message}")
    return True


def _durable(replication_factor: int) -> dict[str, str]:
    """Return what makes an acknowledgement outlive one of three brokers."""
    return {"min.insync.replicas": "2"} if replication_factor >= 3 else {}


async def _check_partitions(admin: AIOKafkaAdminClient) -> None:
    deadline = time.monotonic() + METADATA_SECONDS
    found = await _partitions(admin)
    # A broker may report a topic that it has just created a little later.
    while any(found.get(topic, 0) == 0 for topic in Topic) and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
        found = await _partitions(admin)
    different = [
        f"{topic} has {found.get(topic, 0)} partitions, not {agreed.partitions}"
        for topic, agreed in TOPICS.items()
        if found.get(topic, 0) != agreed.partitions
    ]
    if different:
        raise TopicsDiffer("; ".join(different) + ". Delete the topic or move its events by hand.")


async def _partitions(admin: AIOKafkaAdminClient) -> dict[str, int]:
    described = await admin.describe_topics([topic.value for topic in Topic])
    return {topic["topic"]: len(topic["partitions"]) for topic in described}
