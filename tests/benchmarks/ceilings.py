"""The ceilings: plain loops that store and send what the services do, with the same guarantees and no rules.

Each is a program that ``decisions`` and ``mails`` start in the place of a service, with a service's settings
and its database: ``python -m tests.benchmarks.ceilings decide | relay | mail``. It runs until it is stopped.
"""

import asyncio
import os
import sys
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.header import Header
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import compat32
from email.utils import format_datetime, formataddr
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import aiosmtplib
import asyncpg
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord
from aiokafka.errors import UnknownError

from shared.events.cloudevents import attributes, headers
from shared.events.enrolment import AgentEnrolled, AgentWaitlisted, Decision, SessionOccupancyChanged
from shared.events.portal import EnrolmentRequested
from shared.events.topics import Topic, answers_topic
from shared.events.vocabulary import Agent
from shared.garbage import tune_gc
from shared.messaging.portals.registry import TRIAL_PORTAL

BATCH = 500
RELAYED_AT_ONCE = 2_000
BUCKETS = 8
CONNECTIONS = 32

ADD_SESSIONS = """
INSERT INTO session (session_id, version, state, enrolled, offered, waiting, next_ticket, occupancy_version)
SELECT session_id, 1, '{}', 0, 0, 0, 1, 0 FROM unnest($1::uuid[]) AS session_id ON CONFLICT DO NOTHING"""
LOCK_SESSIONS = """
SELECT session_id, enrolled, waiting, occupancy_version FROM session
 WHERE session_id = ANY($1::uuid[]) ORDER BY session_id FOR UPDATE"""
SAVE_REQUESTS = """
INSERT INTO request (request_id, source, portal, kind, session_id, issuer, agent_id, received_at, decided_at,
                     outcome, facts)
SELECT request_id, '/portals/essai', 'essai', 'SeatRequest', session_id, '', agent_id, received_at, now(),
       outcome, facts
  FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::text[], $6::jsonb[])
    AS answered (request_id, session_id, agent_id, received_at, outcome, facts)
    ON CONFLICT DO NOTHING"""
SAVE_ENROLMENTS = """
INSERT INTO enrolment (enrolment_id, version, session_id, issuer, agent_id, agent, state, ticket, request_id,
                       request_source, received_at, updated_at, sought)
SELECT enrolment_id, 1, session_id, '', agent_id, agent, state, ticket, request_id, '/portals/essai',
       received_at, now(), sought
  FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::jsonb[], $5::text[], $6::bigint[], $7::uuid[],
              $8::timestamptz[], $9::text[])
    AS decided (enrolment_id, session_id, agent_id, agent, state, ticket, request_id, received_at, sought)"""
SAVE_COUNTS = """
UPDATE session SET enrolled = counted.enrolled, waiting = counted.waiting,
                   occupancy_version = counted.version, next_ticket = counted.enrolled + counted.waiting + 1
  FROM unnest($1::uuid[], $2::integer[], $3::integer[], $4::integer[])
    AS counted (session_id, enrolled, waiting, version)
 WHERE session.session_id = counted.session_id"""
SAVE_EVENTS = """
INSERT INTO outbox (bucket, topic, key, event_id, type, source, data, portal)
SELECT bucket, topic, key, event_id, type, '/services/enrolment', data, portal
  FROM unnest($1::smallint[], $2::text[], $3::uuid[], $4::text[], $5::text[])
    AS event (bucket, key, event_id, type, data),
       unnest($6::text[], $7::text[]) AS destination (topic, portal)"""
UNSENT = "SELECT * FROM outbox WHERE sent_at IS NULL ORDER BY id LIMIT $1"
MARK_SENT = "UPDATE outbox SET sent_at = now() WHERE id = ANY($1::bigint[])"


async def decide() -> None:
    """Answer requests first come, first served: consume, validate, one transaction, commit the offset."""
    database = await _connect()
    consumer = AIOKafkaConsumer(
        "portal.enrolments",
        bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        group_id="enrolment.portal.enrolments",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
    )
    await consumer.start()
    known: set[UUID] = set()
    while True:
        batches = await consumer.getmany(timeout_ms=50, max_records=BATCH)
        records = [record for batch in batches.values() for record in batch]
        if not records:
            continue
        requests = [
            (_request_id(record), EnrolmentRequested.model_validate_json(record.value)) for record in records
        ]
        async with database.transaction():
            await _decide(database, records, requests, known)
        await consumer.commit()


