"""Kafka goes away while an agent is forgotten: nothing is lost, and all is done once it is back."""

from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import text

from local.kafka.broker import KafkaBroker
from services.enrolment.rules.policy import Policy
from services.enrolment.service import sessions
from services.enrolment.tables import metadata
from shared import clock
from shared.database import Database
from shared.events.portal import AgentErasureRequested, EnrolmentRequested
from tests.conftest import RunService
from tests.support.builders import an_agent, as_json, enrolment_request, headers, open_now
from tests.support.kafka import KafkaPortal, collect
from tests.support.searching import MARK, columns_with


async def test_an_erasure_during_which_kafka_goes_away_is_done_when_it_is_back(
    restarted_kafka: KafkaBroker,
    database: Database,
    enrolment_url: str,
    run_service: RunService,
    eventually: Callable[..., Awaitable[None]],
) -> None:
    session, agent = open_now(), an_agent(MARK, issuer="essai", given_name=MARK)
    async with database.transaction() as tx:
        await sessions.apply_states(tx, {session.session_id: session}, Policy(), clock.now())

    async def value(statement: str) -> Any:
        async with database.quiet_transaction() as tx:
            return await tx.scalar(text(statement))

    def holds(statement: str) -> Callable[[], Awaitable[bool]]:
        async def condition() -> bool:
            return bool(await value(statement))

        return condition

    run_service("enrolment", enrolment_url, restarted_kafka.bootstrap_servers)
    request = as_json(enrolment_request(session.session_id, agent))
    erasure = as_json({"agent_id": MARK, "requested_at": clock.now().isoformat()})
    async with KafkaPortal(restarted_kafka.bootstrap_servers) as portal:
        record = str(session.session_id), headers(EnrolmentRequested.TYPE), request
        await portal.send("portal.enrolments", [record])
        await eventually(holds("SELECT state = 'enrolled' FROM enrolment"), "the seat is taken")
        await portal.send("portal.agents", [(MARK, headers(AgentErasureRequested.TYPE), erasure)])
    await eventually(holds("SELECT state = 'withdrawn' FROM enrolment"), "the seat is given up")
    restarted_kafka.kill()
    assert await value("SELECT done_at FROM erasure") is None, "what came before is not known to be read"

    restarted_kafka.restart()

    await eventually(holds("SELECT done_at IS NOT NULL FROM erasure"), "the agent is forgotten")
    assert await columns_with(database, metadata) == set()
    decisions = await collect(
        restarted_kafka.bootstrap_servers,
        "enrolment.decisions",
        lambda found: any(decision.type == "EnrolmentWithdrawn" for decision in found),
    )
    assert [decision.type for decision in decisions] == ["AgentEnrolled", "EnrolmentWithdrawn"]
    [answer] = await collect(restarted_kafka.bootstrap_servers, "agents.erased", bool)
    assert (answer.type, answer.data["service"]) == ("AgentErased", "enrolment")
