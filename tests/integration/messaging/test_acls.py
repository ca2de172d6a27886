"""Apache Kafka with SASL/SCRAM over TLS and ACLs: each user has its own rights, and no more."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)
from sqlalchemy import text

from local.ports import free_port
from services.console import broker as console
from services.console import places
from services.console.asking import DEFINITIONS, ConsoleSettings
from services.console.findings import Mark
from shared import clock
from shared.database import Database
from shared.events.portal import EnrolmentRequested, SubscriptionChanged, WithdrawalRequested
from shared.events.vocabulary import Event
from shared.messaging import acls, held, topics
from shared.messaging.broker import client_options
from shared.messaging.portals.signatures import SignedAttributes, key_of, sign
from shared.messaging.relay import Relay
from shared.process import Process
from tests.conftest import opened
from tests.integration.messaging.relaying import write_rows
from tests.integration.services.composed import compose
from tests.support.builders import an_agent, headers, open_now
from tests.support.databases import MigratedDatabases
from tests.support.kafka import KafkaMessage
from tests.support.metrics import metric
from tests.support.processes import SERVICES
from tests.support.secured_kafka import SecuredKafka, secret_of
from tests.support.smtp import scripted_relay
from tests.support.statements import execute

pytestmark = pytest.mark.timeout(180)

# ------------------------------------------------------------------------------ what users try


@asynccontextmanager
async def consuming(
    broker: SecuredKafka, user: str, topic: str, group: str
) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        topic,
        **client_options(broker.settings(user), "test"),
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


async def read(broker: SecuredKafka, user: str, topic: str, group: str) -> None:
    """Read until the broker refuses it: the client hears that of a later answer of the broker."""
    async with asyncio.timeout(20), consuming(broker, user, topic, group) as consumer:
        while True:
            await consumer.getmany(timeout_ms=200)


async def write(broker: SecuredKafka, user: str, topic: str, *records: KafkaMessage, **options: Any) -> None:
    producer = AIOKafkaProducer(**client_options(broker.settings(user), "test"), **options)
    try:
        await producer.start()
        if "transactional_id" in options:
            await producer.begin_transaction()
        for key, record_headers, value in records or [("key", [], b"{}")]:
            await producer.send_and_wait(topic, value, key=str(key).encode(), headers=list(record_headers))
        if "transactional_id" in options:
            await producer.commit_transaction()
    finally:
        await producer.stop()


# Who has which rights is held by tests/unit/messaging/test_acls.py; here, that the broker grants no more.
REFUSED_READS = [
    ("portal-iel", "portal.answers.sirh", "portal.iel.test"),
    ("portal-iel", "portal.answers.iel", "portal.sirh.a"),
    ("parcours-console", "portal.enrolments", "enrolment.portal.enrolments"),
]
REFUSED_WRITES = [
    ("portal-iel", "portal.answers.iel"),
    ("parcours-notifier", "enrolment.decisions"),
    ("parcours-keda", "portal.enrolments"),
]


@pytest.mark.parametrize(("user", "topic", "group"), REFUSED_READS)
async def test_a_user_reads_its_own_topics_in_its_own_groups_alone(
    secured_kafka: SecuredKafka, user: str, topic: str, group: str
) -> None:
    with pytest.raises((TopicAuthorizationFailedError, GroupAuthorizationFailedError)):
        await read(secured_kafka, user, topic, group)


@pytest.mark.parametrize(("user", "topic"), REFUSED_WRITES)
async def test_a_user_writes_its_own_topics_alone(secured_kafka: SecuredKafka, user: str, topic: str) -> None:
    with pytest.raises(TopicAuthorizationFailedError):
        await write(secured_kafka, user, topic)


@pytest.mark.parametrize("transactional_id", ["enrolment-relay-0", "portal.iel.a"])
async def test_a_portal_fences_no_relay_and_leaves_no_transaction_open(
    secured_kafka: SecuredKafka, transactional_id: str
) -> None:
    with pytest.raises(TransactionalIdAuthorizationFailed):
        await write(secured_kafka, "portal-iel", "portal.enrolments", transactional_id=transactional_id)


async def test_a_portal_makes_no_topics_and_no_rights(secured_kafka: SecuredKafka) -> None:
    settings = secured_kafka.settings("portal-iel")
    with pytest.raises(TopicAuthorizationFailedError):
        await topics.create(settings)
    with pytest.raises(ClusterAuthorizationFailedError):
        await acls.apply(settings, acls.users([]))


async def test_keda_sees_how_much_waits(secured_kafka: SecuredKafka) -> None:
    admin = AIOKafkaAdminClient(**client_options(secured_kafka.settings("parcours-keda"), "test"))
    await admin.start()
    try:
        [topic] = await admin.describe_topics(["portal.enrolments"])
        assert topic["error_code"] == 0
        assert await admin.list_consumer_group_offsets("enrolment.portal.enrolments") is not None
    finally:
        await admin.close()


# ------------------------------------------------------------------------------ what they are there for


@pytest.fixture
async def services(
    secured_kafka: SecuredKafka, databases: MigratedDatabases, in_this_process: None
) -> AsyncIterator[Database]:
    """Run the three services, each as its own user, in this process. Gives enrolment's database."""
    del in_this_process
    urls = {service: databases.empty(service) for service in SERVICES}
    async with scripted_relay() as relay:
        processes = [secured(service, url, secured_kafka, relay.port) for service, url in urls.items()]
        running = [asyncio.create_task(process.run()) for process in processes]
        async with opened(urls["enrolment"]) as database:
            yield database
        for process in processes:
            process._stopping.set()
        await asyncio.gather(*running)


