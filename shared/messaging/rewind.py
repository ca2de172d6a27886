"""Setting the offsets of consumer groups back after the restore of a database."""

from collections.abc import Collection, Mapping
from datetime import datetime

from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, RebalanceInProgressError, UnknownMemberIdError

from shared.failures import OperatorError
from shared.messaging.broker import KafkaSettings
from shared.messaging.clients import admin_client, reading_client
from shared.messaging.groups import partitions_of


class GroupInUse(OperatorError):
    """A group has members, so its offsets cannot be set."""


async def rewind(settings: KafkaSettings, topics: Mapping[str, str], since: datetime) -> dict[str, int]:
    """Make groups (each with its topic) read again the records received at ``since`` or later.

    Offsets never move forward, and only move where something was read. Returns how many records each group
    reads again. Raises :class:`GroupInUse`, ``KafkaError``.
    """
    async with admin_client(settings, "parcours-rewind") as admin:
        partitions = await partitions_of(admin, set(topics.values()))
    return {
        group: await _rewind(
            settings, group, [TopicPartition(topic, number) for number in partitions[topic]], since
        )
        for group, topic in topics.items()
    }


async def _rewind(
    settings: KafkaSettings, group: str, partitions: Collection[TopicPartition], since: datetime
) -> int:
    try:
        async with reading_client(settings, "parcours-rewind", group_id=group) as consumer:
            consumer.assign(list(partitions))
            moment = int(since.timestamp() * 1000)
            found = await consumer.offsets_for_times(dict.fromkeys(partitions, moment))
            back: dict[TopicPartition, int] = {}
            again = 0
            for partition in partitions:
                committed, first = await consumer.committed(partition), found[partition]
                if committed is not None and first is not None and first.offset < committed:
                    back[partition] = first.offset
                    again += committed - first.offset
            if back:
                await consumer.commit(back)
            return again
    except (CommitFailedError, UnknownMemberIdError, RebalanceInProgressError) as error:
        raise GroupInUse(
            f"the group {group} has members: stop the service first; one that was killed is a member for 10 s"
        ) from error
