"""What ``topics create`` says of a cluster that does not show a topic, or shows it late."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from shared.events.topics import TOPICS, Topic
from shared.messaging import topics
from shared.messaging.topics import TopicsDiffer

AGREED = {"late": TOPICS[Topic.PORTAL_ANSWERS], "early": TOPICS[Topic.PORTAL_ANSWERS]}


class Cluster:
    """Shows the topic ``late`` at the third look, or never."""

    def __init__(self, *, shows_it: bool) -> None:
        self._shows_it = shows_it
        self.looks = 0

    async def describe_topics(self, names: Sequence[str]) -> list[dict[str, Any]]:
        self.looks += 1
        shown = [name for name in names if name != "late" or (self._shows_it and self.looks > 2)]
        return [
            {"topic": name, "partitions": [0] * AGREED[name].partitions * (name in shown)} for name in names
        ]


async def check(cluster: Any) -> None:
    await topics._check_partitions(cluster, AGREED)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_time(_seconds: float) -> None: ...

    monkeypatch.setattr(asyncio, "sleep", no_time)
    monkeypatch.setattr(topics, "METADATA_SECONDS", 0.01)


async def test_a_topic_that_kafka_shows_late_is_waited_for() -> None:
    cluster = Cluster(shows_it=True)
    await check(cluster)
    assert cluster.looks == 3


async def test_a_topic_that_kafka_does_not_show_is_not_called_wrong() -> None:
    with pytest.raises(
        TopicsDiffer, match=r"^Kafka does not show late 0 s after .* Run the command again"
    ) as error:
        await check(Cluster(shows_it=False))
    assert "early" not in str(error.value)
    assert "Delete" not in str(error.value)
