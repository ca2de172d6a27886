"""What really happened, read from outside: the decisions topic, the databases, the mailbox.

Reads only: the databases in read-only sessions, the topic without a consumer group. Judges nothing, which
`comparison.py` does.
"""

import contextlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from local.demo.model import AnswerKey, Correction, Decision
from local.demo.session_model import Answer
from local.mailbox.reading import open_mail
from local.topic_events import following

DECISIONS = "enrolment.decisions"
GROUPS = {
    "catalogue": ("portal.bespoke", "portal.agents", "enrolment.occupancy"),
    "enrolment": (
        "portal.enrolments",
        "portal.bespoke",
        "portal.agents",
        "catalogue.sessions",
        "catalogue.bespoke",
        "notifier.deliveries",
        "requests.outcomes",
    ),
    "notifier": (
        "enrolment.decisions",
        "enrolment.notices",
        "portal.agents",
        "agents.erased",
        "catalogue.sessions",
        "catalogue.resources",
        "catalogue.bespoke",
        "catalogue.trainers",
    ),
}
_CORRECTED = "AgentDetailsCorrected"
_OUTCOMES = {
    "AgentEnrolled": "enrolled",
    "AgentWaitlisted": "waitlisted",
    "SeatOffered": "offered",
    "SeatOfferLapsed": "lapsed",
    "SeatNotObtained": "not_obtained",
    "EnrolmentRefused": "refused",
    "EnrolmentWithdrawn": "withdrawn",
    "EnrolmentPending": "pending",
}


@dataclass(frozen=True)
class LastDecision:
    """The last decision about an enrolment, which says where it stands."""

    outcome: str
    reason: str | None
    session_id: str
    agent_id: str


def answer_in(name: str, decision: Mapping[str, Any]) -> Answer:
    """Return what a decision, named as its type, says in the model's terms."""
    if name == "EnrolmentWithdrawn" and decision["by"] == "session_cancelled":
        return Answer("cancelled")
    return Answer(_OUTCOMES[name], decision["reason"] if name == "EnrolmentRefused" else None)


def changes_an_enrolment(decision: Mapping[str, Any]) -> bool:
    """Say whether it does: a refused withdrawal or answer to an offer leaves the enrolment where it was."""
    return bool(decision.get("asked", "enrolment") == "enrolment")


@dataclass
class DecisionLog:
    """The decisions topic, read as it is written; each event counts once, by its id.

    `answers` are to requests, by the request's id and the agent; `consequences` have no request;
    `corrections` are of agents' addresses. An
    enrolment's events are in order, since an agent's are in one partition: `offers` counts what became of
    each offer.
    """

    answers: dict[AnswerKey, list[Answer]] = field(default_factory=lambda: defaultdict(list))
    consequences: Counter[Decision] = field(default_factory=Counter)
    corrections: Counter[Correction] = field(default_factory=Counter)
    sessions: dict[AnswerKey, str] = field(default_factory=dict)
    enrolments: dict[str, LastDecision] = field(default_factory=dict)
    offers: Counter[str] = field(default_factory=Counter)

    @classmethod
    @contextlib.asynccontextmanager
    async def follow(cls, connection: Mapping[str, Any]) -> AsyncIterator["DecisionLog"]:
        """Give the log, which is read on until the end."""
        log = cls()
        async with following(DECISIONS, connection, lambda name, _, decision: log.add(name, decision)):
            yield log

    def add(self, name: str, decision: Mapping[str, Any]) -> None:
        """Count a decision, or the correction of an address, named as its type."""
        if name == _CORRECTED:
            self.corrections[decision["agent_id"], decision["email"]] += 1
            return
        session_id, agent_id = decision["session_id"], decision["agent"]["agent_id"]
        answer = answer_in(name, decision)
        if decision["request_id"] is None:
            self.consequences[answer, session_id, agent_id] += 1
        else:
            key = (decision["request_id"], agent_id)
            self.answers[key].append(answer)
            self.sessions[key] = session_id
        if not changes_an_enrolment(decision):
            return
        before = self.enrolments.get(decision["enrolment_id"])
        self.enrolments[decision["enrolment_id"]] = LastDecision(
            answer.outcome, answer.reason, session_id, agent_id
        )
        if answer.outcome == "offered":
            self.offers["made"] += 1
        elif before is not None and before.outcome == "offered":
            ended = "accepted" if answer.outcome == "enrolled" else answer.outcome
            self.offers["declined" if decision.get("cause") == "declined" else ended] += 1

    def open_offers(self) -> int:
        """Return how many offers stand."""
        return sum(last.outcome == "offered" for last in self.enrolments.values())


