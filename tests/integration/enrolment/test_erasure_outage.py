"""Kafka goes away while an agent is forgotten: nothing is lost, and all is done once it is back."""

from collections.abc import Awaitable, Callable, Sequence
from uuid import uuid4

from local.kafka.broker import KafkaBroker
from services.enrolment.tables import metadata
from shared import clock
from shared.database import Database
from shared.events.portal import AgentErasureRequested
from tests.conftest import Eventually, RunService
from tests.integration.enrolment.conftest import Front, SelectRows
from tests.integration.enrolment.records import request_record
from tests.support.builders import an_agent, as_json, headers
from tests.support.kafka import KafkaPortal, PublishedRecord, collect
from tests.support.searching import MARK, columns_with


async def test_an_erasure_during_which_kafka_goes_away_is_done_when_it_is_back(
    stoppable_kafka: KafkaBroker,
    database: Database,
    enrolment_url: str,
    run_service: RunService,
    eventually: Eventually,
    *,
    front: Front,
    rows: SelectRows,
) -> None:
    def found(query: str) -> Callable[[], Awaitable[bool]]:
        async def condition() -> bool:
            return bool(await rows(query))

        return condition

    bootstrap = stoppable_kafka.bootstrap_servers
    session, agent = await front.open(), an_agent(MARK, issuer="essai", given_name=MARK)
    run_service("enrolment", enrolment_url, bootstrap)
    erasure, request_id = as_json({"agent_id": MARK, "requested_at": clock.now().isoformat()}), uuid4()
    async with KafkaPortal(bootstrap) as portal:
        await portal.send("portal.enrolments", [request_record(session, agent)])
        await eventually(found("SELECT 1 FROM enrolment WHERE state = 'enrolled'"), "the seat is taken")
        head = headers(AgentErasureRequested.TYPE, event_id=request_id)
        await portal.send("portal.agents", [(MARK, head, erasure)])
    await eventually(found("SELECT 1 FROM enrolment WHERE state = 'withdrawn'"), "the seat is given up")
    stoppable_kafka.stop()
    assert await rows("SELECT done_at FROM erasure") == [(None,)], "what came before is not known to be read"

    stoppable_kafka.restart()

    await eventually(found("SELECT 1 FROM erasure WHERE done_at IS NOT NULL"), "the agent is forgotten")
    assert await columns_with(database, metadata) == set()

    def of_the_session(found: Sequence[PublishedRecord]) -> list[str]:
        return [record.type for record in found if record.data.get("session_id") == str(session.session_id)]

    def is_published(found: Sequence[PublishedRecord]) -> bool:
        answers = [(record.data["service"], record.data["request_id"]) for record in found]
        return ("enrolment", str(request_id)) in answers

    await collect(bootstrap, "agents.erased", is_published)
    decisions = await collect(
        bootstrap,
        "enrolment.decisions",
        lambda found: len(of_the_session(found)) >= 2,
    )
    assert of_the_session(decisions) == ["AgentEnrolled", "EnrolmentWithdrawn"]
