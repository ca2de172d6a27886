"""What really happened, read from outside: the decisions topic, the databases, the mailbox.

Reads only: the databases in read-only sessions, the topic without a consumer group. Judges nothing, which
`verdict.py` does.
"""

import asyncio
import contextlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from local.books import Answer, AnswerKey, Event
from local.mailbox.reading import open_mail

DECISIONS = "enrolment.decisions"
GROUPS = {
    "catalogue": ("portal.bespoke",),
    "enrolment": ("portal.enrolments", "portal.bespoke", "catalogue.sessions"),
    "notifier": ("enrolment.decisions", "catalogue.sessions", "catalogue.resources", "catalogue.bespoke"),
}
_OUTCOMES = {
    "AgentEnrolled": "enrolled",
    "AgentWaitlisted": "waitlisted",
    "SeatOffered": "offered",
    "SeatOfferLapsed": "lapsed",
    "EnrolmentRefused": "refused",
    "EnrolmentWithdrawn": "withdrawn",
    "EnrolmentPending": "pending",
}


@dataclass(frozen=True)
class Standing:
    """Where an enrolment stands by the last decision about it."""

    outcome: str
    reason: str | None
    session_id: str
    agent_id: str


def outcome_of(name: str, decision: Mapping[str, Any]) -> Answer:
    """Return what a decision, named as its type, says in the words of the books."""
    if name == "EnrolmentWithdrawn" and decision["by"] == "session_cancelled":
        return Answer("cancelled")
    return Answer(_OUTCOMES[name], decision["reason"] if name == "EnrolmentRefused" else None)


@dataclass
class Decisions:
    """The decisions topic, read as it is written; each event counts once, by its id.

    `answers` are to requests, by the request's id and the agent; `followed` has no request. An enrolment's
    events are in order, since an agent's are in one partition: `offers` counts what became of each offer.
    """

    connection: Mapping[str, Any]
    answers: dict[AnswerKey, list[Answer]] = field(default_factory=lambda: defaultdict(list))
    followed: Counter[Event] = field(default_factory=Counter)
    sessions: dict[AnswerKey, str] = field(default_factory=dict)
    standing: dict[str, Standing] = field(default_factory=dict)
    offers: Counter[str] = field(default_factory=Counter)
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
        session_id, agent_id = decision["session_id"], decision["agent"]["agent_id"]
        answer = outcome_of(name, decision)
        if decision["request_id"] is None:
            self.followed[answer, session_id, agent_id] += 1
        else:
            key = (decision["request_id"], agent_id)
            self.answers[key].append(answer)
            self.sessions[key] = session_id
        if decision.get("asked", "enrolment") != "enrolment":
            return  # a withdrawal or an answer that was refused leaves the enrolment where it was
        before = self.standing.get(decision["enrolment_id"])
        self.standing[decision["enrolment_id"]] = Standing(
            answer.outcome, answer.reason, session_id, agent_id
        )
        if answer.outcome == "offered":
            self.offers["made"] += 1
        elif before is not None and before.outcome == "offered":
            ended = "accepted" if answer.outcome == "enrolled" else answer.outcome
            self.offers["declined" if decision.get("cause") == "declined" else ended] += 1

    def open_offers(self) -> int:
        """Return how many offers stand."""
        return sum(one.outcome == "offered" for one in self.standing.values())


class MailFiles:
    """The mails that came since this was made: to whom, and whether one came twice."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._read = {path.name for path in directory.glob("*.eml")}
        self.received: Counter[str] = Counter()
        self.message_ids: Counter[str] = Counter()
        self._files: dict[str, list[Path]] = defaultdict(list)

    def look(self) -> int:
        """Read what is new and return how many mails came in all."""
        for path in self._directory.glob("*.eml"):
            if path.name not in self._read:
                self._read.add(path.name)
                self._count(path)
        return self.received.total()

    def link_to(self, address: str, page: str) -> str | None:
        """Return the newest link to a page in the mails to this address, as their reader sees it."""
        self.look()
        for path in sorted(self._files[address], reverse=True):
            found = re.search(rf"https?://\S+{re.escape(page)}/\S+", open_mail(path.read_bytes()).text or "")
            if found is not None:
                return found.group()
        return None

    def _count(self, path: Path) -> None:
        with path.open("rb") as file:
            for line in file:
                name, _, value = line.decode(errors="replace").partition(":")
                if name.lower() == "delivered-to":
                    self.received[value.strip()] += 1
                    self._files[value.strip()].append(path)
                elif name.lower() == "message-id":
                    self.message_ids[value.strip()] += 1
                elif not line.strip():
                    return


@dataclass(frozen=True)
class Seats:
    """Who sits, has an offer and waits, as the enrolment database says: (session_id, agent_id), once each."""

    seated: Counter[tuple[str, str]]
    offered: Counter[tuple[str, str]]
    waiting: Counter[tuple[str, str]]


async def seats(enrolment_url: str, session_ids: Sequence[str]) -> Seats:
    """Read who sits, has an offer and waits in these sessions."""
    async with reading(enrolment_url) as database:
        rows = await database.fetch(
            "SELECT session_id::text, agent_id, state FROM enrolment "
            "WHERE session_id = ANY($1::uuid[]) AND state IN ('enrolled', 'offered', 'waitlisted')",
            list(session_ids),
        )

    def of(state: str) -> Counter[tuple[str, str]]:
        return Counter((row["session_id"], row["agent_id"]) for row in rows if row["state"] == state)

    return Seats(of("enrolled"), of("offered"), of("waitlisted"))


async def decided(enrolment_url: str, request_ids: Sequence[str]) -> int:
    """Return how many of these requests have an outcome in the database."""
    async with reading(enrolment_url) as database:
        count: int = await database.fetchval(
            "SELECT count(*) FROM request WHERE request_id = ANY($1::uuid[]) AND decided_at IS NOT NULL",
            list(request_ids),
        )
        return count


@dataclass(frozen=True)
class Decided:
    """One decision, in the order in which they were taken."""

    session_id: str
    enrolment_id: str
    outcome: str


async def decisions_in_order(enrolment_url: str) -> list[Decided]:
    """Read all decisions as they were taken: of one session, under its lock, in the order of the outbox."""
    async with reading(enrolment_url) as database:
        rows = await database.fetch("SELECT type, data FROM outbox WHERE topic = $1 ORDER BY id", DECISIONS)
    told = [(row["type"].split(".")[-2], json.loads(row["data"])) for row in rows]
    return [
        Decided(one["session_id"], one["enrolment_id"], outcome_of(name, one).outcome)
        for name, one in told
        if one.get("asked", "enrolment") == "enrolment"
    ]


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