def secured(service: str, url: str, broker: SecuredKafka, smtp_port: int) -> Process:
    given = {name.lower(): value for name, value in broker.environment(f"parcours-{service}").items()}
    given |= {"portals_file": str(broker.portals_file), f"{service}_port": str(free_port())}
    of_notifier = {"smtp_port": str(smtp_port)} if service == "notifier" else {}
    return compose(service, url, parcours_trial="0", **given, **of_notifier)


def signed(
    event: Event, portal: str, *, by: str | None = None, ce_type: str | None = None
) -> tuple[str, KafkaMessage]:
    """The id and the record of a portal's request; ``by``: whose key signs it."""
    value = event.model_dump_json().encode()
    made = headers(ce_type or event.TYPE, source=f"/portals/{portal}")
    given = {name: (content or b"").decode() for name, content in made}
    attributes = SignedAttributes(*(given[f"ce_{name}"] for name in ("id", "source", "type", "time")))
    signature = sign(key_of(secret_of(by or portal)), "2026-11", attributes, value)
    signed_headers = [*made, ("ce_keyid", b"2026-11"), ("ce_signature", signature.encode())]
    return given["ce_id"], (event.key, signed_headers, value)


async def answers(broker: SecuredKafka, portal: str, *ce_ids: str) -> dict[str, dict[str, Any]]:
    """What the portal hears until these requests are answered: by request, type and data."""
    heard: dict[str, dict[str, Any]] = {}
    topic = f"portal.answers.{portal}"
    async with consuming(broker, f"portal-{portal}", topic, f"portal.{portal}.test") as consumer:
        async with asyncio.timeout(60):
            while not heard.keys() >= set(ce_ids):
                record = await consumer.getone()
                data = json.loads(record.value)
                name = dict(record.headers)["ce_type"].decode().split(".")[3]
                heard[data["request_id"]] = {"type": name, **data}
    return heard


async def the_console_sees_all(broker: SecuredKafka, request: str) -> None:
    """Its user may ask how far each group is, how each topic is set, and where a record lies."""
    given = broker.settings("parcours-console").model_dump()
    settings = ConsoleSettings(**given, portals_file=broker.portals_file)
    lines = [*await console.lag(settings, DEFINITIONS), *await console.all_topics(settings)]
    assert lines
    assert [line.found for line in lines if line.mark is Mark.UNKNOWN] == []
    since = clock.now() - timedelta(minutes=10)
    [place] = await places.find(settings, ["portal.enrolments"], [request], since, clock.now())
    assert place.topic == "portal.enrolments"


