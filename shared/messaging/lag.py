"""How far consumer groups are behind their topics, as Kafka reports it.

Markers of transactions have offsets that no group commits. So the first waiting record is looked for. The
embedded broker reports the first record of its last batch as the end, so that batch never counts as waiting.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError

from shared.messaging import cluster, groups
from shared.messaging.broker import KafkaSettings
from shared.messaging.clients import admin_client, reading_client
from shared.messaging.cluster import Ours
from shared.messaging.groups import Group
from shared.messaging.router import Subscription

LATE = timedelta(minutes=1)
"""A longer wait is a problem; services need a second or two."""
_SECONDS = 10.0
"""The limit for all answers about a group. A healthy broker takes milliseconds."""
_POLL_MS = 200
_AGAIN_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class GroupLag:
    """``records`` is an upper bound, because it counts markers of transactions.

    ``oldest`` is the time of the first waiting record. ``group`` is None if the broker does not tell;
    ``unknown`` says why.
    """

    service: str
    topic: str
    group_id: str
    group: Group | None
    records: int = 0
    oldest: datetime | None = None
    unknown: str = ""


async def of_groups(settings: KafkaSettings, subscriptions: Iterable[Subscription]) -> list[GroupLag]:
    """Ask about the groups of these subscriptions. Raises ``KafkaError``, ``TimeoutError``.

    A group is unknown if this user may not ask about it. The others are still reported.
    """
    async with asyncio.timeout(_SECONDS):
        found = await cluster.id_at(settings)
    with cluster.belonging_to(Ours(found, lambda _: None)):
        async with admin_client(settings, "parcours-lag") as admin:
            async with asyncio.timeout(_SECONDS):
                existing = set(await admin.list_topics())
            return [
                await _of_group(settings, admin, subscription, existing) for subscription in subscriptions
            ]


async def _of_group(
    settings: KafkaSettings, admin: AIOKafkaAdminClient, subscription: Subscription, existing: set[str]
) -> GroupLag:
    topic, group_id = subscription.topic.value, subscription.group_id
    try:
        async with asyncio.timeout(_SECONDS):
            # Some brokers create a missing topic when they are asked about it.
            numbers = (
                (await groups.partitions_of(admin, [topic]))[topic] if topic in existing else frozenset()
            )
            group = await _described(admin, group_id, topic, numbers)
            partitions = [TopicPartition(topic, number) for number in numbers]
            waiting = await _waiting(settings, await _committed(admin, group_id, partitions))
    except (KafkaError, TimeoutError) as error:
        why = str(error) or type(error).__name__
        return GroupLag(subscription.service, topic, group_id, None, unknown=why)
    return GroupLag(
        subscription.service,
        topic,
        group_id,
        group,
        records=sum(number for number, _ in waiting),
        oldest=min((moment for _, moment in waiting), default=None),
    )


async def _described(admin: AIOKafkaAdminClient, group_id: str, topic: str, numbers: frozenset[int]) -> Group:
    """A broker that is asked for the first time needs a moment."""
    while True:
        try:
            return await groups.describe(admin, group_id, topic, numbers)
        except GroupCoordinatorNotAvailableError:
            await asyncio.sleep(_AGAIN_SECONDS)


async def _committed(
    admin: AIOKafkaAdminClient, group_id: str, partitions: list[TopicPartition]
) -> dict[TopicPartition, int]:
    if not partitions:
        return {}
    committed = await admin.list_consumer_group_offsets(group_id, partitions=partitions)
    return {partition: known.offset for partition, known in committed.items()}


async def _waiting(
    settings: KafkaSettings, offsets: Mapping[TopicPartition, int]
) -> list[tuple[int, datetime]]:
    """Return for each partition an upper bound, and the time of the first waiting record."""
    if not offsets:
        return []
    async with reading_client(settings, "parcours-lag") as consumer:
        ends = await consumer.end_offsets(list(offsets))
        beginnings = await consumer.beginning_offsets(list(offsets))
        # A group without an offset, or whose next record is deleted, begins with the first record.
        starts = {part: max(offset, beginnings[part]) for part, offset in offsets.items()}
        behind = {part for part, start in starts.items() if start < ends[part]}
        found: list[tuple[int, datetime]] = []
        if behind:
            consumer.assign(list(behind))
        for part in behind:
            consumer.seek(part, starts[part])
        while behind:
            fetched_now = await consumer.getmany(*behind, timeout_ms=_POLL_MS)
            for part, records in fetched_now.items():
                if records:
                    found.append(
                        (ends[part] - starts[part], datetime.fromtimestamp(records[0].timestamp / 1000, UTC))
                    )
                    behind.discard(part)
            behind = {part for part in behind if await consumer.position(part) < ends[part]}
    return found
