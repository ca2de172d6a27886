"""What services keep only because they read it: deleted, and rebuilt equal from the compacted topics."""

import json
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import Result

from local.tansu import TansuBroker
from services.catalogue import handlers as catalogue
from services.enrolment import handlers as enrolment
from services.enrolment.rules.policy import Policy
from services.notifier import handlers as notifier
from services.notifier import jobs
from shared import clock
from shared.cli.service import service_cli
from shared.database import Database
from shared.events.catalogue import (
    ReplayPublished,
    ResourceKind,
    ResourcePublished,
    SessionCancelled,
    SessionChanged,
    SessionState,
)
from shared.events.enrolment import AgentEnrolled, SessionOccupancyChanged
from shared.events.vocabulary import Event
from shared.messaging.router import Router
from tests.conftest import create_topics
from tests.integration.enrolment.conftest import Front
from tests.integration.messaging.conftest import RunOperator
from tests.integration.services.composed import definition_of
from tests.support.builders import an_agent, headers, open_now
from tests.support.consuming import received, take
from tests.support.kafka import KafkaPortal
from tests.support.statements import execute

PublishedEvent = tuple[Event, uuid.UUID]


@pytest.fixture
def empty_broker() -> Iterator[TansuBroker]:
    """A broker that holds nothing but what the test tells: extra sessions would be differences."""
    with TansuBroker.temporary() as broker:
        create_topics(broker)
        yield broker


@pytest.fixture
def projections(
    operator: RunOperator, services_set_up: pytest.MonkeyPatch, empty_broker: TansuBroker
) -> Callable[[str, str], Awaitable[Result]]:
    """``await projections("enrolment", "rebuild")``: as an operator types it."""
    services_set_up.setenv("KAFKA_BOOTSTRAP_SERVERS", empty_broker.bootstrap_servers)
    return lambda service, command: operator("projections", command, app=service_cli(definition_of(service)))


Projections = Callable[[str, str], Awaitable[Result]]


async def rebuilt(projections: Projections, service: str) -> str:
    done = await projections(service, "rebuild")
    assert done.exit_code == 0, done.output
    return done.stdout


def to_publish(*events: Event) -> list[PublishedEvent]:
    return [(event, uuid.uuid4()) for event in events]


async def take_in(database: Database, router: Router, published: Sequence[PublishedEvent]) -> None:
    """One by one, as they come from a topic."""
    for event, event_id in published:
        await take(router, database, [received(event, event_id)], policy=Policy())


async def publish(broker: TansuBroker, events: Sequence[PublishedEvent]) -> None:
    """Onto the compacted topics: only the last word on each subject."""
    last = {(event.TOPIC, event.key): (event, event_id) for event, event_id in events}
    records = defaultdict(list)
    for event, event_id in last.values():
        head = headers(event.TYPE, event_id=event_id, source="/tests")  # as `received` has it
        records[event.TOPIC.value].append((event.key, head, event.model_dump_json().encode()))
    async with KafkaPortal(broker.bootstrap_servers) as portal:
        for topic, batch in records.items():
            await portal.send(topic, batch)


async def dump(database: Database, *queries: str) -> list[list[Any]]:
    async with database.quiet_transaction() as tx:
        return [[tuple(row) for row in await tx.execute(text(query))] for query in queries]


def changed(state: SessionState, **changes: Any) -> SessionChanged:
    return SessionChanged.model_validate(state.model_dump() | {"version": state.version + 1} | changes)


def cancelled(state: SessionState) -> SessionCancelled:
    return SessionCancelled.model_validate(changed(state, status="cancelled").model_dump())


OF_ENROLMENT = (
    # What its séances are numbered by follows from all of its states; its topic has the last.
    "SELECT to_jsonb(session) #- '{state,numbers}' #- '{state,last_number}' FROM session ORDER BY session_id",
    "SELECT * FROM enrolment ORDER BY enrolment_id",
    "SELECT count(*) FROM outbox",
)
OCCUPANCY_PUBLISHED = "SELECT event_id, data FROM outbox WHERE topic = 'enrolment.occupancy' ORDER BY id"


