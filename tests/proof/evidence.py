"""What a run leaves behind: topics, three databases, what clients and the mail sink wrote down."""

import json
import re
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer

from tests.proof.history import ClientOperation, read_history

REQUESTS = "portal.enrolments"
ABOUT_AGENTS, BESPOKE = "portal.agents", "portal.bespoke"
DECISIONS = "enrolment.decisions"
NOTICES = "enrolment.notices"
SESSIONS = "catalogue.sessions"
OCCUPANCY = "enrolment.occupancy"
ANSWERS = "portal.answers."
BAD = "x-bad"
"""A record with this header is none that a service or a portal should have written."""


@dataclass(frozen=True)
class TopicRecord:
    """``at``: the time of receipt. ``name`` is the event's type without owner and version."""

    topic: str
    partition: int
    offset: int
    at: datetime
    key: str
    source: str
    id: str
    name: str
    data: Mapping[str, Any]

    @property
    def place(self) -> str:
        return f"{self.topic}/{self.partition}@{self.offset}"

    def __str__(self) -> str:
        return f"{self.place} {described(self.name, self.id, self.data)}"


@dataclass(frozen=True)
class StoredEvent:
    """A row of an outbox. Rows about one session have the order of their transactions: it is locked."""

    service: str
    number: int
    topic: str | None
    key: str
    id: str
    name: str
    data: Mapping[str, Any]
    portal: str | None = None
    cursor: int | None = None
    is_sent: bool = True

    def __str__(self) -> str:
        place = f"{self.service}.outbox {self.number}"
        feed = f" (answer {self.cursor} of {self.portal})" if self.portal else ""
        return f"{place}{feed} {described(self.name, self.id, self.data)}"


@dataclass(frozen=True)
class SessionCounts:
    session_id: str
    enrolled: int = 0
    offered: int = 0
    waiting: int = 0


@dataclass(frozen=True)
class StoredEnrolment:
    """``state`` is in the words of the database that it was read from."""

    enrolment_id: str
    version: int
    session_id: str
    agent_id: str
    state: str


@dataclass(frozen=True)
class StoredSession:
    session_id: str
    capacity: int | None
    status: str


@dataclass(frozen=True)
class StoredMail:
    """``decisions``: how often a person decided on it."""

    event_id: str
    template: str
    recipient: str
    state: str
    message_id: str | None
    decisions: int = 0


@dataclass(frozen=True)
class StoredSubscription:
    """What an agent of an issuer follows."""

    issuer: str
    agent_id: str
    interest: str


@dataclass(frozen=True)
class DeliveredLetter:
    """A letter that the mail sink took. ``calendar`` has the number of each calendar entry in it, by UID."""

    message_id: str
    calendar: Mapping[str, int] = field(default_factory=dict)
    recipient: str = ""


@dataclass(frozen=True)
class ProcessEnd:
    """A process that got SIGTERM. ``exit_code`` is None while it runs; negative: the signal that ended it."""

    process: str
    exit_code: int | None


@dataclass(frozen=True)
class Evidence:
    """``issuers`` has the issuer of each portal. All sequences have the order of what they were read from."""

    operations: Sequence[ClientOperation] = ()
    records: Mapping[str, Sequence[TopicRecord]] = field(default_factory=dict)
    events: Sequence[StoredEvent] = ()
    sessions: Sequence[StoredSession] = ()
    enrolments: Sequence[StoredEnrolment] = ()
    counters: Sequence[SessionCounts] = ()
    occupancies: Sequence[SessionCounts] = ()
    copies: Sequence[StoredEnrolment] = ()
    mails: Sequence[StoredMail] = ()
    letters: Sequence[DeliveredLetter] = ()
    issuers: Mapping[str, str] = field(default_factory=dict)
    subscriptions: Sequence[StoredSubscription] = ()
    bespoke: Sequence[str] = ()
    """The ids of the requests for training that the catalogue has."""
    remains: Sequence[str] = ()
    """What the databases still know of erased agents."""
    ends: Sequence[ProcessEnd] = ()

    def of_topic(self, topic: str) -> Sequence[TopicRecord]:
        """Return the first record of each event: a relay that is killed publishes some twice."""
        return self._first_records.get(topic, ())

    @cached_property
    def _first_records(self) -> Mapping[str, Sequence[TopicRecord]]:
        found: dict[str, Sequence[TopicRecord]] = {}
        for topic, records in self.records.items():
            first: dict[tuple[str, str], TopicRecord] = {}
            for record in records:
                first.setdefault((record.source, record.id), record)
            found[topic] = list(first.values())
        return found

    @cached_property
    def decisions(self) -> Sequence[StoredEvent]:
        return [event for event in self.events if event.topic == DECISIONS and "enrolment_id" in event.data]