class ReceivedMails:
    """The mails that came since this was made: to whom, and whether one came twice."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._read = {path.name for path in directory.glob("*.eml")}
        self.by_address: Counter[str] = Counter()
        self.message_ids: Counter[str] = Counter()
        self._files: dict[str, list[Path]] = defaultdict(list)

    def look(self) -> int:
        """Read what is new and return how many mails came in all."""
        for path in self._directory.glob("*.eml"):
            if path.name not in self._read:
                self._read.add(path.name)
                self._count(path)
        return self.by_address.total()

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
                    self.by_address[value.strip()] += 1
                    self._files[value.strip()].append(path)
                elif name.lower() == "message-id":
                    self.message_ids[value.strip()] += 1
                elif not line.strip():
                    return


@dataclass(frozen=True)
class OrderedDecision:
    """One decision, in the order in which they were taken."""

    session_id: str
    enrolment_id: str
    agent_id: str
    outcome: str


@dataclass(frozen=True)
class Databases:
    """What the services' databases say at the end of the day.

    `seats` is who is enrolled, offered and waitlisted, as (session_id, agent_id), once each; `decided` is how
    many requests have an outcome; `decisions` are in the order in which they were taken; `parked` counts
    unreadable records, `unsent_mails` mails that should have gone, by state; `superseded_mails` counts, by
    address, those that were outdated when their turn came (what was only due later was never expected).
    """

    seats: Mapping[str, Counter[tuple[str, str]]]
    decided: int
    decisions: Sequence[OrderedDecision]
    parked: int
    unsent_mails: Mapping[str, int]
    superseded_mails: Counter[str]


async def read_databases(enrolment_url: str, notifier_url: str, request_ids: Iterable[str]) -> Databases:
    """Read both at the end of the day."""
    async with reading(enrolment_url) as database:
        enrolments = await database.fetch(
            "SELECT session_id::text, agent_id, state FROM enrolment "
            "WHERE state IN ('enrolled', 'offered', 'waitlisted')"
        )
        decided = await database.fetchval(
            "SELECT count(*) FROM request WHERE request_id = ANY($1::uuid[]) AND decided_at IS NOT NULL",
            list(request_ids),
        )
        # Decisions on one session are taken under its lock: their order is that of the outbox.
        events = await database.fetch("SELECT type, data FROM outbox WHERE topic = $1 ORDER BY id", DECISIONS)
        parked = await database.fetchval(
            "SELECT count(*) FROM dead_letter WHERE state IN ('parked', 'rejected')"
        )
    async with reading(notifier_url) as database:
        unsent = await database.fetch(
            "SELECT state, count(*) FROM mail WHERE state NOT IN ('sent', 'superseded') "
            "AND NOT (state = 'pending' AND due_at > now()) GROUP BY state"
        )
    seats: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for row in enrolments:
        seats[row["state"]][row["session_id"], row["agent_id"]] += 1
    decisions = [(row["type"].split(".")[-2], json.loads(row["data"])) for row in events]
    return Databases(
        seats=seats,
        decided=decided,
        decisions=[
            OrderedDecision(
                data["session_id"],
                data["enrolment_id"],
                data["agent"]["agent_id"],
                answer_in(name, data).outcome,
            )
            for name, data in decisions
            if name != _CORRECTED and changes_an_enrolment(data)
        ],
        parked=parked,
        unsent_mails={row["state"]: row["count"] for row in unsent},
        superseded_mails=await superseded_mails(notifier_url),
    )


async def superseded_mails(notifier_url: str) -> Counter[str]:
    """Count, by address, the mails that were not sent because they were outdated when they became due."""
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
async def reading(url: str) -> AsyncIterator[asyncpg.Connection]:
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
    """Say whether every consumer group of the services has read its topics to the end.

    Only then can a record that was sent twice have shown its effect.
    """
    admin = AIOKafkaAdminClient(**connection)
    consumer = AIOKafkaConsumer(**connection)
    await admin.start()
    await consumer.start()
    try:
        topics = sorted({topic for topics in GROUPS.values() for topic in topics})
        partitions = {
            described["topic"]: [
                TopicPartition(described["topic"], partition["partition"])
                for partition in described["partitions"]
            ]
            for described in await admin.describe_topics(topics)
        }
        for service, topics_of_service in GROUPS.items():
            for topic in topics_of_service:
                of_topic = partitions[topic]
                ends = await consumer.end_offsets(of_topic)
                read = await admin.list_consumer_group_offsets(f"{service}.{topic}", partitions=of_topic)
                committed = {partition: max(read[partition].offset, 0) for partition in of_topic}
                behind = {partition: at for partition, at in committed.items() if at < ends[partition]}
                if behind and await _holds_records(consumer, behind):
                    return False
        return True
    finally:
        await consumer.stop()
        await admin.close()


async def _holds_records(consumer: AIOKafkaConsumer, offsets: Mapping[TopicPartition, int]) -> bool:
    """Say whether records follow these offsets, not only markers of transactions, which nobody commits."""
    consumer.assign(list(offsets))
    for partition, offset in offsets.items():
        consumer.seek(partition, offset)
    return bool(await consumer.getmany(timeout_ms=1_000))