async def test_enrolment_rebuilds_its_sessions_equal_and_goes_on_deciding(
    empty_broker: TansuBroker, projections: Projections, enrolment_database: Database
) -> None:
    database, front = enrolment_database, Front(enrolment_database)
    agents = [an_agent() for _ in range(30)]
    release = clock.now() + timedelta(days=5)
    first = [
        open_now(capacity=10),
        open_now(capacity=None, quota_per_authority=40),
        open_now(capacity=10, waiting_list="offer", approval="none"),
        open_now(capacity=12, reserved_seats=[{"delegation": "bretagne", "seats": 6, "release_at": release}]),
        open_now(capacity=5),
    ]
    of_offers = first[2]
    events = to_publish(*first)
    await take_in(database, enrolment.router, events)
    for session in first:
        await front.enrol(session, *agents)
    await front.withdraw(first[0], agents[0])
    await front.withdraw(of_offers, agents[1])
    lowered = changed(first[0], capacity=4)
    later = to_publish(
        lowered, changed(first[3], capacity=20), cancelled(first[4]), changed(lowered, title="Un autre titre")
    )
    await take_in(database, enrolment.router, later)
    [rows] = await dump(database, OCCUPANCY_PUBLISHED)
    occupancy: list[PublishedEvent] = [
        (SessionOccupancyChanged.model_validate_json(data), event_id) for event_id, data in rows
    ]
    await publish(empty_broker, [*events, *later, *occupancy])
    await execute(database, "UPDATE outbox SET sent_at = now()")
    verified = await projections("enrolment", "verify")
    assert verified.exit_code == 0, verified.output
    before = await dump(database, *OF_ENROLMENT)

    await execute(database, "DELETE FROM session")
    lost = await projections("enrolment", "verify")
    assert (lost.exit_code, lost.stdout.count("is missing")) == (1, len(first))
    for _ in range(2):  # twice is once
        await rebuilt(projections, "enrolment")
        assert await dump(database, *OF_ENROLMENT) == before

    newcomer, line = an_agent(), agents[10:12]
    await front.enrol(of_offers, newcomer)
    await front.withdraw(of_offers, agents[2])
    # The next in line is the one that always was.
    assert await front.states(of_offers, newcomer, *line) == ["waitlisted", "offered", "offered"]
    [rows] = await dump(database, OCCUPANCY_PUBLISHED)
    last = json.loads(rows[-1][1])
    assert last["session_id"] == str(of_offers.session_id)
    published_before = max(
        event.model_dump()["version"] for event, _ in occupancy if event.key == of_offers.key
    )
    assert last["version"] > published_before, "who listens would drop it as old"


async def test_what_enrolment_never_heard_has_its_effects_when_the_sessions_are_rebuilt(
    empty_broker: TansuBroker, projections: Projections, enrolment_database: Database
) -> None:
    database, front = enrolment_database, Front(enrolment_database)
    kept, lost, agent, waiting = open_now(capacity=1), open_now(), an_agent(), an_agent()
    events = to_publish(kept, lost)
    await take_in(database, enrolment.router, events)
    await front.enrol(kept, an_agent(), waiting)
    await front.enrol(lost, agent)
    await execute(database, f"DELETE FROM session WHERE session_id = '{lost.session_id}'")
    await publish(empty_broker, [*events, *to_publish(changed(kept, capacity=2), cancelled(lost))])

    assert "2 missed and taken in now" in await rebuilt(projections, "enrolment")
    assert await front.states(kept, waiting) == ["enrolled"]
    assert await front.states(lost, agent) == ["session_cancelled"]


OF_THE_NOTIFIER = (
    # Which number a séance has in calendars is what the notifier gave it, and stands in no event.
    "SELECT session_id, version, state - 'numbers' - 'last_number' FROM session ORDER BY session_id",
    "SELECT resource_id, event_id, session_id, details FROM replay ORDER BY resource_id",
    "SELECT item_id, kind, title, summary, url, interests, session_id FROM news ORDER BY item_id",
    "SELECT mail_id, event_id, template, recipient, state, due_at FROM mail ORDER BY mail_id",
    "SELECT task, count(*) FROM fan_out WHERE begun_at IS NOT NULL GROUP BY task ORDER BY task",
)


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


async def test_the_notifier_knows_its_sessions_and_resources_again_and_writes_to_nobody_twice(
    empty_broker: TansuBroker, projections: Projections, notifier_database: Database
) -> None:
    database = notifier_database
    # News is what subscribers are written to about: of the one that is cancelled since there is none.
    sessions = [open_now(), open_now(format="webinar"), open_now()]
    events = to_publish(*sessions)
    changes = to_publish(changed(sessions[0], venue="Ailleurs"), cancelled(sessions[1]))
    resource: dict[str, Any] = {
        "version": 1,
        "url": "https://cnfpt.example/r",
        "published_at": clock.now(),
        "themes": ["ia"],
    }
    replay = ReplayPublished(
        resource_id=uuid.uuid4(),
        title="Le replay",
        session_id=sessions[2].session_id,
        organiser="bretagne",
        **resource,
    )
    dossier = ResourcePublished(
        resource_id=uuid.uuid4(), title="Un dossier", kind=ResourceKind.DOSSIER, **resource
    )
    resources = to_publish(replay, dossier)
    decisions = to_publish(*map(an_enrolment, sessions))
    await take_in(database, notifier.router, [*events, *decisions, *changes, *resources])
    await fan_out(database)
    await publish(empty_broker, [*events, *changes, *resources])
    before = await dump(database, *OF_THE_NOTIFIER)
    assert all(before)

    await execute(database, "TRUNCATE session, replay, news")
    await rebuilt(projections, "notifier")
    await fan_out(database)
    assert await dump(database, *OF_THE_NOTIFIER) == before


OCCUPANCY = "SELECT session_id, version, capacity, enrolled, waiting, offered FROM occupancy ORDER BY 1"


async def test_the_catalogue_knows_again_how_full_its_sessions_are(
    empty_broker: TansuBroker, projections: Projections, catalogue_database: Database
) -> None:
    database = catalogue_database
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
    await publish(empty_broker, events)
    before = await dump(database, OCCUPANCY)
    await execute(database, "DELETE FROM occupancy")
    await rebuilt(projections, "catalogue")
    assert await dump(database, OCCUPANCY) == before

    await execute(database, f"UPDATE occupancy SET waiting = 7 WHERE session_id = '{ids[0]}'")
    verified = await projections("catalogue", "verify")
    assert verified.exit_code == 1
    assert f"occupancy {ids[0]}: waiting is 7, not 0" in verified.stdout