def described(name: str, event_id: str, data: Mapping[str, Any]) -> str:
    agent = data.get("agent") or {}
    known = {
        "session": data.get("session_id"),
        "agent": agent.get("agent_id") or data.get("agent_id"),
        "enrolment": data.get("enrolment_id"),
        "version": data.get("version"),
        "request": data.get("request_id"),
        "reason": data.get("reason"),
    }
    return " ".join([name, event_id, *(f"{part}={value}" for part, value in known.items() if value)])


# ------------------------------------------------------------------------------------------- where it is


@dataclass(frozen=True)
class Sources:
    """``databases`` has the URL of each service's database, ``kafka`` the options of aiokafka."""

    history: Path
    letters: Path
    kafka: Mapping[str, Any]
    databases: Mapping[str, str]
    issuers: Mapping[str, str]


class _EventData:
    """Reads the data of events. An event is on several topics and in an outbox, and kept here once."""

    def __init__(self) -> None:
        self._read: dict[bytes, Mapping[str, Any]] = {}

    def read(self, text: bytes) -> Mapping[str, Any]:
        if (data := self._read.get(text)) is None:
            data = self._read[text] = json.loads(text)
            if isinstance(agent := data.get("agent"), dict):  # most of the data, and nothing is checked of it
                data["agent"] = {name: agent[name] for name in _OF_AGENT if name in agent}
        return data


async def collect_evidence(sources: Sources) -> Evidence:
    """Read everything once. Nothing may happen meanwhile."""
    answers = [f"{ANSWERS}{portal}" for portal in sources.issuers]
    data = _EventData()
    records: dict[str, list[TopicRecord]] = {
        topic: await read_topic(topic, sources.kafka, data)
        for topic in (REQUESTS, ABOUT_AGENTS, BESPOKE, DECISIONS, NOTICES, SESSIONS, OCCUPANCY, *answers)
    }
    async with (
        _reading(sources.databases["enrolment"]) as enrolment,
        _reading(sources.databases["catalogue"]) as catalogue,
        _reading(sources.databases["notifier"]) as notifier,
    ):
        databases = {"enrolment": enrolment, "catalogue": catalogue, "notifier": notifier}
        return Evidence(
            operations=read_history(sources.history),
            records=records,
            events=[
                _stored_event(service, row, data)
                for service, database in databases.items()
                async for row in _rows(database, _OUTBOX)
            ],
            sessions=[StoredSession(**row) async for row in _rows(catalogue, _SESSIONS)],
            enrolments=[StoredEnrolment(**row) async for row in _rows(enrolment, _ENROLMENTS)],
            counters=[SessionCounts(**row) async for row in _rows(enrolment, _COUNTERS)],
            occupancies=[SessionCounts(**row) async for row in _rows(catalogue, _OCCUPANCIES)],
            copies=[StoredEnrolment(**row) async for row in _rows(notifier, _COPIES)],
            mails=[StoredMail(**row) async for row in _rows(notifier, _MAILS)],
            letters=list(_read_letters(sources.letters)),
            issuers=sources.issuers,
            subscriptions=[StoredSubscription(**row) async for row in _rows(notifier, _SUBSCRIPTIONS)],
            bespoke=[row["request_id"] async for row in _rows(catalogue, _BESPOKE)],
            remains=[
                f"{service}.{table} knows an erased agent in {rows} rows"
                for service, database in databases.items()
                for table, rows in (await _rows_about(database, erased_agents(records))).items()
            ],
        )


def erased_agents(records: Mapping[str, Sequence[TopicRecord]]) -> set[str]:
    return {
        record.data["agent_id"]
        for record in records.get(ABOUT_AGENTS, ())
        if record.name == "AgentErasureRequested"
    }


