"""Who Kafka knows as a member of a group: by that the watchdog notices a consumer that is in none."""

import asyncio
from functools import partial
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError

from local.kafka import KafkaBroker
from local.ports import free_port
from shared import clock
from shared.database import Database
from shared.events.topics import TOPICS, Topic
from shared.messaging.broker import KafkaSettings
from shared.messaging.groups import ConsumerGroups
from shared.messaging.rewind import GroupInUse, rewind
from shared.messaging.watchdog import Watchdog
from tests.conftest import Eventually
from tests.integration.messaging.conftest import Consuming
from tests.integration.messaging.consumers import ConsumerHandler, effects
from tests.support.kafka import KafkaPortal
from tests.support.leaving_out import LEFT_OUT, a_leader_that_leaves_one_out
from tests.support.metrics import metric


@pytest.fixture
def lost(monkeypatch: pytest.MonkeyPatch) -> list[AIOKafkaAdminClient]:
    """The connections that were lost: the first is, once it has been used."""
    clients: list[AIOKafkaAdminClient] = []
    describe = AIOKafkaAdminClient.describe_consumer_groups
    asked: list[AIOKafkaAdminClient] = []

    async def describe_twice(client: AIOKafkaAdminClient, group_ids: list[str]) -> Any:
        asked.append(client)
        if len(asked) > 3 and client is asked[0]:
            clients.append(client)
            raise KafkaConnectionError
        return await describe(client, group_ids)

    monkeypatch.setattr(AIOKafkaAdminClient, "describe_consumer_groups", describe_twice)
    return clients


async def test_kafka_names_the_readers_and_is_asked_again_where_a_connection_of_ours_is_lost(
    kafka: KafkaBroker, database: Database, consuming: Consuming, lost: list[AIOKafkaAdminClient]
) -> None:
    groups = ConsumerGroups(KafkaSettings(kafka_bootstrap_servers=kafka.bootstrap_servers))
    try:
        async with consuming(kafka.bootstrap_servers, database, ConsumerHandler().router) as [consumer]:
            group_id, topic = consumer.subscription.group_id, consumer.subscription.topic
            topics = {group_id: topic, "a group that nobody is in": topic, "a group of no topic": "no.topic"}
            for times_lost in (0, 1):
                found = await groups.look(topics)
                assert found is not None
                group = found[group_id]
                assert (group.state, set(group.members)) == ("Stable", {consumer.member_id})
                assert group.owned == group.partitions == set(range(TOPICS[topic].partitions))
                assert group.trouble() is None
                assert found["a group that nobody is in"].trouble() == "its group is in the state Dead"
                assert found["a group of no topic"].trouble() == "the topic does not exist"
                assert len(lost) == times_lost
        assert consumer.member_id == ""
        left = await groups.look({group_id: topic})
        assert left is not None
        assert not left[group_id].members
        assert left[group_id].owned == frozenset()
    finally:
        await groups.close()


async def test_a_partition_that_a_group_leaves_out_is_known_and_read_once_that_ends(
    kafka: KafkaBroker, database: Database, consuming: Consuming, eventually: Eventually
) -> None:
    """Whoever leads a group shares its topic out: here a program that is not ours."""
    router, stopping = ConsumerHandler().router, asyncio.Event()
    [subscription] = router.subscriptions.values()
    group_id, topic = subscription.group_id, subscription.topic
    groups = ConsumerGroups(KafkaSettings(kafka_bootstrap_servers=kafka.bootstrap_servers))

    def unowned() -> float:
        return metric("parcours_consumer_unowned_partitions", topic=topic)

    async with (
        a_leader_that_leaves_one_out(kafka.bootstrap_servers, group_id, topic) as leader,
        consuming(kafka.bootstrap_servers, database, router) as consumers,
    ):
        watchdog = Watchdog(consumers, groups, limit=20)
        watching = asyncio.create_task(watchdog.stalled(stopping))

        async def says(trouble: str | None, partitions: int) -> bool:
            return (watchdog.trouble(), unowned()) == (trouble, partitions)

        left_out = partial(says, f"{topic}: nobody reads partition {LEFT_OUT}", 1)
        await eventually(left_out, "it is known that a partition is left out", 40)
        assert metric("parcours_consuming") == 0
        await leader.stop()
        await eventually(partial(says, None, 0), "all are read by who is left", 40)
        assert metric("parcours_consuming") == 1
        stopping.set()
        assert await watching is None
    await groups.close()


async def test_a_group_that_nobody_is_in_reads_again_what_came_since(
    kafka: KafkaBroker, database: Database, consuming: Consuming, eventually: Eventually
) -> None:
    settings = KafkaSettings(kafka_bootstrap_servers=kafka.bootstrap_servers)
    handler = ConsumerHandler()
    begun = clock.now()
    async with consuming(kafka.bootstrap_servers, database, handler.router) as [consumer]:
        async with KafkaPortal(kafka.bootstrap_servers) as portal:
            await portal.send(Topic.PORTAL_ENROLMENTS, [handler.request(f"agent-{n}") for n in range(3)])

        async def all_taken() -> bool:
            return len(await effects(database)) == 3

        await eventually(all_taken, "three requests are taken in")
        topics = {consumer.subscription.group_id: consumer.subscription.topic.value}

        async def is_in_use() -> bool:
            try:
                await rewind(settings, topics, begun)
            except GroupInUse as error:
                return "has members: stop the service first" in str(error)
            return False  # nothing is committed yet

        await eventually(is_in_use, "the offsets of a group with members are not set back")

    assert set((await rewind(settings, topics, clock.now())).values()) == {0}, "nothing came since"
    assert set((await rewind(settings, topics, begun)).values()) == {3}
    assert set((await rewind(settings, topics, begun)).values()) == {0}, "never forward, and never twice"


async def test_without_an_answer_of_kafka_nothing_is_known() -> None:
    groups = ConsumerGroups(KafkaSettings(kafka_bootstrap_servers=f"127.0.0.1:{free_port()}"))
    assert await groups.look({"enrolment.portal.enrolments": "portal.enrolments"}) is None
