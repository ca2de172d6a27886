"""What services keep only because they read it: deleted, and rebuilt equal from the compacted topics."""

import json
import subprocess
import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from local.tansu import TansuBroker
from services.catalogue import handlers as catalogue
from services.enrolment import handlers as enrolment
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import SeatRequest, Withdrawal
from services.enrolment.service import requests
from services.notifier import handlers as notifier
from services.notifier import jobs
from shared import clock
from shared.database import Database
from shared.events import Event
from shared.events.catalogue import (
    ReplayPublished,
    ResourceKind,
    ResourcePublished,
    SessionCancelled,
    SessionChanged,
    SessionState,
)
from shared.events.enrolment import AgentEnrolled, SessionOccupancyChanged
from shared.events.vocabulary import Agent
from shared.messaging.router import Router
from tests.conftest import Broker, create_topics, settings_of
from tests.support.builders import an_agent, headers, open_now
from tests.support.consuming import received, take
from tests.support.kafka import KafkaPortal
from tests.support.processes import run_cli

POLICY = Policy()


@pytest.fixture
def empty_broker() -> Iterator[TansuBroker]:
    """A broker that holds nothing but what the test tells: extra sessions would be differences."""
    with TansuBroker.start() as broker:
        create_topics(broker)
        yield broker


PublishedEvent = tuple[Event, uuid.UUID]


def to_publish(*events: Event) -> list[PublishedEvent]:
    return [(event, uuid.uuid4()) for event in events]


async def take_in(database: Database, router: Router, published: Sequence[PublishedEvent]) -> None:
    """One by one, as they come from a topic."""
    for event, event_id in published:
        await take(router, database, [received(event, event_id)], policy=POLICY)


async def publish(broker: Broker, events: Sequence[PublishedEvent], *, compacted: bool) -> None:
    """Onto the topics, in batches as a relay does; compacted: only the last word on each subject."""
    last = {(event.TOPIC, event.key): (event, event_id) for event, event_id in events}
    records = defaultdict(list)
    for event, event_id in last.values() if compacted else events:
        head = headers(event.TYPE, event_id=event_id, source="/tests")  # as `received` has it
        records[event.TOPIC.value].append((event.key, head, event.model_dump_json().encode()))
    async with KafkaPortal(broker.bootstrap_servers) as portal:
        for topic, batch in records.items():
            await portal.send(topic, batch)


async def dump(database: Database, query: str) -> list[Any]:
    async with database.quiet_transaction() as tx:
        return [tuple(row) for row in await tx.execute(text(query))]


async def run_in(database: Database, statement: str) -> None:
    async with database.transaction() as tx:
        await tx.execute(text(statement))


def projections(service: str, url: str, broker: Broker, command: str) -> subprocess.CompletedProcess[str]:
    environment = settings_of(service, url, broker.bootstrap_servers)
    return run_cli(service, "projections", command, environment=environment)


def changed(state: SessionState, **changes: Any) -> SessionChanged:
    values = state.model_dump() | {"version": state.version + 1} | changes
    return SessionChanged.model_validate(values)


async def enrol(database: Database, session: SessionState, agents: Sequence[Agent]) -> None:
    now = clock.now()
    async with database.transaction() as tx:
        requested = [SeatRequest(uuid.uuid4(), now, session.session_id, agent, False) for agent in agents]
        await requests.process(tx, requested, POLICY, now)


async def withdraw(database: Database, session: SessionState, agent: Agent) -> None:
    async with database.transaction() as tx:
        requested = Withdrawal(uuid.uuid4(), clock.now(), session.session_id, agent.key, None)
        await requests.process(tx, [requested], POLICY, clock.now())


def data_of(events: Sequence[PublishedEvent], session: SessionState) -> list[dict[str, Any]]:
    return [event.model_dump() for event, _ in events if event.key == session.key]


# What its séances are numbered by follows from all of its states; its topic has the last.
SESSIONS = (
    "SELECT to_jsonb(session) #- '{state,numbers}' #- '{state,last_number}' FROM session ORDER BY session_id"
)
ENROLMENTS = "SELECT * FROM enrolment ORDER BY enrolment_id"
EVENTS = "SELECT count(*) FROM outbox"


