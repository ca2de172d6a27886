"""Decisions per second: records decoded, judged and stored by 500; then with the relay to a broker."""

import asyncio
import time
import uuid
from datetime import UTC, datetime, timedelta

from local.postgres import PostgresServer
from local.tansu import TansuBroker
from services.enrolment import handlers, tables
from services.enrolment.app import REVISIONS
from shared import migrations
from shared.database import Database
from shared.events.catalogue import SessionScheduled, SessionState
from shared.events.portal import EnrolmentRequested
from shared.events.topics import Topic
from shared.messaging import topics
from shared.messaging.broker import KafkaSettings
from shared.messaging.consumer import BATCH, Intake
from shared.messaging.decoding import Record, decode
from shared.messaging.relay import Relay
from tests.support.builders import as_json, enrolment_request, headers, open_now

REQUESTS = 20_000
SESSIONS = 100


async def run() -> dict[str, float]:
    """Requests for a hundred sessions of a hundred seats: half get a seat, half queue."""
    with PostgresServer.temporary(durable=True) as postgres, TansuBroker.start() as broker:
        url = postgres.fresh_database()
        await asyncio.to_thread(migrations.upgrade, url, REVISIONS, tables.metadata)
        settings = KafkaSettings(kafka_bootstrap_servers=broker.bootstrap_servers)
        await topics.create(settings)
        database = Database(url, application_name="bench")
        try:
            return await _measure(database, settings)
        finally:
            await database.close()


async def _measure(database: Database, settings: KafkaSettings) -> dict[str, float]:
    sessions = [a_session_with_all_rules() for _ in range(SESSIONS)]
    subscriptions = handlers.subscriptions.by_topic
    await Intake(subscriptions[Topic.CATALOGUE_SESSIONS], database).take(
        [
            decode(_record(Topic.CATALOGUE_SESSIONS, SessionScheduled.TYPE, one.model_dump_json().encode()))
            for one in sessions
        ]
    )
    approval = {"approved_by": "Anne Conseil", "approved_at": datetime.now(UTC).isoformat()}
    records = [
        _record(
            Topic.PORTAL_ENROLMENTS,
            EnrolmentRequested.TYPE,
            as_json(enrolment_request(sessions[number % SESSIONS].session_id, approval=approval)),
        )
        for number in range(REQUESTS)
    ]
    intake = Intake(subscriptions[Topic.PORTAL_ENROLMENTS], database)
    started = time.perf_counter()
    for first in range(0, REQUESTS, BATCH):
        await intake.take([decode(record) for record in records[first : first + BATCH]])
    decided = time.perf_counter() - started

    relay = Relay(database, settings, "bench")
    await relay.start()
    started = time.perf_counter()
    relayed = 0
    while published := await relay.publish_unsent():
        relayed += published
    published_in = time.perf_counter() - started
    await relay.close()
    return {
        "decisions_per_second": REQUESTS / decided,
        "relayed_per_second": relayed / published_in,
        "decided_and_published_per_second": REQUESTS / (decided + published_in),
    }


def a_session_with_all_rules() -> SessionState:
    """Half its requests get a seat and half queue; nothing of the rules is left out on the way."""
    seats = REQUESTS // SESSIONS // 2
    release_at = datetime.now(UTC) + timedelta(days=5)
    return open_now(
        capacity=seats,
        waiting_list="offer",
        approval="employer",
        audience={"functions": ["agent", "encadrant"], "delegations": ["bretagne", "normandie"]},
        reserved_seats=[{"delegation": "bretagne", "seats": seats // 2, "release_at": release_at}],
        quota_per_authority=2 * seats,
    )


def _record(topic: Topic, event_type: str, value: bytes) -> Record:
    return Record(
        topic=topic,
        partition=0,
        offset=0,
        key=None,
        value=value,
        headers=tuple(headers(event_type, event_id=uuid.uuid4())),
        received_at=datetime.now(UTC),
    )