async def test_a_portal_asks_and_is_answered_and_another_gets_nothing(
    secured_kafka: SecuredKafka,
    services: Database,
    eventually: Callable[..., Awaitable[None]],
) -> None:
    heard_before = metric("parcours_events_handled_total", topic="notifier.deliveries")
    session, agent = open_now(capacity=5), an_agent()
    session_record = (
        str(session.session_id),
        headers(type(session).TYPE, source="/services/catalogue"),
        session.model_dump_json().encode(),
    )
    await write(secured_kafka, "parcours-catalogue", "catalogue.sessions", session_record)
    asked, request = signed(EnrolmentRequested(session_id=session.session_id, agent=agent), "iel")
    leaving = WithdrawalRequested(session_id=session.session_id, agent_id=agent.agent_id)
    # As the user of sirh: in iel's name with its own key, and in its own name about iel's agent.
    forged, forgery = signed(leaving, "iel", by="sirh")
    others, withdrawal = signed(leaving, "sirh")
    misspelt, to_catalogue = signed(leaving, "iel", ce_type="fr.cnfpt.portal.TraineesNamed.v1")
    followed, to_notifier = signed(
        SubscriptionChanged(agent_id=agent.agent_id, email=agent.email, theme="numerique", subscribed=True),
        "iel",
    )
    await write(secured_kafka, "portal-iel", "portal.enrolments", request)
    await write(secured_kafka, "portal-sirh", "portal.enrolments", forgery, withdrawal)
    await write(secured_kafka, "portal-iel", "portal.bespoke", to_catalogue)
    await write(secured_kafka, "portal-iel", "portal.agents", to_notifier)

    heard = await answers(secured_kafka, "iel", asked, forged, misspelt, followed)
    assert (heard[asked]["type"], heard[asked]["agent"]["issuer"]) == ("AgentEnrolled", "iel")
    assert (heard[forged]["type"], heard[forged]["code"]) == ("RequestRejected", "not_authenticated")
    assert (heard[misspelt]["type"], heard[misspelt]["code"]) == ("RequestRejected", "unknown_type")
    assert heard[followed]["type"] == "RequestAccepted"
    heard = await answers(secured_kafka, "sirh", others)
    assert heard.keys() == {others}
    assert agent.email not in json.dumps(heard)

    async def all_was_said() -> bool:
        # The notifier heard the decision and told of its mail.
        return metric("parcours_events_handled_total", topic="notifier.deliveries") > heard_before

    await eventually(all_was_said, "a mail was sent, and enrolment heard of it")
    await the_console_sees_all(secured_kafka, asked)
    assert await execute(services, "SELECT state FROM enrolment") == [("enrolled",)]


async def test_what_a_service_may_not_write_is_held_back_and_hinders_no_fence(
    secured_kafka: SecuredKafka, enrolment_database: Database
) -> None:
    """It may read ``catalogue.sessions``; an event for it is on the way when a relay dies within a pass."""
    settings = secured_kafka.settings("parcours-enrolment")
    for topic in ("catalogue.sessions", "enrolment.occupancy"):
        await write_rows(enrolment_database, ("key", "{}"), topic=topic)
    dead = Relay(enrolment_database, settings, "enrolment")
    async with enrolment_database.quiet_transaction() as tx:
        buckets = sorted(set(await tx.scalars(text("SELECT bucket FROM outbox"))))
    await dead._claim(await dead.start(), buckets)
    await dead.close()

    relay = Relay(enrolment_database, settings, "enrolment")
    assert await relay.publish_unsent() == 1
    await relay.close()
    async with enrolment_database.quiet_transaction() as tx:
        [event] = await held.find(tx, limit=10)
        assert list(await tx.scalars(text("SELECT transactional_id FROM outbox_producer"))) == []
    assert (event.topic, event.held) == ("catalogue.sessions", "refused")
    assert "TopicAuthorizationFailedError" in event.error
