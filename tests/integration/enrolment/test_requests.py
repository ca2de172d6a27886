"""Requests that were taken back, or are as large as they may be, through a running service."""

import asyncio
import json
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaProducer

from local.kafka import KafkaBroker
from shared.events.catalogue import SessionState
from shared.events.cloudevents import STRUCTURED
from shared.events.portal import EnrolmentRequested, GroupEnrolmentRequested
from tests.conftest import running_services
from tests.integration.enrolment.conftest import INTAKE_KEY, a_portals_file, a_tokens_file
from tests.integration.enrolment.records import announce, decisions_about, request_record
from tests.support.builders import an_agent, enrolment_request, open_now
from tests.support.kafka import KafkaPortal, collect
from tests.support.processes import ServiceProcess

PORTAL = "portail-bretagne"
LONG_NAME = "é" * 100


@pytest.fixture(scope="module")
def service(
    kafka: KafkaBroker, new_database: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServiceProcess]:
    """One enrolment for all these tests. Use new ids."""
    folder = tmp_path_factory.mktemp("requests")
    files = {
        "API_TOKENS_FILE": str(a_tokens_file(folder)),
        "PORTALS_FILE": str(a_portals_file(folder)),
        "INTAKE_SIGNING_KEY": INTAKE_KEY,
    }
    with running_services(folder) as run_service:
        yield run_service("enrolment", new_database("enrolment"), kafka.bootstrap_servers, **files)


async def post(client: httpx.AsyncClient, event_type: str, data: dict[str, Any]) -> str:
    """Send an event by HTTP, with every accent escaped: six bytes for each. Return its id."""
    event = {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": f"/portals/{PORTAL}",
        "type": event_type,
        "data": data,
    }
    sent = {"authorization": f"Bearer {PORTAL}", "content-type": STRUCTURED}
    answer = await client.post("/api/v1/events", content=json.dumps(event), headers=sent)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["request_id"])


async def test_a_request_that_its_portal_took_back_with_its_transaction_was_never_made(
    kafka: KafkaBroker, service: ServiceProcess
) -> None:
    session, taken_back, requesting = open_now(), an_agent(), an_agent()
    async with KafkaPortal(kafka.bootstrap_servers) as portal:
        await announce(portal, session)
        key, head, value = request_record(session, taken_back)
        assert key is not None
        producer = AIOKafkaProducer(
            bootstrap_servers=kafka.bootstrap_servers, transactional_id=f"portal-{uuid.uuid4()}"
        )
        await producer.start()
        await producer.begin_transaction()
        await producer.send_and_wait("portal.enrolments", value, key=key.encode(), headers=list(head))
        await producer.abort_transaction()
        await producer.stop()
        await portal.send("portal.enrolments", [request_record(session, requesting)])
        found = await decisions_about(kafka, [session], 1)
    assert [decision.key for decision in found] == [requesting.agent_id]


def a_group(session: SessionState, prefix: str) -> dict[str, Any]:
    names = {"given_name": LONG_NAME, "family_name": LONG_NAME}
    agents = [an_agent(f"{prefix}-{number:03d}", **names) for number in range(500)]
    return {
        "session_id": str(session.session_id),
        "agents": [agent.model_dump(mode="json") for agent in agents],
        "requested_by": {"name": LONG_NAME, "email": "rh@ville-exemple.fr"},
        "all_or_nothing": False,
    }


async def test_a_group_of_500_with_long_names_goes_through_and_single_requests_beside_it_too(
    kafka: KafkaBroker, service: ServiceProcess
) -> None:
    """By HTTP, where it is largest: on the topic it is as large as from a portal that sends by Kafka."""
    session = open_now(capacity=2_000)
    key, prefix = str(session.session_id), f"H{uuid.uuid4().hex[:8]}"
    group, alone = a_group(session, prefix), [an_agent(f"{prefix}-alone-{number}") for number in range(4)]
    async with (
        KafkaPortal(kafka.bootstrap_servers) as portal,
        httpx.AsyncClient(base_url=service.url, timeout=30) as client,
    ):
        await announce(portal, session)
        sent = [(EnrolmentRequested.TYPE, enrolment_request(key, agent)) for agent in alone]
        sent.insert(2, (GroupEnrolmentRequested.TYPE, group))
        await asyncio.gather(*(post(client, event_type, data) for event_type, data in sent))

    decided = await decisions_about(kafka, [session], 504)
    expected = {agent["agent_id"] for agent in group["agents"]} | {agent.agent_id for agent in alone}
    assert {decision.key for decision in decided} == expected
    assert Counter(decision.type for decision in decided) == {"AgentEnrolled": 504}
    requests = await collect(
        kafka.bootstrap_servers,
        "portal.enrolments",
        lambda found: sum(request.key == key for request in found) >= 5,
    )
    published = [request.id for request in requests if request.key == key]
    assert len(published) == len(set(published)) == 5, "nothing is published twice"
