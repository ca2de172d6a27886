"""The watchdog: who hangs, takes nothing or is in no group is noticed; who has nothing to take is not."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from prometheus_client import REGISTRY

from shared import clock
from shared.messaging import watchdog
from shared.messaging.consumer import Consumer
from shared.messaging.groups import Group
from shared.messaging.watchdog import (
    LAG,
    LAG_SECONDS,
    OUTDATED_SECONDS,
    OWNED,
    UNOWNED,
    Watchdog,
)

P = TopicPartition("portal.enrolments", 3)
LIMIT = 8.0
"""Seconds; the watchdog looks each two."""


class Kafka:
    """What is asked of aiokafka's consumer."""

    def __init__(self, end: int = 0, position: int = 0, error: Exception | None = None) -> None:
        self.end, self.at, self.error = end, position, error

    def assignment(self) -> set[TopicPartition]:
        return {P}

    async def end_offsets(self, partitions: set[TopicPartition]) -> dict[TopicPartition, int]:
        if self.error is not None:
            raise self.error
        return dict.fromkeys(partitions, self.end)

    async def position(self, _partition: TopicPartition) -> int:
        return self.at


class Watched:
    """What the watchdog knows of a consumer."""

    def __init__(self, kafka: Kafka | None, *, busy: bool = False, member_id: str = "here") -> None:
        self.kafka, self.busy, self.member_id, self.since = kafka, busy, member_id, 0.0
        self.in_hand: Counter[int] = Counter()
        self.taken_until: dict[int, Any] = {}
        self.subscription = type("Subscription", (), {"topic": P.topic, "group_id": "enrolment.group"})


def a_group(*members: str, **changes: Any) -> Group:
    fields: dict[str, Any] = {
        "state": "Stable",
        "members": frozenset(members),
        "partitions": frozenset({3}),
        "owned": frozenset({3}),
    }
    return Group(**(fields | changes))


