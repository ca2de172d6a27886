"""A database that was restored from a backup: which decisions are lost, and that the next ones count."""

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import text

from services.enrolment.rules.states import State
from services.enrolment.service import restores
from services.enrolment.service.restores import LostDecision, PublishedDecision
from shared.database import Database
from shared.events import EVENTS
from shared.events.catalogue import SessionState
from shared.events.enrolment import DECISIONS, AgentEnrolled, EnrolmentWithdrawn
from shared.events.vocabulary import Agent
from tests.integration.enrolment.conftest import Front
from tests.support.builders import an_agent, open_now


async def published(database: Database) -> list[PublishedDecision]:
    """The newest decision of each enrolment that is in the outbox."""
    types: dict[str, Any] = {event.TYPE: event for event in EVENTS if issubclass(event, DECISIONS)}
    query = "SELECT type, data FROM outbox WHERE topic = 'enrolment.decisions' ORDER BY id"
    async with database.quiet_transaction() as tx:
        rows = (await tx.execute(text(query))).all()
    newest = {
        decision.enrolment_id: decision
        for row in rows
        for decision in [PublishedDecision.of(types[row.type].model_validate_json(row.data))]
    }
    return list(newest.values())


async def reconcile(database: Database, decisions: Sequence[PublishedDecision]) -> list[LostDecision]:
    async with database.transaction() as tx:
        return await restores.reconcile(tx, decisions)


async def change(database: Database, statement: str, agent: Agent) -> None:
    async with database.transaction() as tx:
        await tx.execute(text(f"{statement} WHERE agent_id = :agent"), {"agent": agent.agent_id})


@pytest.fixture
def session() -> SessionState:
    return open_now()


async def test_where_nothing_is_lost_nothing_is_said_and_nothing_changes(
    front: Front, database: Database, session: SessionState
) -> None:
    staying, leaving = an_agent(), an_agent()
    await front.publish(session)
    await front.enrol(session, staying, leaving)
    await front.withdraw(session, leaving)
    assert await reconcile(database, await published(database)) == []
    assert [(await front.of(session, agent)).version for agent in (staying, leaving)] == [1, 2]


async def test_it_is_said_what_is_older_than_what_was_published_missing_or_decided_otherwise(
    front: Front, database: Database, session: SessionState
) -> None:
    older, missing, other, known = agents = [an_agent() for _ in range(4)]
    await front.publish(session)
    await front.enrol(session, *agents)
    await front.withdraw(session, older)
    decisions = await published(database)
    await change(database, "UPDATE enrolment SET state = 'enrolled', version = 1", older)
    await change(database, "DELETE FROM enrolment", missing)
    await change(database, "UPDATE enrolment SET state = 'waitlisted', ticket = 1", other)
    lost = await reconcile(database, decisions)
    assert {(decision.published.kind, decision.stands) for decision in lost} == {
        (EnrolmentWithdrawn, State.ENROLLED),
        (AgentEnrolled, None),
        (AgentEnrolled, State.WAITLISTED),
    }
    assert (await front.of(session, known)).enrolment_id not in {
        decision.published.enrolment_id for decision in lost
    }


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
