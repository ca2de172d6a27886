"""What really happened, read from outside: the decisions topic, the databases, the mailbox.

Reads only: the databases in read-only sessions, the topic without a consumer group.
"""

import asyncio
import contextlib
import json
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from shared.local.books import Answer, Books

DECISIONS = "enrolment.decisions"
GROUPS = {
    "enrolment": ("portal.enrolments", "catalogue.sessions"),
    "notifier": ("enrolment.decisions", "catalogue.sessions", "catalogue.resources"),
}
_OUTCOMES = {
    "AgentEnrolled": "enrolled",
    "AgentWaitlisted": "waitlisted",
    "EnrolmentRefused": "refused",
    "EnrolmentWithdrawn": "withdrawn",
    "EnrolmentPending": "pending",
}


@dataclass
class Decisions:
    """The decisions topic, read as it is written; each event counts once, by its id."""

    connection: Mapping[str, Any]
    answers: dict[str, list[Answer]] = field(default_factory=lambda: defaultdict(list))
    promoted: Counter[tuple[str, str]] = field(default_factory=Counter)
    ended: Counter[tuple[str, str]] = field(default_factory=Counter)
    _seen: set[bytes] = field(default_factory=set)
    _reading: "asyncio.Task[None] | None" = None

    async def __aenter__(self) -> Self:
        consumer = AIOKafkaConsumer(DECISIONS, **self.connection, auto_offset_reset="earliest")
        await consumer.start()
        self._reading = asyncio.create_task(self._read(consumer))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        try:
            async for record in consumer:
                headers = dict(record.headers)
                if headers["ce_id"] not in self._seen:
                    self._seen.add(headers["ce_id"])
                    self._count(headers["ce_type"].decode().split(".")[-2], json.loads(record.value))
        finally:
            await consumer.stop()

    def _count(self, name: str, decision: dict[str, Any]) -> None:
        seat = (decision["session_id"], decision["agent"]["agent_id"])
        if decision["request_id"] is not None:
            answer = Answer(_OUTCOMES[name], decision.get("reason") if name == "EnrolmentRefused" else None)
            self.answers[decision["request_id"]].append(answer)
        elif name == "AgentEnrolled":
            self.promoted[seat] += 1
        elif name == "EnrolmentWithdrawn":
            self.ended[seat] += 1


