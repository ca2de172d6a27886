"""The plan of the search for a person. Its database is its own: what other tests leave changes the plan."""

from collections.abc import Callable

import pytest

from services.enrolment.store import people
from shared.database import Database
from tests.integration.enrolment.test_manage_finding import filled
from tests.support.statements import plan_of

__all__ = ["filled"]


@pytest.fixture
def enrolment_url(new_database: Callable[[str], str]) -> str:
    return new_database("enrolment")


@pytest.mark.usefixtures("filled")
async def test_a_search_goes_by_the_indexes_of_rosters_and_reads_no_table(database: Database) -> None:
    listed = {"states": ["enrolled"], "beginnings": ["durand"], "words": ["% durand%"]}
    limits = {"most": 51, "looked_at": 1000}
    meant = {"organiser": "bretagne", "address": "durand", "agent": "durand"}
    plan = await plan_of(database, people.FIND, listed | limits | meant)
    assert "ix_enrolment_name" in plan
    assert "ix_enrolment_address" in plan
    assert "Seq Scan on enrolment" not in plan
