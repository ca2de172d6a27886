"""A database that was restored from a backup: which decisions are lost, and that the next ones count."""

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import text

from services.enrolment.rules.states import State
from services.enrolment.service import restores
from services.enrolment.service.restores import LostDecision, PublishedDecision
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.enrolment import AgentEnrolled, EnrolmentWithdrawn
from shared.events.index import BY_TYPE
from shared.events.vocabulary import Agent
from tests.integration.enrolment.conftest import Front
from tests.support.builders import an_agent, open_now


async def published(database: Database) -> list[PublishedDecision]:
    """The newest decision of each enrolment that is in the outbox."""
    query = "SELECT type, data FROM outbox WHERE topic = 'enrolment.decisions' ORDER BY id"
    async with database.quiet_transaction() as tx:
        rows = (await tx.execute(text(query))).all()
    events: list[Any] = [BY_TYPE[row.type].model_validate_json(row.data) for row in rows]
    decisions = [PublishedDecision.of(event) for event in events]
    return list({decision.enrolment_id: decision for decision in decisions}.values())


async def reconcile(database: Database, decisions: Sequence[PublishedDecision]) -> list[LostDecision]:
    async with database.transaction() as tx:
        return await restores.reconcile(tx, decisions)


async def change(database: Database, statement: str, agent: Agent) -> None:
    async with database.transaction() as tx:
        await tx.execute(text(f"{statement} WHERE agent_id = :agent"), {"agent": agent.agent_id})


@pytest.fixture
def session() -> SessionState:
    return open_now()


async def test_it_is_said_what_is_older_than_what_was_published_missing_or_decided_otherwise(
    front: Front, database: Database, session: SessionState
) -> None:
    older, missing, other, known = agents = [an_agent() for _ in range(4)]
    await front.publish(session)
    await front.enrol(session, *agents)
    await front.withdraw(session, older)
    decisions = await published(database)
    assert await reconcile(database, decisions) == [], "nothing is lost yet"
    await change(database, "UPDATE enrolment SET state = 'enrolled', version = 1", older)
    await change(database, "DELETE FROM enrolment", missing)
    await change(database, "UPDATE enrolment SET state = 'waitlisted', ticket = 1", other)
    lost = await reconcile(database, decisions)
    assert {(decision.published.kind, decision.stands) for decision in lost} == {
        (EnrolmentWithdrawn, State.ENROLLED),
        (AgentEnrolled, None),
        (AgentEnrolled, State.WAITLISTED),
    }
    assert (await front.of(session, known)).version == 1, "it is as it was"


async def test_what_is_decided_after_it_is_newer_than_what_was_published(
    front: Front, database: Database, session: SessionState
) -> None:
    agent = an_agent()
    await front.publish(session)
    await front.enrol(session, agent)
    await front.withdraw(session, agent)
    decisions = await published(database)
    await change(database, "UPDATE enrolment SET state = 'enrolled', version = 1", agent)
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE session SET enrolled = 1"))
    await reconcile(database, decisions)
    await front.withdraw(session, agent)
    assert (await front.of(session, agent)).version == decisions[0].version + 1
    assert await reconcile(database, decisions) == []
