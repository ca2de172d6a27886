"""A request from the portal's record to the decision on its topic, through a running service."""

import asyncio
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaProducer

from local.kafka import KafkaBroker
from shared.events.catalogue import SessionScheduled, SessionState
from shared.events.cloudevents import STRUCTURED
from shared.events.portal import EnrolmentRequested, WithdrawalRequested
from tests.conftest import running_services
from tests.integration.enrolment.conftest import INTAKE_KEY, a_portals_file, a_tokens_file
from tests.support.builders import an_agent, as_json, enrolment_request, headers, open_now
from tests.support.kafka import KafkaPortal, PublishedRecord, collect
from tests.support.processes import ServiceProcess

PORTAL = "portail-bretagne"


@pytest.fixture(scope="module")
def service(
    kafka: KafkaBroker, new_database: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServiceProcess]:
    """One enrolment for all these tests. Use new ids."""
    folder = tmp_path_factory.mktemp("requests")
    tokens = a_tokens_file(folder)
    with running_services(folder) as run_service:
        url = new_database("enrolment")
        files = {"API_TOKENS_FILE": str(tokens), "PORTALS_FILE": str(a_portals_file(folder))}
        yield run_service("enrolment", url, kafka.bootstrap_servers, **files, INTAKE_SIGNING_KEY=INTAKE_KEY)


def session_record(session: SessionState) -> tuple[str, Any, bytes]:
    return (
        str(session.session_id),
        headers(SessionScheduled.TYPE, source="/services/catalogue"),
        session.model_dump_json().encode(),
    )


def request_record(
    session: SessionState, agent: Any, request_id: uuid.UUID | None = None
) -> tuple[str, Any, bytes]:
    return (
        str(session.session_id),
        headers(EnrolmentRequested.TYPE, event_id=request_id),
        as_json(enrolment_request(session.session_id, agent)),
    )


def decided(session: SessionState, number: int) -> Callable[[list[PublishedRecord]], bool]:
    """Whether so many decisions about this session have come."""
    return lambda found: len(of(session, found)) >= number


def of(session: SessionState, found: list[PublishedRecord]) -> list[PublishedRecord]:
    return [decision for decision in found if decision.data["session_id"] == str(session.session_id)]


async def outcome_of(service: ServiceProcess, request_id: uuid.UUID) -> dict[str, Any] | None:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{service.url}/api/v1/requests/{request_id}")
    if answer.status_code == 404:
        assert answer.headers["content-type"] == "application/problem+json"
        return None
    document: dict[str, Any] = answer.raise_for_status().json()
    return document


async def test_a_request_is_answered_once_with_its_own_id(
    kafka: KafkaBroker, service: ServiceProcess
) -> None:
    session, agent, request_id = open_now(capacity=1), an_agent(), uuid.uuid4()
    async with KafkaPortal(kafka.bootstrap_servers) as portal:
        await portal.send("catalogue.sessions", [session_record(session)])
        await portal.send("portal.enrolments", [request_record(session, agent, request_id)])

        found = of(
            session, await collect(kafka.bootstrap_servers, "enrolment.decisions", decided(session, 1))
        )

    assert [decision.type for decision in found] == ["AgentEnrolled"]
    assert found[0].data["request_id"] == str(request_id)
    assert found[0].key == agent.agent_id
    assert found[0].headers["ce_subject"] == agent.agent_id
    assert found[0].headers["ce_source"] == "/services/enrolment"
    answer = await outcome_of(service, request_id)
    assert answer is not None
    assert (answer["state"], answer["outcome"], answer["reason"]) == ("answered", "enrolled", None)


async def test_a_full_session_queues_in_order_and_a_withdrawal_promotes_the_first(
    kafka: KafkaBroker, service: ServiceProcess
) -> None:
    session = open_now(capacity=1)
    first, second, third = an_agent(), an_agent(), an_agent()
    withdrawal = (
        str(session.session_id),
        headers(WithdrawalRequested.TYPE),
        as_json({"session_id": str(session.session_id), "agent_id": first.agent_id}),
    )
    async with KafkaPortal(kafka.bootstrap_servers) as portal:
        await portal.send("catalogue.sessions", [session_record(session)])
        await portal.send(
            "portal.enrolments",
            [*(request_record(session, agent) for agent in (first, second, third)), withdrawal],
        )

        found = of(
            session, await collect(kafka.bootstrap_servers, "enrolment.decisions", decided(session, 5))
        )

    by_agent = {
        agent.agent_id: [decision.type for decision in found if decision.key == agent.agent_id]
        for agent in (first, second, third)
    }
    assert by_agent == {
        first.agent_id: ["AgentEnrolled", "EnrolmentWithdrawn"],
        second.agent_id: ["AgentWaitlisted", "AgentEnrolled"],
        third.agent_id: ["AgentWaitlisted"],
    }
    positions = [decision.data["position"] for decision in found if decision.type == "AgentWaitlisted"]
    assert sorted(positions) == [1, 2]