async def read_topic(topic: str, options: Mapping[str, Any], data: _EventData) -> list[TopicRecord]:
    """Return all records that a service or a portal wrote, partition by partition."""
    consumer = AIOKafkaConsumer(
        topic, **options, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    await consumer.start()
    try:
        partitions = list(consumer.assignment())
        ends = await consumer.end_offsets(partitions)
        found: list[TopicRecord] = []
        while any([await consumer.position(each) < ends[each] for each in partitions]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += [_topic_record(record, data) for record in records if _is_event(record)]
        return sorted(found, key=lambda record: (record.partition, record.offset))
    finally:
        await consumer.stop()


def _topic_record(record: Any, data: _EventData) -> TopicRecord:
    came_by_http = _attribute(record, "keyid") == "intake"
    return TopicRecord(
        record.topic,
        record.partition,
        record.offset,
        datetime.fromisoformat(_attribute(record, "time"))
        if came_by_http
        else datetime.fromtimestamp(record.timestamp / 1_000, UTC),
        (record.key or b"").decode(),
        _attribute(record, "source"),
        _attribute(record, "id"),
        _attribute(record, "type").split(".")[-2],
        data.read(record.value),
    )


def _is_event(record: Any) -> bool:
    return bool(_attribute(record, "source")) and all(name != BAD for name, _ in record.headers)


def _attribute(record: Any, name: str) -> str:
    header = f"ce_{name}"
    return next((value or b"" for key, value in record.headers if key == header), b"").decode()


@asynccontextmanager
async def _reading(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(
        url.replace("postgresql+asyncpg://", "postgresql://"),
        server_settings={"default_transaction_read_only": "on"},
    )
    try:
        yield connection
    finally:
        await connection.close()


async def _rows(database: asyncpg.Connection, statement: str) -> AsyncIterator[asyncpg.Record]:
    async with database.transaction():
        async for row in database.cursor(statement, prefetch=1_000):
            yield row


async def _rows_about(database: asyncpg.Connection, agents: Collection[str]) -> dict[str, int]:
    """Count the rows of each table that name one of these agents anywhere."""
    if not agents:
        return {}
    anywhere = rf"({'|'.join(map(re.escape, agents))})\M"
    counts = {
        row["name"]: await database.fetchval(
            f"SELECT count(*) FROM {row['name']} AS kept WHERE kept::text ~ $1", anywhere
        )
        for row in await database.fetch(_TABLES)
    }
    return {table: count for table, count in counts.items() if count}


def _stored_event(service: str, row: asyncpg.Record, data: _EventData) -> StoredEvent:
    return StoredEvent(
        service=service,
        number=row["id"],
        topic=row["topic"],
        key=row["key"],
        id=row["event_id"],
        name=row["type"].split(".")[-2],
        data=data.read(row["data"].encode()),
        portal=row["portal"],
        cursor=row["cursor"],
        is_sent=row["is_sent"],
    )


def _read_letters(path: Path) -> Iterator[DeliveredLetter]:
    for line in path.read_text().splitlines():
        yield DeliveredLetter(**json.loads(line))


_OF_AGENT = ("agent_id", "issuer", "email")
_OUTBOX = (
    "SELECT id, topic, key, event_id::text, type, data, portal, cursor, sent_at IS NOT NULL AS is_sent "
    "FROM outbox ORDER BY id"
)
_TABLES = (
    "SELECT format('%I.%I', table_schema, table_name) AS name FROM information_schema.tables "
    "WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')"
)
_SESSIONS = "SELECT session_id::text, capacity, status FROM session"
_ENROLMENTS = "SELECT enrolment_id::text, version, session_id::text, agent_id, state FROM enrolment"
_COUNTERS = "SELECT session_id::text, enrolled, offered, waiting FROM session"
_OCCUPANCIES = "SELECT session_id::text, enrolled, offered, waiting FROM occupancy"
_COPIES = "SELECT enrolment_id::text, version, session_id::text, agent_id, standing AS state FROM enrolment"
_SUBSCRIPTIONS = (
    "SELECT issuer, agent_id, interest FROM subscriber JOIN subscription USING (subscriber_id) "
    "WHERE agent_id IS NOT NULL"
)
_BESPOKE = "SELECT request_id::text FROM bespoke_request"
_MAILS = (
    "SELECT event_id::text, template, recipient, state, message_id, "
    "(SELECT count(*) FROM mail_audit WHERE mail_audit.mail_id = mail.mail_id) AS decisions FROM mail"
)
