"""Kafka goes away while an agent is forgotten: nothing is lost, and all is done once it is back."""

from collections.abc import Awaitable, Callable

from local.kafka.broker import KafkaBroker
from services.enrolment.tables import metadata
from shared import clock
from shared.database import Database
from shared.events.portal import AgentErasureRequested
from tests.conftest import Eventually, RunService
from tests.integration.enrolment.conftest import Front, SelectRows
from tests.integration.enrolment.records import request_record
from tests.integration.enrolment.seating import session_with
from tests.support.builders import an_agent, as_json, headers
from tests.support.kafka import KafkaPortal, collect
from tests.support.searching import MARK, columns_with


async def test_an_erasure_during_which_kafka_goes_away_is_done_when_it_is_back(
    restarted_kafka: KafkaBroker,
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

    session, agent = await session_with(front), an_agent(MARK, issuer="essai", given_name=MARK)
    run_service("enrolment", enrolment_url, restarted_kafka.bootstrap_servers)
    erasure = as_json({"agent_id": MARK, "requested_at": clock.now().isoformat()})
    async with KafkaPortal(restarted_kafka.bootstrap_servers) as portal:
        await portal.send("portal.enrolments", [request_record(session, agent)])
        await eventually(found("SELECT 1 FROM enrolment WHERE state = 'enrolled'"), "the seat is taken")
        await portal.send("portal.agents", [(MARK, headers(AgentErasureRequested.TYPE), erasure)])
    await eventually(found("SELECT 1 FROM enrolment WHERE state = 'withdrawn'"), "the seat is given up")
    restarted_kafka.kill()
    assert await rows("SELECT done_at FROM erasure") == [(None,)], "what came before is not known to be read"

    restarted_kafka.restart()

    await eventually(found("SELECT 1 FROM erasure WHERE done_at IS NOT NULL"), "the agent is forgotten")
    assert await columns_with(database, metadata) == set()
    [erased] = await collect(restarted_kafka.bootstrap_servers, "agents.erased", bool)
    assert (erased.type, erased.data["service"]) == ("AgentErased", "enrolment")
    decisions = await collect(
        restarted_kafka.bootstrap_servers, "enrolment.decisions", lambda found: len(found) >= 2
    )
    assert [decision.type for decision in decisions] == ["AgentEnrolled", "EnrolmentWithdrawn"]