class MailFiles:
    """The mails that came since this was made: to whom, and whether one came twice."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._read = {path.name for path in directory.glob("*.eml")}
        self.received: Counter[str] = Counter()
        self.message_ids: Counter[str] = Counter()

    def look(self) -> int:
        """Read what is new and return how many mails came in all."""
        for path in self._directory.glob("*.eml"):
            if path.name not in self._read:
                self._read.add(path.name)
                self._count(path)
        return self.received.total()

    def _count(self, path: Path) -> None:
        with path.open("rb") as file:
            for line in file:
                name, _, value = line.decode(errors="replace").partition(":")
                if name.lower() == "delivered-to":
                    self.received[value.strip()] += 1
                elif name.lower() == "message-id":
                    self.message_ids[value.strip()] += 1
                elif not line.strip():
                    return


@dataclass
class Findings:
    """How reality differs from the books. `details` names the first differences of each kind."""

    lost: int = 0
    duplicated: int = 0
    overbooked: int = 0
    wrong: int = 0
    details: list[str] = field(default_factory=list)

    def note(self, kind: str, count: int, what: str) -> None:
        """Count differences of a kind: lost, duplicated, overbooked or wrong."""
        if count:
            setattr(self, kind, getattr(self, kind) + count)
            self.details.append(f"{kind}: {count} {what}")

    @property
    def clean(self) -> bool:
        return not (self.lost or self.duplicated or self.overbooked or self.wrong)


def compare_answers(books: Books, decisions: Decisions) -> Findings:
    """Compare the decisions topic with the books: every request answered once, and as it should be."""
    found = Findings()
    missing = [ce_id for ce_id in books.answers if not decisions.answers.get(ce_id)]
    found.note("lost", len(missing), f"requests without an answer, such as {missing[:3]}")
    extra = {ce_id: len(given) - 1 for ce_id, given in decisions.answers.items() if len(given) > 1}
    found.note("duplicated", sum(extra.values()), f"answers too many, such as to {list(extra)[:3]}")
    strangers = [ce_id for ce_id in decisions.answers if ce_id not in books.answers]
    found.note("wrong", len(strangers), f"answers to requests nobody sent, such as {strangers[:3]}")
    different = [
        f"{ce_id}: {given[0]} instead of {books.answers[ce_id]}"
        for ce_id, given in decisions.answers.items()
        if ce_id in books.answers and given[0] != books.answers[ce_id]
    ]
    found.note("wrong", len(different), f"answers that should be others, such as {different[:3]}")
    for what, expected, seen in (
        ("seats given to the first in line", books.promoted, decisions.promoted),
        ("enrolments ended by a cancellation", books.ended, decisions.ended),
    ):
        found.note("lost", (expected - seen).total(), f"{what}: {list(expected - seen)[:3]}")
        found.note("duplicated", (seen - expected).total(), f"{what}: {list(seen - expected)[:3]}")
    return found


def compare_mails(
    books: Books, mails: MailFiles, found: Findings, superseded: Counter[str] | None = None
) -> None:
    """Compare the mailbox with the books: every letter that is due, once.

    A letter that was superseded before it left (a confirmation, when the agent has withdrawn since) counts
    as there.
    """
    settled = mails.received + (superseded or Counter())
    missing, extra = books.mails - settled, settled - books.mails
    found.note("lost", missing.total(), f"mails that did not come, to {list(missing)[:3]}")
    found.note("duplicated", extra.total(), f"mails too many, to {list(extra)[:3]}")
    twice = [message_id for message_id, count in mails.message_ids.items() if count > 1]
    found.note("duplicated", len(twice), f"mails that came twice, such as {twice[:3]}")


@dataclass(frozen=True)
class Seats:
    """How many sit and how many wait in each session, as the enrolment database says."""

    enrolled: Counter[str]
    waiting: Counter[str]


async def compare_seats(books: Books, enrolment_url: str, found: Findings) -> Seats:
    """Compare the enrolment database with the books: who sits, who waits, and never too many."""
    async with reading(enrolment_url) as database:
        rows = await database.fetch(
            "SELECT session_id::text, agent_id, state FROM enrolment "
            "WHERE session_id = ANY($1::uuid[]) AND state IN ('enrolled', 'offered', 'waitlisted')",
            list(books.sessions),
        )
        answered = await database.fetchval(
            "SELECT count(*) FROM request WHERE request_id = ANY($1::uuid[]) AND decided_at IS NOT NULL",
            list(books.answers),
        )
    seated = Counter((row["session_id"], row["agent_id"]) for row in rows if row["state"] != "waitlisted")
    waiting = Counter((row["session_id"], row["agent_id"]) for row in rows if row["state"] == "waitlisted")
    found.note("wrong", len(books.answers) - answered, "requests without an outcome in the database")
    taken = Counter(session_id for session_id, _ in seated.elements())
    for session_id, count in taken.items():
        capacity = books.sessions[session_id].facts.capacity
        if capacity is not None:
            found.note("overbooked", max(0, count - capacity), f"seats too many in session {session_id}")
    due_seats = Counter((s, agent_id) for s, book in books.sessions.items() for agent_id in book.seated)
    due_line = Counter((s, agent_id) for s, book in books.sessions.items() for agent_id in book.line)
    for what, due, there in (("seats", due_seats, seated), ("places in line", due_line, waiting)):
        # Not lost or duplicated once more: what was answered and mailed is counted by the other comparisons.
        found.note("wrong", (due - there).total(), f"{what} missing in the database: {list(due - there)[:3]}")
        found.note("wrong", (there - due).total(), f"{what} that are nobody's: {list(there - due)[:3]}")
    return Seats(taken, Counter(session_id for session_id, _ in waiting.elements()))


async def parked(enrolment_url: str) -> int:
    """Return how many records are parked in the enrolment service."""
    async with reading(enrolment_url) as database:
        count: int = await database.fetchval("SELECT count(*) FROM dead_letter WHERE state = 'parked'")
        return count


async def mails_in_trouble(notifier_url: str) -> dict[str, int]:
    """Return how many mails are not sent though they should be, by their state."""
    async with reading(notifier_url) as database:
        rows = await database.fetch(
            "SELECT state, count(*) AS n FROM mail WHERE state NOT IN ('sent', 'superseded') "
            "AND NOT (state = 'pending' AND due_at > now()) GROUP BY state"
        )
        return {row["state"]: row["n"] for row in rows}


async def superseded_mails(notifier_url: str) -> Counter[str]:
    """Return to whom letters did not go because they were not so any more when their turn came.

    What was only due later (a reminder of who has withdrawn) was never expected.
    """
    async with reading(notifier_url) as database:
        rows = await database.fetch(
            "SELECT address FROM mail WHERE state = 'superseded' AND due_at <= settled_at"
        )
        return Counter(row["address"] for row in rows)


async def is_empty(enrolment_url: str) -> bool:
    """Say whether no request was ever answered in this database."""
    async with reading(enrolment_url) as database:
        return not await database.fetchval("SELECT EXISTS (SELECT FROM request)")


@contextlib.asynccontextmanager
async def reading(url: str) -> Any:
    """Give a read-only connection to a service's database."""
    connection = await asyncpg.connect(
        url.replace("postgresql+asyncpg://", "postgresql://"),
        server_settings={"default_transaction_read_only": "on"},
    )
    try:
        yield connection
    finally:
        await connection.close()


async def all_is_read(connection: Mapping[str, Any]) -> bool:
    """Say whether every consumer group of the services has committed to the end of its topics.

    Only then can a record that was sent twice have shown its effect.
    """
    admin = AIOKafkaAdminClient(**connection)
    consumer = AIOKafkaConsumer(**connection)
    await admin.start()
    await consumer.start()
    try:
        topics = sorted({topic for topics in GROUPS.values() for topic in topics})
        places: dict[str, list[TopicPartition]] = {
            topic["topic"]: [TopicPartition(topic["topic"], one["partition"]) for one in topic["partitions"]]
            for topic in await admin.describe_topics(topics)
        }
        for service, topics_of_service in GROUPS.items():
            for topic in topics_of_service:
                ends = await consumer.end_offsets(places[topic])
                read = await admin.list_consumer_group_offsets(f"{service}.{topic}", partitions=places[topic])
                if any(end > 0 and read[place].offset < end for place, end in ends.items()):
                    return False
        return True
    finally:
        await consumer.stop()
        await admin.close()


async def wait_for(condition: Callable[[], Awaitable[bool]], *, seconds: float) -> bool:
    """Return whether a condition came true within `seconds`."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not await condition():
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(0.1)
    return True
