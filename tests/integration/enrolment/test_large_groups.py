"""A group as large as it may be goes through by Kafka and by HTTP, and disturbs nobody beside it."""

import asyncio
import json
import uuid
from collections import Counter
from pathlib import Path

import httpx

from local.kafka import KafkaBroker
from shared.events.catalogue import SessionScheduled, SessionState
from shared.events.portal import EnrolmentRequested, GroupEnrolmentRequested
from tests.conftest import RunService
from tests.integration.enrolment.conftest import INTAKE_KEY, a_portals_file
from tests.support.builders import an_agent, as_json, enrolment_request, headers, open_now
from tests.support.kafka import KafkaMessage, KafkaPortal, PublishedRecord, collect
from tests.support.processes import ServiceProcess

LONG_NAME = "é" * 100
PORTAL = "portail-bretagne"


def a_group(session: SessionState, prefix: str) -> dict[str, object]:
    agents = [
        an_agent(f"{prefix}-{number:03d}", given_name=LONG_NAME, family_name=LONG_NAME)
        for number in range(500)
    ]
    return {
        "session_id": str(session.session_id),
        "agents": [agent.model_dump(mode="json") for agent in agents],
        "requested_by": {"name": LONG_NAME, "email": "rh@ville-exemple.fr"},
        "all_or_nothing": False,
    }


def alone(session: SessionState, prefix: str, number: int) -> dict[str, object]:
    return enrolment_request(session.session_id, an_agent(f"{prefix}-alone-{number:02d}"))


def record(session: SessionState, event_type: str, data: dict[str, object]) -> KafkaMessage:
    return str(session.session_id), headers(event_type), as_json(data)


async def send_by_kafka(kafka: KafkaBroker, session: SessionState, prefix: str) -> None:
    singles = [
        record(session, EnrolmentRequested.TYPE, alone(session, prefix, number)) for number in range(20)
    ]
    group = record(session, GroupEnrolmentRequested.TYPE, a_group(session, prefix))
    async with KafkaPortal(kafka.bootstrap_servers) as portal:
        await portal.send("portal.enrolments", [*singles[:10], group, *singles[10:]])


async def send_by_http(service: ServiceProcess, session: SessionState, prefix: str) -> None:
    """With every accent escaped: six bytes for each."""

    async def post(client: httpx.AsyncClient, event_type: str, data: dict[str, object]) -> None:
        attributes = {
            "content-type": "application/json",
            "authorization": f"Bearer {PORTAL}",
            "ce-specversion": "1.0",
            "ce-id": str(uuid.uuid4()),
            "ce-source": f"/portals/{PORTAL}",
            "ce-type": event_type,
        }
        answer = await client.post("/api/v1/events", content=json.dumps(data), headers=attributes)
        assert answer.status_code == 202, answer.text

    async with httpx.AsyncClient(base_url=service.url, timeout=30) as client:
        await asyncio.gather(
            post(client, GroupEnrolmentRequested.TYPE, a_group(session, prefix)),
            *(post(client, EnrolmentRequested.TYPE, alone(session, prefix, number)) for number in range(20)),
        )


async def test_a_group_of_500_with_long_names_goes_through_and_single_requests_beside_it_too(
    kafka: KafkaBroker, enrolment_url: str, run_service: RunService, tmp_path: Path
) -> None:
    session = open_now(capacity=2_000)
    service = run_service(
        "enrolment",
        enrolment_url,
        kafka.bootstrap_servers,
        PORTALS_FILE=str(a_portals_file(tmp_path)),
        INTAKE_SIGNING_KEY=INTAKE_KEY,
    )
    state = session.model_dump_json().encode()
    scheduled = headers(SessionScheduled.TYPE, source="/services/catalogue")
    async with KafkaPortal(kafka.bootstrap_servers) as portal:
        await portal.send("catalogue.sessions", [(str(session.session_id), scheduled, state)])
    by_kafka, by_http = f"K{session.session_id.hex[:8]}", f"H{session.session_id.hex[:8]}"

    await asyncio.gather(send_by_kafka(kafka, session, by_kafka), send_by_http(service, session, by_http))

    def ours(found: list[PublishedRecord]) -> list[PublishedRecord]:
        return [decision for decision in found if decision.data.get("session_id") == str(session.session_id)]

    decided = ours(
        await collect(
            kafka.bootstrap_servers,
            "enrolment.decisions",
            lambda found: len(ours(found)) >= 1_040,
            seconds=60,
        )
    )
    expected = {
        f"{prefix}-{name}"
        for prefix in (by_kafka, by_http)
        for name in [*(f"{number:03d}" for number in range(500)), *(f"alone-{n:02d}" for n in range(20))]
    }
    assert {decision.key for decision in decided} == expected
    assert Counter(decision.type for decision in decided) == {"AgentEnrolled": 1_040}
    assert len({decision.id for decision in decided}) == 1_040
    requests = await collect(
        kafka.bootstrap_servers,
        "portal.enrolments",
        lambda found: sum(request.key == str(session.session_id) for request in found) >= 42,
    )
    ids = [request.id for request in requests if request.key == str(session.session_id)]
    assert len(ids) == len(set(ids)) == 42, "nothing is published twice"
