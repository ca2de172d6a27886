"""Consumer groups as Kafka sees them: their members and partitions."""

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError, for_code

from shared.messaging import cluster
from shared.messaging.broker import KafkaSettings, client_options
from shared.messaging.clients import admin_client

_SECONDS = 5.0
"""A healthy broker answers in milliseconds."""
_STABLE = "Stable"


@dataclass(frozen=True, slots=True)
class Group:
    """A group that reads one topic. ``partitions`` is empty if the topic does not exist.

    ``owned`` are the partitions that a member reads, or None if the broker does not say (the embedded
    broker).
    """

    state: str
    members: frozenset[str]
    partitions: frozenset[int]
    owned: frozenset[int] | None

    @property
    def unowned(self) -> frozenset[int]:
        return frozenset() if self.owned is None else self.partitions - self.owned

    def trouble(self) -> str | None:
        """Return why a part of the topic is not read, or None if all is read."""
        if not self.partitions:
            return "the topic does not exist"
        if self.state != _STABLE:
            return f"its group is in the state {self.state}"
        if self.unowned:
            return f"nobody reads partition {', '.join(map(str, sorted(self.unowned)))}"
        return None


class ConsumerGroups:
    """Asks Kafka about its groups, over its own connection.

    If the connection fails, it connects and asks once more.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._admin: AIOKafkaAdminClient | None = None

    async def look(self, topics: Mapping[str, str]) -> Mapping[str, Group] | None:
        """Return these groups by id, or None if Kafka does not answer. ``topics`` has each group's topic."""
        for _ in range(2):
            try:
                async with asyncio.timeout(_SECONDS):
                    admin = await self._connected()
                    partitions = await partitions_of(admin, set(topics.values()))
                    return {
                        group: await describe(admin, group, topic, partitions[topic])
                        for group, topic in topics.items()
                    }
            except (KafkaError, OSError, TimeoutError):
                await self.close()
        return None

    async def close(self) -> None:
        admin, self._admin = self._admin, None
        if admin is not None:
            with suppress(KafkaError, OSError, TimeoutError):
                async with asyncio.timeout(_SECONDS):
                    await admin.close()

    async def _connected(self) -> AIOKafkaAdminClient:
        if self._admin is None:
            self._admin = AIOKafkaAdminClient(**client_options(self._settings, "parcours-groups"))
            await self._admin.start()
        return self._admin


async def partitions_of(admin: AIOKafkaAdminClient, topics: Collection[str]) -> dict[str, frozenset[int]]:
    """Return the partitions of each topic, none if it does not exist. Raises ``KafkaError``."""
    found: dict[str, frozenset[int]] = {}
    if not topics:  # for an empty list Kafka would describe all topics
        return found
    for topic in await admin.describe_topics(list(topics)):
        if topic["error_code"] not in (0, UnknownTopicOrPartitionError.errno):
            raise for_code(topic["error_code"])(topic["topic"])
        found[topic["topic"]] = frozenset(partition["partition"] for partition in topic["partitions"])
    return found


async def partitions_at(settings: KafkaSettings, topics: Collection[str]) -> list[TopicPartition]:
    """Return the partitions of existing topics. Raises ``KafkaError``."""
    async with admin_client(settings, "parcours-groups") as admin:
        existing = set(await admin.list_topics())  # naming a missing topic could create it
        numbers = await partitions_of(admin, sorted(existing.intersection(topics)))
    return [TopicPartition(topic, number) for topic, of_it in numbers.items() for number in sorted(of_it)]


async def describe(
    admin: AIOKafkaAdminClient, group_id: str, topic: str, partitions: frozenset[int]
) -> Group:
    """Return a group that reads this topic. Raises ``KafkaError``."""
    # One group per request: aiokafka 0.14 reads version 3 as version 2, and fails after the first group.
    [answer] = await admin.describe_consumer_groups([group_id])
    [(error, _, state, _, _, members, *_)] = answer.groups
    if error:
        raise for_code(error)(group_id)
    assignments = [assignment for *_, assignment in members]
    return Group(
        state=state,
        members=frozenset(member_id for member_id, *_ in members),
        partitions=partitions,
        owned=None if cluster.is_embedded() else _owned(assignments, topic),
    )


def _owned(assignments: Collection[Any], topic: str) -> frozenset[int]:
    return frozenset(
        partition.partition
        for assignment in assignments
        if assignment
        for partition in ConsumerProtocolMemberAssignment.decode(assignment).partitions()
        if partition.topic == topic
    )