class FakeGroups:
    """Kafka, which has one group, or is away."""

    def __init__(self, group: Group | None) -> None:
        self.group = group

    async def look(self, topics: Mapping[str, str]) -> Mapping[str, Group] | None:
        assert topics == {"enrolment.group": P.topic}
        return None if self.group is None else {"enrolment.group": self.group}


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic time, which passes by pauses alone."""
    seconds = [0.0]
    monkeypatch.setattr(watchdog, "time", SimpleNamespace(monotonic=lambda: seconds[0]))
    return seconds


@pytest.fixture
def stopping(monkeypatch: pytest.MonkeyPatch, now: list[float]) -> asyncio.Event:
    """The process stops after a minute."""
    stop = asyncio.Event()

    async def pause(until: asyncio.Event, seconds: float) -> None:
        now[0] += seconds
        if now[0] > 60:
            until.set()

    monkeypatch.setattr(clock, "pause", pause)
    return stop


def a_watchdog(watched: Any, group: Group | None, relay_trouble: str | None = None) -> Watchdog:
    consumers: list[Consumer] = [watched]
    return Watchdog(consumers, FakeGroups(group), limit=LIMIT, relay_trouble=lambda: relay_trouble)


def is_consuming() -> float | None:
    return REGISTRY.get_sample_value("parcours_consuming")


HERE = a_group("here")


@pytest.mark.parametrize(
    ("watched", "group"),
    [
        (Watched(None), HERE),
        (Watched(Kafka()), HERE),
        (Watched(Kafka(end=7, position=7)), a_group("here", "elsewhere")),
        (Watched(Kafka(error=KafkaError("the broker is away"))), None),
        (Watched(Kafka(), member_id=""), None),
    ],
    ids=["not started", "empty topic", "all taken", "Kafka away", "Kafka away before it joined"],
)
async def test_a_consumer_with_nothing_to_do_is_not_stalled(
    stopping: asyncio.Event, watched: Watched, group: Group | None
) -> None:
    assert await a_watchdog(watched, group).stalled(stopping) is None


@pytest.mark.parametrize(
    ("watched", "group"),
    [
        (Watched(Kafka(end=7, position=7), busy=True), HERE),
        (Watched(Kafka(end=7, position=7), busy=True), None),
        (Watched(Kafka(end=7, position=6)), HERE),
        (Watched(Kafka(error=KafkaError("no answer came"))), HERE),
        (Watched(Kafka(end=7, position=7)), a_group("elsewhere")),
        (Watched(Kafka(end=7, position=7), member_id=""), a_group("elsewhere")),
    ],
    ids=[
        "hangs over a batch",
        "hangs over a batch while Kafka is away",
        "takes nothing",
        "hears nothing while Kafka answers",
        "put out of its group",
        "never joined",
    ],
)
async def test_a_consumer_that_makes_no_progress_is_named(
    stopping: asyncio.Event, watched: Watched, group: Group | None
) -> None:
    named = await a_watchdog(watched, group).stalled(stopping)
    assert named == "the consumer of portal.enrolments has made no progress for 10 s"


# ------------------------------------------------------------------------------------- /health/consuming


@pytest.mark.parametrize(
    ("group", "trouble"),
    [
        (HERE, None),
        (a_group("here", owned=None), None),
        (None, "Kafka does not answer"),
        (a_group("here", partitions=frozenset()), "portal.enrolments: the topic does not exist"),
        (
            a_group("here", state="PreparingRebalance"),
            "portal.enrolments: its group is in the state PreparingRebalance",
        ),
        (
            a_group("here", partitions=frozenset({3, 4, 5})),
            "portal.enrolments: nobody reads partition 4, 5",
        ),
        (a_group("elsewhere"), "portal.enrolments: this process is not in its group"),
    ],
)
async def test_what_is_not_read_is_said(now: list[float], group: Group | None, trouble: str | None) -> None:
    watchdog = a_watchdog(Watched(Kafka()), group)
    assert watchdog.trouble() == "Kafka has not been asked yet"

    await watchdog._look()

    assert watchdog.trouble() == trouble
    assert is_consuming() == (trouble is None)


async def test_a_relay_in_trouble_and_an_old_look_are_said(now: list[float]) -> None:
    in_trouble = a_watchdog(Watched(Kafka()), HERE, relay_trouble="the outbox could not be published")
    await in_trouble._look()
    assert (in_trouble.trouble(), is_consuming()) == ("the outbox could not be published", 0)
    outdated = a_watchdog(Watched(Kafka()), HERE)
    await outdated._look()
    now[0] += OUTDATED_SECONDS + 1
    assert (outdated.trouble(), is_consuming()) == ("what Kafka says is not known for 31 s", 0)


async def test_how_far_behind_a_process_is(now: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    kafka = Kafka(end=7, position=2)
    watched = Watched(kafka)
    watchdog = a_watchdog(watched, a_group("here", partitions=frozenset({3, 4})))
    at = clock.now()
    monkeypatch.setattr(clock, "now", lambda: at + timedelta(seconds=now[0]))

    async def seconds_behind() -> float:
        await watchdog._look()
        return float(LAG_SECONDS.labels(P.topic)._value.get())

    now[0] = 40.0
    assert await seconds_behind() == 40, "since it began: it has taken nothing"
    assert LAG.labels(P.topic)._value.get() == 5
    assert OWNED.labels(P.topic)._value.get() == 1
    assert UNOWNED.labels(P.topic)._value.get() == 1
    watched.taken_until[3] = at + timedelta(seconds=30)
    assert await seconds_behind() == 10, "the age of the last record that it took in"
    kafka.at = 7
    assert await seconds_behind() == 0
    now[0], kafka.end = 43.0, 8
    assert await seconds_behind() == 3, "no more than since it had all"
    kafka.at, watched.in_hand[3] = 8, 1
    now[0] = 50.0
    assert await seconds_behind() == 10, "its batch fails: the client has it, and nothing was taken in"
