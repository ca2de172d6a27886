"""Projections: what a service keeps only because it heard it on a compacted topic, and can hear again.

To rebuild them is to take the last word on each subject from the topic once more. What a word caused when it
was first heard (letters, decisions, events) is not caused again; one that the service has missed goes to its
handler, like any other event.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from faststream.exceptions import NackMessage

from shared import clock
from shared.database import Database, Transaction
from shared.events.topics import Topic
from shared.messaging import history, inbox
from shared.messaging.broker import KafkaSettings
from shared.messaging.consumer import BATCH, Intake, Subscriptions
from shared.messaging.decoding import Received, Undecodable

SLICE = 100
"""Subjects that are restored in one transaction."""

Words = Mapping[Topic, Sequence[Received[Any]]]
"""The last word on each subject, by topic."""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Compared:
    """One kind of subject: what should be kept of each by what was said, and what is kept, by name."""

    kind: str
    said: Mapping[str, Row]
    kept: Mapping[str, Row]

    def differences(self) -> Iterator[str]:
        """One line for each thing that is not as it was said."""
        for key in sorted(self.said.keys() | self.kept.keys()):
            if key not in self.kept:
                yield f"{self.kind} {key} is missing"
            elif key not in self.said:
                yield f"{self.kind} {key} is kept, but nothing is said of it"
            elif self.kept[key]["version"] <= self.said[key]["version"]:  # else newer than what was read
                for name, said in self.said[key].items():
                    kept = self.kept[key].get(name)
                    if kept != said:
                        yield f"{self.kind} {key}: {name} is {_shown(kept)}, not {_shown(said)}"


@dataclass(frozen=True, slots=True)
class Projections:
    """How one service writes again what it heard on ``topics``, and how it tells whether it is all there.

    ``restore`` writes by the newest version, as the handlers do, and causes nothing that was caused before.
    ``compare`` reads the tables in the transaction that it is given.
    """

    topics: tuple[Topic, ...]
    restore: Callable[[Transaction, Words], Awaitable[None]]
    compare: Callable[[Transaction, Words], Awaitable[Sequence[Compared]]]


@dataclass(slots=True)
class Heard:
    """What the topics say: the newest words that have had their effect here, and newer ones that have not.

    ``unreadable`` records are in the parking lot.
    """

    known: dict[Topic, dict[str, Received[Any]]] = field(default_factory=dict)
    missed: dict[Topic, dict[str, Received[Any]]] = field(default_factory=dict)
    unreadable: int = 0

    def all_words(self) -> Words:
        """The newest word on each subject, whether it was missed or not."""
        topics = self.known.keys() | self.missed.keys()
        return {
            topic: list((self.known.get(topic, {}) | self.missed.get(topic, {})).values()) for topic in topics
        }

    def known_by_slices(self) -> Iterator[Words]:
        """The known words, a slice of subjects at a time: what several topics say of one stays together."""
        subjects = sorted({key for words in self.known.values() for key in words})
        for first in range(0, len(subjects), SLICE):
            slice_ = subjects[first : first + SLICE]
            yield {
                topic: [words[key] for key in slice_ if key in words] for topic, words in self.known.items()
            }


async def hear(
    settings: KafkaSettings, database: Database, subscriptions: Subscriptions, topics: Sequence[Topic]
) -> Heard:
    """Read these topics to their end."""
    heard = Heard({topic: {} for topic in topics}, {topic: {} for topic in topics})
    # What is older than the inbox remembers had its effect long ago, or never will have one.
    forgotten = clock.now() - inbox.KEPT
    async for deliveries in history.read(settings, topics):
        received = [one for one in deliveries if isinstance(one, Received)]
        heard.unreadable += sum(isinstance(one, Undecodable) for one in deliveries)
        async with database.quiet_transaction() as tx:
            seen = await inbox.seen(tx, [one.id for one in received])
        for one in received:
            topic = Topic(one.topic)
            is_known = topic not in subscriptions.by_topic or one.id in seen or one.received_at < forgotten
            _keep_newest((heard.known if is_known else heard.missed)[topic], one)
    for topic, missed in heard.missed.items():
        known = heard.known[topic]
        heard.missed[topic] = {
            key: one
            for key, one in missed.items()
            if key not in known or _version(one) > _version(known[key])
        }
    return heard


async def rebuild(
    heard: Heard, database: Database, subscriptions: Subscriptions, projections: Projections
) -> None:
    """Write again what was heard, then let the handlers take in what was missed. Any number of times.

    A word that its handler cannot take is parked, as ever. Raises what a database raises that is away.
    """
    for words in heard.known_by_slices():
        async with database.transaction() as tx:
            await projections.restore(tx, words)
    for topic, missed in heard.missed.items():
        received = list(missed.values())
        for first in range(0, len(received), BATCH):
            try:
                await Intake(subscriptions.by_topic[topic], database).take(received[first : first + BATCH])
            except NackMessage as nack:
                raise (nack.__cause__ or nack) from None


class _Stated(Protocol):
    """An event of a compacted topic: the whole state of its subject."""

    version: int
    key: str


def _stated(one: Received[Any]) -> _Stated:
    return cast("_Stated", one.event)


def _version(one: Received[Any]) -> int:
    return _stated(one).version


def _keep_newest(words: dict[str, Received[Any]], one: Received[Any]) -> None:
    before = words.get(_stated(one).key)
    if before is None or _version(before) < _version(one):
        words[_stated(one).key] = one


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:79]}…"
