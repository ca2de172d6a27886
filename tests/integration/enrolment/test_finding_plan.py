"""Plans of looks for persons. Their database is their own: what other tests leave changes a plan."""

from collections.abc import Callable

import pytest

from services.enrolment.store import people, roster_enrolments
from shared.database import Database
from tests.integration.enrolment.test_manage_finding import Filled, filled
from tests.support.statements import execute, plan_of

__all__ = ["filled"]


@pytest.fixture
def enrolment_url(new_database: Callable[[str], str]) -> str:
    return new_database("enrolment")


COPIES = (  # without them, the index of the whole session would look as good as that of its names
    "INSERT INTO enrolment SELECT (jsonb_populate_record(enrolment, jsonb_build_object("
    "'enrolment_id', gen_random_uuid(), 'agent_id', copy, "
    "'agent', agent || jsonb_build_object('family_name', copy, 'email', copy)))).* "
    "FROM enrolment, generate_series(1, 200) AS number, concat(agent_id, '-', number) AS copy"
)


@pytest.mark.usefixtures("filled")
async def test_a_search_goes_by_the_indexes_of_rosters_and_reads_no_table(database: Database) -> None:
    listed = {"states": ["enrolled"], "beginnings": ["durand"], "words": ["% durand%"]}
    limits = {"most": 51, "looked_at": 1000}
    meant = {"organiser": "bretagne", "address": "durand", "agent": "durand"}
    await execute(database, COPIES)
    await execute(database, "ANALYZE enrolment")
    plan = await plan_of(database, people.FIND, listed | limits | meant)
    for index in ("ix_enrolment_name", "ix_enrolment_address", "ix_enrolment_agent_session"):
        assert plan.count(index) == 1
    assert "Seq Scan on enrolment" not in plan


async def test_the_enrolments_of_a_batch_are_looked_up_agent_by_agent(
    database: Database, filled: Filled
) -> None:
    sessions, agents = filled
    await execute(database, COPIES)
    await execute(database, "ANALYZE enrolment")
    pairs = {
        "sessions": [sessions[0].session_id] * 500,
        "issuers": [agents[0].issuer] * 500,
        "agents": [f"{agents[0].agent_id}-{number}" for number in range(500)],
    }
    plan = await plan_of(
        database, roster_enrolments.LATEST_OF_AGENTS, pairs | {"live": ["enrolled"]}, without=()
    )
    assert "Index Scan using ix_enrolment_agent_session" in plan
