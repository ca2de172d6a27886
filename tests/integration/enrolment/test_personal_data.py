"""How long seats are kept; the rest is in `tests/integration/services`."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from services.enrolment.personal_data import REGISTER
from services.enrolment.settings import Settings
from shared import clock
from shared.database import Database
from shared.process.jobs import end_old_rows
from tests.integration.enrolment.conftest import Front
from tests.support.builders import an_agent, open_now

SETTINGS = Settings(
    enrolment_database_url="postgresql://user@localhost/name", kafka_bootstrap_servers="localhost:1"
)


@pytest.mark.parametrize(("days", "left"), [(360, ["enrolled", "withdrawn"]), (370, ["enrolled"])])
async def test_a_seat_is_kept_for_years_and_what_ended_without_one_for_a_year(
    database: Database, front: Front, monkeypatch: pytest.MonkeyPatch, days: int, left: list[str]
) -> None:
    session, seated, gone = open_now(), an_agent("A-1"), an_agent("A-2")
    await front.publish(session)
    await front.enrol(session, seated, gone)
    await front.withdraw(session, gone)
    later = clock.now() + timedelta(days=days)
    monkeypatch.setattr("shared.clock.now", lambda: later)
    await end_old_rows(database, REGISTER, SETTINGS)
    async with database.quiet_transaction() as tx:
        states = await tx.scalars(text("SELECT state FROM enrolment ORDER BY state"))
        changes = await tx.scalars(text("SELECT count(*) FROM enrolment_change"))
        assert (list(states), changes.one()) == (left, len(left) - 1)
