"""Projections: tables that a service fills from compacted topics and can fill again.

A rebuild reads the last event of each subject again, without its first consequences (letters, decisions,
events). An event that the service has missed goes to its handler like any other.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from faststream.exceptions import NackMessage
from sqlalchemy import text

from shared import clock
from shared.database import Database, Transaction
from shared.events.cloudevents import Received
from shared.events.topics import Topic
from shared.messaging import history, inbox
from shared.messaging.broker import KafkaSettings
from shared.messaging.consumer import BATCH, Consumer
from shared.messaging.dead_letters import Parked
from shared.messaging.router import Router

SLICE = 100

Latest = Mapping[Topic, Sequence[Received[Any]]]

ProjectedRow = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Compared:
    """All subjects of one kind, by key: the values expected from the topics, and the stored values."""

    kind: str
    expected: Mapping[str, ProjectedRow]
    stored: Mapping[str, ProjectedRow]

    def differences(self) -> Iterator[str]:
        """A newer version than expected is no difference."""
        for key in sorted(self.expected.keys() | self.stored.keys()):
            expected, stored = self.expected.get(key), self.stored.get(key)
            if stored is None:
                yield f"{self.kind} {key} is missing"
            elif expected is None:
                yield f"{self.kind} {key} is kept, but nothing is said of it"
            elif stored["version"] <= expected["version"]:
                for name, value in expected.items():
                    if stored.get(name) != value:
                        yield f"{self.kind} {key}: {name} is {_shown(stored.get(name))}, not {_shown(value)}"


@dataclass(frozen=True, slots=True)
class Projections:
    """How one service fills its projections again, and compares them with the topics.

    ``restore`` keeps the newest version, as the handlers do, without consequences. ``compare`` only reads.
    """

    topics: tuple[Topic, ...]
    restore: Callable[[Transaction, Latest], Awaitable[None]]
    compare: Callable[[Transaction, Latest], Awaitable[Sequence[Compared]]]


@dataclass(slots=True)
class TopicStates:
    """Events by topic and key: the newest handled events, and newer missed ones.

    ``unreadable`` counts records that could not be read; they are parked.
    """

    handled: dict[Topic, dict[str, Received[Any]]] = field(default_factory=dict)
    missed: dict[Topic, dict[str, Received[Any]]] = field(default_factory=dict)
    unreadable: int = 0

    def latest(self) -> Latest:
        return {
            topic: list((handled | self.missed.get(topic, {})).values())
            for topic, handled in self.handled.items()
        }

    def handled_in_slices(self) -> Iterator[Latest]:
        subjects = sorted({key for events in self.handled.values() for key in events})
        for first in range(0, len(subjects), SLICE):
            slice_ = subjects[first : first + SLICE]
            yield {
                topic: [events[key] for key in slice_ if key in events]
                for topic, events in self.handled.items()
            }


async def read_topics(
    settings: KafkaSettings, database: Database, router: Router, topics: Sequence[Topic]
) -> TopicStates:
    """Read these topics to their end."""
    states = TopicStates({topic: {} for topic in topics}, {topic: {} for topic in topics})
    # The inbox forgets older events, so they count as handled.
    forgotten = clock.now() - inbox.KEPT
    async for deliveries in history.read(settings, topics):
        events = [delivery for delivery in deliveries if isinstance(delivery, Received)]
        states.unreadable += sum(isinstance(delivery, Parked) for delivery in deliveries)
        async with database.quiet_transaction() as tx:
            seen = await inbox.seen(tx, [event.identity for event in events])
        for event in events:
            topic = Topic(event.topic)
            is_handled = (
                topic not in router.subscriptions or event.identity in seen or event.received_at < forgotten
            )
            _keep_newest((states.handled if is_handled else states.missed)[topic], event)
    for topic, missed in states.missed.items():
        handled = states.handled[topic]
        states.missed[topic] = {
            key: event
            for key, event in missed.items()
            if key not in handled or _state(event).version > _state(handled[key]).version
        }
    return states


async def rebuild(
    states: TopicStates, database: Database, projections: Projections, consumer: Callable[[Topic], Consumer]
) -> None:
    """Restore the handled events, then let consumers take in the missed events. May be repeated.

    An event that its handler cannot take is parked. Raises the error of the database if the database does not
    answer.
    """
    for events in states.handled_in_slices():
        async with database.transaction() as tx:
            await projections.restore(tx, events)
    for topic, missed in states.missed.items():
        received = list(missed.values())
        for first in range(0, len(received), BATCH):
            try:
                await consumer(topic).take(received[first : first + BATCH])
            except NackMessage as nack:
                raise (nack.__cause__ or nack) from None


async def compare(states: TopicStates, database: Database, projections: Projections) -> Sequence[Compared]:
    """Compare the projections with the topics."""
    async with database.quiet_transaction() as tx:
        # One snapshot: a running service changes its counts between two statements.
        await tx.execute(_AS_OF_ONE_MOMENT)
        return await projections.compare(tx, states.latest())


class _State(Protocol):
    version: int
    key: str


def _state(received: Received[Any]) -> _State:
    return cast("_State", received.event)


def _keep_newest(events: dict[str, Received[Any]], received: Received[Any]) -> None:
    state = _state(received)
    before = events.get(state.key)
    if before is None or _state(before).version < state.version:
        events[state.key] = received


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:79]}…"


_AS_OF_ONE_MOMENT = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