async def test_enrolment_rebuilds_its_sessions_equal_and_goes_on_deciding(
    empty_broker: Broker,
    enrolment_url: str,
    enrolment_database: Database,
) -> None:
    database, broker = enrolment_database, empty_broker
    agents = [an_agent() for _ in range(30)]
    release = clock.now() + timedelta(days=5)
    first = [
        open_now(capacity=10),
        open_now(capacity=None, quota_per_authority=40),
        open_now(capacity=10, waiting_list="offer", approval="none"),
        open_now(capacity=12, reserved_seats=[{"delegation": "bretagne", "seats": 6, "release_at": release}]),
        open_now(capacity=5),
    ]
    events = to_publish(*first)
    await take_in(database, enrolment.router, events)
    for session in first:
        await enrol(database, session, agents)
    await withdraw(database, first[0], agents[0])
    await withdraw(database, first[2], agents[1])
    lowered, raised = changed(first[0], capacity=4), changed(first[3], capacity=20)
    cancelled = SessionCancelled.model_validate(changed(first[4], status="cancelled").model_dump())
    later = to_publish(lowered, raised, cancelled, changed(lowered, title="Un autre titre"))
    await take_in(database, enrolment.router, later)
    async with database.quiet_transaction() as tx:
        published = "SELECT event_id, data FROM outbox WHERE topic = 'enrolment.occupancy' ORDER BY id"
        rows = await tx.execute(text(published))
        occupancy: list[PublishedEvent] = [
            (SessionOccupancyChanged.model_validate_json(row.data), row.event_id) for row in rows
        ]
    await publish(broker, [*events, *later, *occupancy], compacted=True)
    await run_in(database, "UPDATE outbox SET sent_at = now()")
    verified = projections("enrolment", enrolment_url, broker, "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    before = await dump(database, SESSIONS), await dump(database, ENROLMENTS), await dump(database, EVENTS)

    await run_in(database, "DELETE FROM session")
    lost = projections("enrolment", enrolment_url, broker, "verify")
    assert lost.returncode == 1
    assert lost.stdout.count("is missing") == len(first)
    for _ in range(2):  # twice is once
        rebuilt = projections("enrolment", enrolment_url, broker, "rebuild")
        assert rebuilt.returncode == 0, rebuilt.stdout + rebuilt.stderr
        after = await dump(database, SESSIONS), await dump(database, ENROLMENTS), await dump(database, EVENTS)
        assert after == before

    newcomer, line = an_agent(), agents[10:12]
    await withdraw(database, first[3], agents[2])  # frees a seat for the first in line, of whom there is none
    await enrol(database, first[2], [newcomer])
    await withdraw(database, first[2], agents[2])
    state = f"SELECT state FROM enrolment WHERE session_id = '{first[2].session_id}' AND agent_id = "
    assert await dump(database, f"{state}'{newcomer.agent_id}'") == [("waitlisted",)]
    offered = [await dump(database, f"{state}'{agent.agent_id}'") for agent in line]
    assert offered == [[("offered",)], [("offered",)]], "the next in line is the one that always was"
    published = "SELECT data FROM outbox WHERE topic = 'enrolment.occupancy' ORDER BY id DESC LIMIT 1"
    last = await dump(database, published)
    numbers = json.loads(last[0][0])
    assert numbers["session_id"] == str(first[2].session_id)
    published_before = max(data["version"] for data in data_of(occupancy, first[2]))
    assert numbers["version"] > published_before, "who listens would drop it as old"


async def test_what_enrolment_never_heard_has_its_effects_when_the_sessions_are_rebuilt(
    empty_broker: Broker, enrolment_url: str, enrolment_database: Database
) -> None:
    database, broker = enrolment_database, empty_broker
    kept, lost, agent = open_now(capacity=1), open_now(), an_agent()
    events = to_publish(kept, lost)
    await take_in(database, enrolment.router, events)
    waiting = an_agent()
    await enrol(database, kept, [an_agent(), waiting])
    await enrol(database, lost, [agent])
    await run_in(database, f"DELETE FROM session WHERE session_id = '{lost.session_id}'")
    missed = to_publish(
        changed(kept, capacity=2),
        SessionCancelled.model_validate(changed(lost, status="cancelled").model_dump()),
    )
    await publish(broker, [*events, *missed], compacted=True)

    rebuilt = projections("enrolment", enrolment_url, broker, "rebuild")
    assert rebuilt.returncode == 0, rebuilt.stdout + rebuilt.stderr
    assert "2 missed and taken in now" in rebuilt.stdout
    states = "SELECT state FROM enrolment WHERE agent_id = "
    assert await dump(database, f"{states}'{waiting.agent_id}'") == [("enrolled",)]
    assert await dump(database, f"{states}'{agent.agent_id}'") == [("session_cancelled",)]


KNOWN = (
    # Which number a séance has in calendars is what the notifier gave it, and stands in no event.
    "SELECT session_id, version, state - 'numbers' - 'last_number' FROM session ORDER BY session_id",
    "SELECT resource_id, event_id, session_id, details FROM replay ORDER BY resource_id",
    "SELECT item_id, kind, title, summary, url, interests, session_id FROM news ORDER BY item_id",
)


async def test_the_notifier_knows_its_sessions_and_resources_again_and_writes_to_nobody_twice(
    empty_broker: Broker,
    notifier_url: str,
    notifier_database: Database,
) -> None:
    database, broker = notifier_database, empty_broker
    # News is what subscribers are written to about: of the one that is cancelled since there is none.
    sessions = [open_now(), open_now(format="webinar"), open_now()]
    moved = changed(sessions[0], venue="Ailleurs")
    cancelled = SessionCancelled.model_validate(changed(sessions[1], status="cancelled").model_dump())
    events = to_publish(*sessions, moved, cancelled)
    decisions = to_publish(*(an_enrolment(session) for session in sessions))
    resource: dict[str, Any] = {
        "version": 1,
        "url": "https://cnfpt.example/r",
        "published_at": clock.now(),
        "themes": ["ia"],
    }
    resources = to_publish(
        ReplayPublished(
            resource_id=uuid.uuid4(),
            title="Le replay",
            session_id=sessions[2].session_id,
            organiser="bretagne",
            **resource,
        ),
        ResourcePublished(
            resource_id=uuid.uuid4(), title="Un dossier", kind=ResourceKind.DOSSIER, **resource
        ),
    )
    await take_in(database, notifier.router, events[:3])
    await take_in(database, notifier.router, decisions)
    await take_in(database, notifier.router, events[3:])
    await take_in(database, notifier.router, resources)
    await fan_out(database)
    await publish(broker, [*events, *resources], compacted=True)
    mails = "SELECT mail_id, event_id, template, recipient, state, due_at FROM mail ORDER BY mail_id"
    announcements = (
        "SELECT task, count(*) FROM fan_out WHERE begun_at IS NOT NULL GROUP BY task ORDER BY task"
    )
    before = [await dump(database, query) for query in (*KNOWN, mails, announcements)]
    assert all(before)

    await run_in(database, "TRUNCATE session, replay, news")
    rebuilt = projections("notifier", notifier_url, broker, "rebuild")
    assert rebuilt.returncode == 0, rebuilt.stdout + rebuilt.stderr
    await fan_out(database)
    assert [await dump(database, query) for query in (*KNOWN, mails, announcements)] == before


def an_enrolment(session: SessionState) -> AgentEnrolled:
    return AgentEnrolled(
        enrolment_id=uuid.uuid4(),
        version=1,
        request_id=uuid.uuid4(),
        session_id=session.session_id,
        agent=an_agent(),
        from_waiting_list=False,
    )


async def fan_out(database: Database) -> None:
    while await jobs.fan_out(database) is not None:
        pass


OCCUPANCY = "SELECT session_id, version, capacity, enrolled, waiting, offered FROM occupancy ORDER BY 1"


async def test_the_catalogue_knows_again_how_full_its_sessions_are(
    empty_broker: Broker, catalogue_url: str, catalogue_database: Database
) -> None:
    database, broker = catalogue_database, empty_broker
    ids = [uuid.uuid4() for _ in range(150)]  # more than one transaction
    events = to_publish(
        *(
            SessionOccupancyChanged(
                session_id=session_id, version=version, capacity=20, enrolled=version, waiting=0, offered=0
            )
            for version in (1, 2)
            for session_id in ids
        )
    )
    await take_in(database, catalogue.router, events)
    await publish(broker, events, compacted=False)
    before = await dump(database, OCCUPANCY)
    await run_in(database, "DELETE FROM occupancy")
    rebuilt = projections("catalogue", catalogue_url, broker, "rebuild")
    assert rebuilt.returncode == 0, rebuilt.stdout + rebuilt.stderr
    assert await dump(database, OCCUPANCY) == before
    await run_in(database, f"UPDATE occupancy SET waiting = 7 WHERE session_id = '{ids[0]}'")
    verified = projections("catalogue", catalogue_url, broker, "verify")
    assert verified.returncode == 1
    assert f"occupancy {ids[0]}: waiting is 7, not 0" in verified.stdout
