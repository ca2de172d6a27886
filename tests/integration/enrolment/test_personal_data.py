"""How long seats are kept; the rest is in `tests/integration/services`."""

from datetime import timedelta

import pytest

from services.enrolment.personal_data import REGISTER
from services.enrolment.settings import Settings
from shared import clock
from shared.database import Database
from shared.process.jobs import end_old_rows
from tests.integration.enrolment.conftest import Front, SelectRows
from tests.support.builders import an_agent, open_now

SETTINGS = Settings(
    enrolment_database_url="postgresql://user@localhost/name", kafka_bootstrap_servers="localhost:1"
)


async def test_a_seat_is_kept_for_years_and_what_ended_without_one_for_a_year(
    database: Database, front: Front, rows: SelectRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, seated, gone = open_now(), an_agent("A-1"), an_agent("A-2")
    await front.publish(session)
    await front.enrol(session, seated, gone)
    await front.withdraw(session, gone)
    start = clock.now()
    for days, left in ((360, ["enrolled", "withdrawn"]), (370, ["enrolled"])):
        monkeypatch.setattr("shared.clock.now", lambda days=days: start + timedelta(days=days))
        await end_old_rows(database, REGISTER, SETTINGS)
        assert [row.state for row in await rows("SELECT state FROM enrolment ORDER BY state")] == left
        assert len(await rows("SELECT 1 FROM enrolment_change")) == len(left) - 1
