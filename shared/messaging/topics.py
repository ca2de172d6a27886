"""Creates the topics, by an explicit and idempotent command, and reads their state."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code

from shared.events.topics import TOPICS, Topic, TopicSettings
from shared.failures import OperatorError
from shared.messaging.broker import KafkaSettings
from shared.messaging.clients import admin_client
from shared.messaging.portals.registry import Portal

METADATA_SECONDS = 60.0
"""A new and busy cluster shows a created topic this late."""
REPLICAS = 3
"""With fewer brokers, an acknowledged event may be lost with one disk."""


class TopicsDiffer(OperatorError):
    """A topic has fewer partitions than agreed, or is not shown after its creation."""


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic on the broker. ``partitions`` is 0 if it does not exist; ``replicas`` is the fewest.

    ``differences`` are wrong settings: the actual value, and the agreed value.
    """

    name: str
    agreed: TopicSettings
    partitions: int = 0
    replicas: int = 0
    differences: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    unknown: str = ""
    """Why the broker does not tell; "" if it does."""


class CreatedTopics(NamedTuple):
    """Every topic by name, with whether it is new, and the replicas of new topics."""

    are_new: dict[str, bool]
    replicas: int

    def warning(self) -> str:
        if self.replicas >= REPLICAS or not any(self.are_new.values()):
            return ""
        return (
            f"What was created is on {self.replicas} of {REPLICAS} brokers: "
            "events may be lost with one disk. "
            "Where a broker was away, move the topics to all once it is back: kafka-reassign-partitions, "
            "then min.insync.replicas=2."
        )


async def create(
    settings: KafkaSettings, *, portals: Iterable[Portal] = (), replication_factor: int | None = None
) -> CreatedTopics:
    """Create the missing topics, with the settings of the contract. Existing topics are never altered.

    ``portals`` that use Kafka get a topic each. ``replication_factor`` defaults to :func:`replicas`. Raises
    ``KafkaError``, and :class:`TopicsDiffer` if a topic is not as agreed.
    """
    async with admin_client(settings, "parcours-topics") as admin:
        agreed = names(portals)
        wanted = replication_factor or replicas(len((await admin.describe_cluster())["brokers"]))
        created = {name: await _create(admin, name, topic, wanted) for name, topic in agreed.items()}
        # Only now: some brokers create a missing topic, with other settings, when they are asked about it.
        await _check_partitions(admin, agreed)
    return CreatedTopics(created, wanted)


def names(portals: Iterable[Portal]) -> dict[str, TopicSettings]:
    """Return every topic by its name on the broker, including the portals' topics."""
    answers = [portal.answers_topic for portal in portals if portal.answers_topic is not None]
    fixed = {topic.value: agreed for topic, agreed in TOPICS.items() if topic is not Topic.PORTAL_ANSWERS}
    return fixed | dict.fromkeys(answers, TOPICS[Topic.PORTAL_ANSWERS])


async def states(settings: KafkaSettings, portals: Iterable[Portal] = ()) -> list[TopicState]:
    """Return the state of every topic. Changes nothing. Raises ``KafkaError``."""
    async with admin_client(settings, "parcours-topics") as admin:
        # List all topics: some brokers create a missing topic when they are asked about it.
        existing = set(await admin.list_topics())
        return [await _state(admin, name, agreed, existing) for name, agreed in names(portals).items()]


async def _state(
    admin: AIOKafkaAdminClient, name: str, agreed: TopicSettings, existing: set[str]
) -> TopicState:
    if name not in existing:
        return TopicState(name, agreed)
    [described] = await admin.describe_topics([name])
    [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    [(code, message, _, _, entries)] = answer.resources
    if code:
        return TopicState(name, agreed, unknown=f"{for_code(code).__name__}: {message}")
    config = {entry[0]: str(entry[1]) for entry in entries}
    partitions = described["partitions"]
    return TopicState(
        name,
        agreed,
        len(partitions),
        min((len(partition["replicas"]) for partition in partitions), default=0),
        {
            setting: (config.get(setting, "not set"), wanted)
            for setting, wanted in agreed.broker_config.items()
            if config.get(setting) != wanted
        },
    )


async def _create(
    admin: AIOKafkaAdminClient, name: str, agreed: TopicSettings, replication_factor: int
) -> bool:
    response = await admin.create_topics(
        [
            NewTopic(
                name,
                num_partitions=agreed.partitions,
                replication_factor=replication_factor,
                topic_configs=agreed.broker_config | durable(replication_factor),
            )
        ]
    )
    code, message = response.topic_errors[0][1:3]
    if code == TopicAlreadyExistsError.errno:
        return False
    if code:
        raise for_code(code)(f"{name} could not be created: {message}")
    return True


def replicas(brokers: int) -> int:
    """Return how many of these brokers have a topic: three, or all if there are fewer."""
    return min(REPLICAS, brokers)


def durable(replication_factor: int) -> dict[str, str]:
    """With these settings an acknowledged event survives the loss of one of three brokers."""
    return {"min.insync.replicas": "2"} if replication_factor >= REPLICAS else {}


async def _check_partitions(admin: AIOKafkaAdminClient, agreed: Mapping[str, TopicSettings]) -> None:
    deadline = time.monotonic() + METADATA_SECONDS
    found = await _partitions(admin, list(agreed))
    while (missing := [name for name in agreed if not found.get(name)]) and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
        found = await _partitions(admin, list(agreed))
    if missing:
        raise TopicsDiffer(
            f"Kafka does not show {', '.join(missing)} {METADATA_SECONDS:.0f} s after their creation. "
            "Run the command again: it creates only what is missing."
        )
    different = [
        f"{name} has {found[name]} partitions, fewer than {topic.partitions}"
        for name, topic in agreed.items()
        if found[name] < topic.partitions  # an operator may have added some
    ]
    if different:
        raise TopicsDiffer("; ".join(different) + ". Delete the topic or move its events by hand.")


async def _partitions(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, int]:
    described = await admin.describe_topics(names)
    return {topic["topic"]: len(topic["partitions"]) for topic in described}