async def _decide(
    database: asyncpg.Connection,
    records: list[ConsumerRecord],
    requests: list[tuple[UUID, EnrolmentRequested]],
    known: set[UUID],
) -> None:
    """Seat who comes while there are seats, queue the others, and write all of it."""
    capacity = int(os.environ["BENCHMARK_SEATS"])
    session_ids = {request.session_id for _, request in requests}
    if session_ids - known:
        await database.execute(ADD_SESSIONS, list(session_ids))
        known |= session_ids
    sessions = {
        row["session_id"]: dict(row) for row in await database.fetch(LOCK_SESSIONS, list(session_ids))
    }
    decisions: list[Decision] = []
    tickets: list[int] = []
    for request_id, request in requests:
        session = sessions[request.session_id]
        common: dict[str, Any] = {
            "enrolment_id": uuid4(),
            "version": 1,
            "request_id": request_id,
            "session_id": request.session_id,
            "agent": request.agent,
        }
        if session["enrolled"] < capacity:
            session["enrolled"] += 1
            decisions.append(AgentEnrolled(**common))
        else:
            session["waiting"] += 1
            decisions.append(AgentWaitlisted(**common, position=session["waiting"]))
        tickets.append(session["enrolled"] + session["waiting"])
    occupancies = [
        SessionOccupancyChanged(
            session_id=session_id,
            version=session["occupancy_version"] + 1,
            capacity=capacity,
            enrolled=session["enrolled"],
            waiting=session["waiting"],
            offered=0,
        )
        for session_id, session in sessions.items()
    ]
    states = ["enrolled" if isinstance(decision, AgentEnrolled) else "waitlisted" for decision in decisions]
    ids = [request_id for request_id, _ in requests]
    at = [datetime.fromtimestamp(record.timestamp / 1000, UTC) for record in records]
    of_sessions = [decision.session_id for decision in decisions]
    agent_ids = [decision.agent.agent_id for decision in decisions]
    numbers = [f'{{"ticket": {ticket}}}' for ticket in tickets]
    await database.execute(SAVE_REQUESTS, ids, of_sessions, agent_ids, at, states, numbers)
    await database.execute(
        SAVE_ENROLMENTS,
        [decision.enrolment_id for decision in decisions],
        of_sessions,
        agent_ids,
        [decision.agent.model_dump_json() for decision in decisions],
        states,
        tickets,
        ids,
        at,
        [_sought(decision.agent) for decision in decisions],
    )
    await database.execute(
        SAVE_COUNTS,
        [occupancy.session_id for occupancy in occupancies],
        [occupancy.enrolled for occupancy in occupancies],
        [occupancy.waiting for occupancy in occupancies],
        [occupancy.version for occupancy in occupancies],
    )
    await _publish(database, decisions, occupancies)


async def _publish(
    database: asyncpg.Connection,
    decisions: Sequence[Decision],
    occupancies: Sequence[SessionOccupancyChanged],
) -> None:
    """Send each event to Postgres once. A decision has a row for its topic and a row for its portal."""
    answers = {Topic.ENROLMENT_DECISIONS: None, answers_topic(TRIAL_PORTAL): TRIAL_PORTAL}
    await _save_events(database, decisions, answers)
    await _save_events(database, occupancies, {Topic.ENROLMENT_OCCUPANCY: None})


async def _save_events(
    database: asyncpg.Connection,
    events: Sequence[Decision | SessionOccupancyChanged],
    portals: Mapping[str, str | None],
) -> None:
    """``portals``: by topic, the portal that reads the row."""
    await database.execute(
        SAVE_EVENTS,
        [zlib.crc32(event.key.encode()) % BUCKETS for event in events],
        [event.key for event in events],
        [uuid4() for _ in events],
        [event.TYPE for event in events],
        [event.model_dump_json() for event in events],
        list(portals),
        list(portals.values()),
    )


def _sought(agent: Agent) -> str:
    """What a roster is searched by, of the same length as the service keeps."""
    family, given = agent.family_name.lower(), agent.given_name.lower()
    return f"{agent.employer.name.lower()} {family} {given}\n{agent.email} {agent.agent_id}"


def _request_id(record: ConsumerRecord) -> UUID:
    return UUID(next(value for name, value in record.headers if name == "ce_id").decode())


