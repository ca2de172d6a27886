"""The tables of the version before, filled, are brought to this one; what waited in them is answered."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from alembic import command
from sqlalchemy import text

from services.enrolment import desk, tables
from services.enrolment.app import REVISIONS
from services.enrolment.rules import Policy
from shared import clock, migrations
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Agent
from tests.support.builders import an_agent, open_now

SESSION = text(
    "INSERT INTO session (session_id, version, state, enrolled, offered, waiting, seat_ceiling, next_ticket, "
    "occupancy_version) VALUES (:id, 1, CAST(:state AS jsonb), 2, 0, 0, 4, 3, 1)"
)
ENROLMENT = text(
    "INSERT INTO enrolment (enrolment_id, version, session_id, agent_id, agent, state, ticket, request_id, "
    "received_at, updated_at) VALUES (:id, 1, :session, :agent_id, CAST(:agent AS jsonb), 'enrolled', "
    ":ticket, :request, now(), now())"
)
WAITING = text(
    "INSERT INTO request (request_id, session_id, agent_id, received_at, asked) "
    "VALUES (:id, :session, :agent_id, now(), CAST(:asked AS jsonb))"
)


def test_what_was_stored_before_the_rules_counts_and_what_waited_is_answered(
    enrolment_url: str, open_database: Callable[[str], Database]
) -> None:
    config = migrations._config(enrolment_url, REVISIONS, tables.metadata)
    command.downgrade(config, "0002")
    release_at = clock.now() + timedelta(days=3)
    session = open_now(
        capacity=4, reserved_seats=[{"delegation": "bretagne", "seats": 3, "release_at": release_at}]
    )
    parisian = an_agent(
        employer={"siret": "21750001600019", "name": "Ville de Paris", "delegation": "ile-de-france"}
    )
    breton, unknown = an_agent(), an_agent()
    database = open_database(enrolment_url)

    async def played() -> tuple[dict[str, Any], Any]:
        async with database.transaction() as tx:
            await desk.answer_waiting(tx, Policy(), clock.now())
        async with database.quiet_transaction() as tx:
            outcomes = await tx.execute(text("SELECT agent_id, outcome, reason FROM request"))
            row = (await tx.execute(text("SELECT * FROM session"))).one()
            return {one.agent_id: (one.outcome, one.reason) for one in outcomes}, row

    asyncio.run(fill(database, session, [parisian, breton], unknown))
    migrations.upgrade(enrolment_url, REVISIONS, tables.metadata)
    outcomes, row = asyncio.run(played())

    # One seat was taken by each delegation before, so two of Bretagne's are left, and none for the others.
    assert outcomes == {
        parisian.agent_id: ("waitlisted", None),
        breton.agent_id: ("enrolled", None),
        unknown.agent_id: ("refused", "not_enrolled"),
    }
    assert (row.enrolled, row.waiting, row.next_release_at) == (3, 1, release_at)
    assert row.taken_by["delegation"] == {"bretagne": 2, "ile-de-france": 1}
    assert row.enrolment_closes_at == session.enrolment_closes_at


async def fill(database: Database, session: SessionState, asking: list[Agent], withdrawing: Agent) -> None:
    """A seat for somebody of each delegation, and requests that wait for their session."""
    state = json.loads(session.model_dump_json())
    del state["quota_per_authority"]  # which that version did not know
    async with database.quiet_transaction() as tx:
        await tx.execute(SESSION, {"id": session.session_id, "state": json.dumps(state)})
        for ticket, like in enumerate(asking, start=1):
            agent = an_agent(employer=like.employer.model_dump())
            stored = {
                "id": uuid4(),
                "session": session.session_id,
                "agent_id": agent.agent_id,
                "ticket": ticket,
            }
            await tx.execute(ENROLMENT, stored | {"agent": agent.model_dump_json(), "request": uuid4()})
        for agent in asking:
            about = {"agent": agent.model_dump(mode="json"), "approved": False}
            await tx.execute(WAITING, waiting(session, agent, about))
        about = {"agent_id": withdrawing.agent_id, "reason": None}
        await tx.execute(WAITING, waiting(session, withdrawing, about))
    await database.close()


def waiting(session: SessionState, agent: Agent, about: dict[str, Any]) -> dict[str, Any]:
    request_id: UUID = uuid4()
    common = {
        "request_id": str(request_id),
        "received_at": clock.now().isoformat(),
        "session_id": str(session.session_id),
        "traceparent": None,
    }
    return {
        "id": request_id,
        "session": session.session_id,
        "agent_id": agent.agent_id,
        "asked": json.dumps(common | about),
    }
