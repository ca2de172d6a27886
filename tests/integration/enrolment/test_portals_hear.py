"""Two portals of one issuer and one of another: who hears what, on the topic and in the feed."""

import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import pytest
from faststream import ContextRepo

from local.kafka import KafkaBroker
from services.enrolment.handlers import router
from services.enrolment.rules.policy import Policy
from services.enrolment.service import requests
from shared import clock
from shared.database import Database
from shared.events import Event
from shared.events.catalogue import SessionState
from shared.events.enrolment import SessionOccupancyChanged
from shared.events.outcomes import RejectionCode, RequestRejected
from shared.events.portal import EnrolmentRequested, WithdrawalRequested
from shared.events.topics import answers_topic
from shared.messaging import topics
from shared.messaging.broker import KafkaSettings
from shared.messaging.consumer import Consumer
from shared.messaging.portals.admission import Admission
from shared.messaging.portals.registry import PortalsFile
from tests.integration.messaging.relaying import connected, publish_all
from tests.support.answers import rows
from tests.support.builders import an_agent, open_now
from tests.support.consuming import a_partition_check, a_record
from tests.support.kafka import PublishedRecord, collect

Send = Callable[..., Awaitable[uuid.UUID]]


@pytest.fixture
def send(answering: Database, portals: PortalsFile) -> Send:
    """``await send(event, by="iel")``: its record is taken in; ``data`` replaces the record's value."""
    context = ContextRepo({"policy": Policy(), "partition_check": a_partition_check()})
    admission = Admission(portals, intake_keys=[])
    offsets = iter(range(1_000))

    async def send(event: Event, by: str | None = None, data: bytes | None = None) -> uuid.UUID:
        source = "/services/catalogue" if by is None else f"/portals/{by}"
        event_id = uuid.uuid4()
        record = replace(a_record(event, event_id, source=source), offset=next(offsets))
        consumer = Consumer(router.subscriptions[event.TOPIC], answering, context, admission)
        await consumer.take([consumer.read(record if data is None else replace(record, value=data))])
        return event_id

    return send


def asking(session: SessionState, agent_id: str) -> EnrolmentRequested:
    return EnrolmentRequested(session_id=session.session_id, agent=an_agent(agent_id))


def withdrawing(session: SessionState, agent_id: str) -> WithdrawalRequested:
    return WithdrawalRequested(session_id=session.session_id, agent_id=agent_id)


async def feed(database: Database, portal: str) -> list[tuple[int, str, str, str]]:
    """Number, id, name and key of each event of a portal's feed."""
    heard = await rows(database, f"portal = '{portal}' AND cursor IS NOT NULL")
    return sorted((row.cursor, str(row.event_id), row.type.split(".")[3], row.key) for row in heard)


def by_key(records: Sequence[PublishedRecord]) -> dict[str, list[str]]:
    ids: dict[str, list[str]] = {}
    for record in records:
        ids.setdefault(record.key, []).append(record.id)
    return ids


async def test_each_portal_hears_its_issuers_agents_and_its_own_rejections_in_one_order_everywhere(
    kafka: KafkaBroker, answering: Database, portals: PortalsFile, send: Send
) -> None:
    settings = KafkaSettings(kafka_bootstrap_servers=kafka.bootstrap_servers)
    await topics.create(settings, portals=portals.portals)
    session = open_now(capacity=1)
    await send(session)
    first, second = f"IEL-{uuid.uuid4()}", f"IEL-{uuid.uuid4()}"
    await send(asking(session, first), by="iel")
    await send(asking(session, second), by="iel-mobile")
    await send(asking(session, first), by="ouest")
    await send(withdrawing(session, first), by="iel-mobile")
    await send(asking(session, first), by="iel-mobile", data=b"{}")
    await send(withdrawing(session, "nobody"), by="ouest")
    async with connected(answering, kafka.bootstrap_servers) as relay:
        await publish_all(relay, answering)

    heard = {portal: await feed(answering, portal) for portal in ("iel", "iel-mobile", "ouest")}

    decisions = [
        ("AgentEnrolled", first),
        ("AgentWaitlisted", second),
        ("EnrolmentWithdrawn", first),
        ("AgentEnrolled", second),
    ]
    rejected = ("RequestRejected", "portal.enrolments-0-5")
    assert [(name, key) for _, _, name, key in heard["iel"]] == decisions
    assert [(name, key) for _, _, name, key in heard["iel-mobile"]] == [*decisions, rejected]
    assert [(name, key) for _, _, name, key in heard["ouest"]] == [
        ("AgentWaitlisted", first),
        ("RequestRejected", "portal.enrolments-0-6"),
    ]
    for events in heard.values():
        assert [number for number, *_ in events] == list(range(1, len(events) + 1))
    for portal in ("iel", "ouest"):
        of_this_run = {event_id for _, event_id, _, _ in heard[portal]}

        def all_came(found: list[PublishedRecord], ids: set[str] = of_this_run) -> bool:
            return ids <= {record.id for record in found}

        records = await collect(kafka.bootstrap_servers, answers_topic(portal), all_came)
        on_topic = by_key([record for record in records if record.id in of_this_run])
        in_feed: dict[str, list[str]] = {}
        for _, event_id, _, key in heard[portal]:
            in_feed.setdefault(key, []).append(event_id)
        assert on_topic == in_feed


async def test_a_portals_request_about_a_session_that_never_comes_is_answered(
    answering: Database, send: Send
) -> None:
    session = open_now()
    asked = await send(asking(session, "1001"), by="ouest")
    withdrawn = await send(withdrawing(session, "1001"), by="ouest")
    assert await rows(answering) == []

    async with answering.transaction() as tx:
        now = clock.now()
        await requests.refuse_unknown(tx, now, now)

    refused, rejected = await rows(answering, "portal = 'ouest'")
    assert (refused.type.split(".")[3], str(asked) in refused.data) == ("EnrolmentRefused", True)
    rejection = RequestRejected.model_validate_json(rejected.data)
    assert (rejection.request_id, rejection.code) == (withdrawn, RejectionCode.INVALID)
    assert rejection.offset == 1


async def test_what_is_between_services_is_no_answer(answering: Database, send: Send) -> None:
    session = open_now()
    await send(session)
    await send(asking(session, "1001"), by="iel")

    types = {row.type for row in await rows(answering, "portal IS NOT NULL")}
    assert SessionOccupancyChanged.TYPE not in types
    assert len(types) == 1