async def relay() -> None:
    """Publish what is unsent in order of id: read, send, wait for every acknowledgement, mark."""
    database = await _connect()
    producer = await _producer()
    while True:
        async with database.transaction():
            rows = await database.fetch(UNSENT, RELAYED_AT_ONCE)
            sent = [
                await producer.send(
                    row["topic"],
                    row["data"].encode(),
                    row["key"].encode(),
                    headers=headers(
                        attributes(
                            event_id=row["event_id"],
                            event_type=row["type"],
                            source=row["source"],
                            time=row["created_at"],
                            subject=row["key"],
                        )
                    ),
                )
                for row in rows
            ]
            await asyncio.gather(*sent)
            await database.execute(MARK_SENT, [row["id"] for row in rows])
        if not rows:
            await asyncio.sleep(0.1)


async def _producer() -> AIOKafkaProducer:
    """Idempotent where the broker has that (the embedded one has not)."""
    for idempotent in (True, False):
        producer = AIOKafkaProducer(
            bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"],
            acks="all",
            enable_idempotence=idempotent,
            max_batch_size=256 * 1024,
        )
        try:
            await producer.start()
        except UnknownError:
            await producer.stop()
        else:
            return producer
    raise RuntimeError("the broker takes no producer")


async def mail() -> None:
    """Build confirmations with ``email.mime`` and send them over as many connections as the notifier has."""
    numbers = count()
    await asyncio.gather(*(_send_mails(numbers) for _ in range(CONNECTIONS)))


async def _send_mails(numbers: "count[int]") -> None:
    client = aiosmtplib.SMTP(
        hostname=os.environ["SMTP_HOST"], port=int(os.environ["SMTP_PORT"]), use_tls=False, start_tls=False
    )
    await client.connect()
    while True:
        recipient = f"a{next(numbers)}@ville.example"
        await client.sendmail("formations@cnfpt.example", [recipient], _confirmation(recipient))


def _confirmation(recipient: str) -> bytes:
    """A mail of the size of the notifier's: 1.1 KB of text, 2.6 of HTML, 1.0 of calendar."""
    mail = MIMEMultipart("alternative")
    mail["From"] = formataddr(("CNFPT", "formations@cnfpt.example"))
    mail["To"] = formataddr(("Zoé Durand", recipient))
    mail["Subject"] = Header("Votre inscription est confirmée : « IA et territoires »", "utf-8").encode()
    mail["Date"] = format_datetime(datetime.now(UTC))
    mail["Message-ID"] = f"<{uuid4().hex}@cnfpt.example>"
    calendar = MIMEText(CALENDAR.format(uid=uuid4(), recipient=recipient), "calendar", "utf-8")
    calendar.set_param("method", "REQUEST")
    for part in (MIMEText(TEXT, "plain", "utf-8"), MIMEText(HTML, "html", "utf-8"), calendar):
        mail.attach(part)
    return mail.as_bytes(policy=compat32.clone(linesep="\r\n"))


TEXT = "Votre inscription à la session « IA et territoires » est confirmée.\n" * 15
HTML = f"<!DOCTYPE html><body>{'<p>Votre inscription à la session est confirmée.</p>' * 49}</body>"
CALENDAR = """BEGIN:VCALENDAR\r
VERSION:2.0\r
PRODID:-//CNFPT//Parcours//FR\r
METHOD:REQUEST\r
BEGIN:VEVENT\r
UID:{uid}\r
DTSTAMP:20250310T130530Z\r
DTSTART:20250403T073000Z\r
DTEND:20250403T150000Z\r
SUMMARY:IA et territoires\r
LOCATION:Le Couvent des Jacobins\\, 20 place Sainte-Anne\\, Rennes\r
ATTENDEE;CN="Zoé Durand";PARTSTAT=ACCEPTED:mailto:{recipient}\r
ORGANIZER;CN="CNFPT":mailto:formations@cnfpt.example\r
DESCRIPTION:{description}\r
END:VEVENT\r
END:VCALENDAR\r
""".replace("{description}", "Une journée pour comprendre ce que l’IA change. " * 10)


async def _connect() -> asyncpg.Connection:
    return await asyncpg.connect(os.environ["ENROLMENT_DATABASE_URL"].replace("+asyncpg", ""))


if __name__ == "__main__":
    tune_gc()
    uvloop.run({"decide": decide, "relay": relay, "mail": mail}[sys.argv[1]]())
