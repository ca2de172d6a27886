"""A member of a consumer group that shares its topic out, and gives one partition to nobody."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer
from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata

LEFT_OUT = 0
"""The partition that nobody is given."""
_OURS = b"leaves one out"

_Members = Mapping[str, ConsumerProtocolMemberMetadata]


class LeavesOneOut(RoundRobinPartitionAssignor):  # type: ignore[misc] # aiokafka has no types
    """Gives the others all that it has but one partition, by the name of the strategy that they use."""

    @classmethod
    def assign(
        cls, cluster: ClusterMetadata, members: _Members
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        others = {name: member for name, member in members.items() if member.user_data != _OURS}
        shared_out = super().assign(cluster, others) if others else {}
        given = {
            name: [
                (topic, [number for number in numbers if number != LEFT_OUT])
                for topic, numbers in member.assignment
            ]
            for name, member in shared_out.items()
        }
        return {
            name: ConsumerProtocolMemberAssignment(cls.version, given.get(name, []), b"") for name in members
        }

    @classmethod
    def metadata(cls, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        return ConsumerProtocolMemberMetadata(cls.version, list(topics), _OURS)


@asynccontextmanager
async def a_leader_that_leaves_one_out(
    bootstrap_servers: str, group: str, topic: str
) -> AsyncIterator[AIOKafkaConsumer]:
    """Have nobody read a partition until it is stopped; the group must be without members before."""
    leader = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap_servers,
        group_id=group,
        enable_auto_commit=False,
        partition_assignment_strategy=(LeavesOneOut,),
    )
    await leader.start()
    try:
        yield leader
    finally:
        await leader.stop()