async def test_a_request_that_overtakes_its_session_waits_for_it(
    kafka: KafkaBroker, service: ServiceProcess, eventually: Any
) -> None:
    session, agent, request_id = open_now(), an_agent(), uuid.uuid4()
    async with KafkaPortal(kafka.bootstrap_servers) as portal:
        await portal.send("portal.enrolments", [request_record(session, agent, request_id)])

        async def is_pending() -> bool:
            answer = await outcome_of(service, request_id)
            return answer is not None and answer["state"] == "pending"

        await eventually(is_pending, "the request waits")
        await portal.send("catalogue.sessions", [session_record(session)])
        found = await collect(kafka.bootstrap_servers, "enrolment.decisions", decided(session, 1))

    assert [decision.type for decision in of(session, found)] == ["AgentEnrolled"]


async def test_a_request_that_its_portal_took_back_with_its_transaction_was_never_made(
    kafka: KafkaBroker, service: ServiceProcess
) -> None:
    session, taken_back, requesting = open_now(), an_agent(), an_agent()
    async with KafkaPortal(kafka.bootstrap_servers) as portal:
        await portal.send("catalogue.sessions", [session_record(session)])
        key, head, value = request_record(session, taken_back)
        producer = AIOKafkaProducer(
            bootstrap_servers=kafka.bootstrap_servers, transactional_id=f"portal-{uuid.uuid4()}"
        )
        await producer.start()
        await producer.begin_transaction()
        await producer.send_and_wait("portal.enrolments", value, key=key.encode(), headers=head)
        await producer.abort_transaction()
        await producer.stop()
        await portal.send("portal.enrolments", [request_record(session, requesting)])

        found = of(
            session, await collect(kafka.bootstrap_servers, "enrolment.decisions", decided(session, 1))
        )

    assert [decision.key for decision in found] == [requesting.agent_id]


async def test_a_request_by_http_is_answered_with_its_own_id_like_one_from_kafka(
    kafka: KafkaBroker, service: ServiceProcess
) -> None:
    session, agent = open_now(capacity=1), an_agent()
    async with KafkaPortal(kafka.bootstrap_servers) as portal:
        await portal.send("catalogue.sessions", [session_record(session)])
    request_id = str(uuid.uuid4())
    event = {
        "specversion": "1.0",
        "id": request_id,
        "source": f"/portals/{PORTAL}",
        "type": EnrolmentRequested.TYPE,
        "data": enrolment_request(session.session_id, agent),
    }
    sent = {"authorization": f"Bearer {PORTAL}", "content-type": STRUCTURED}
    async with httpx.AsyncClient(base_url=service.url, headers=sent) as client:
        accepted = await client.post("/api/v1/events", content=as_json(event))
        assert accepted.status_code == 202, accepted.text
        assert accepted.json()["request_id"] == request_id
        heard: list[dict[str, Any]] = []
        after = 0
        async with asyncio.timeout(20):
            while request_id not in (event["data"]["request_id"] for event in heard):
                page = (await client.get(f"/api/v1/answers?after={after}&wait=20", timeout=30)).json()
                heard, after = page["items"], page["next"]
    assert heard[-1]["data"]["agent"]["agent_id"] == agent.agent_id
    found = of(session, await collect(kafka.bootstrap_servers, "enrolment.decisions", decided(session, 1)))
    assert [(decision.type, decision.data["request_id"]) for decision in found] == [
        ("AgentEnrolled", request_id)
    ]
    outcome = await outcome_of(service, uuid.UUID(request_id))
    assert outcome is not None
    assert (outcome["state"], outcome["outcome"]) == ("answered", "enrolled")
    assert [event["id"] for event in heard if event["data"]["request_id"] == request_id] == [
        decision.headers["ce_id"] for decision in found
    ]
