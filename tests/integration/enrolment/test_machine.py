"""The machine of the rules, played on a real Postgres."""

import asyncio
import os
import uuid
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from shared.database import Database
from tests.support.enrolment_machine import EnrolmentMachine, GroupsMachine, World
from tests.support.enrolment_model import POLICY
from tests.support.enrolment_on_postgres import OnPostgres, a_clock_to_set
from tests.support.moving_machine import MovingMachine, SeveralSessions

SETTINGS = settings(
    max_examples=int(os.environ.get("STORE_SEQUENCES", "12")),
    stateful_step_count=20,
    # Ids are new each time, so a failure is not made smaller: what happened is in its notes.
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


def test_the_store_keeps_what_the_rules_promise(
    enrolment_url: str, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(enrolment_url, application_name="machine")
    with a_clock_to_set(monkeypatch) as moment:

        class StoreMachine(EnrolmentMachine):
            def new_world(self) -> World:
                return OnPostgres(self.session_id, runner, database, moment, POLICY)

        run_state_machine_as_test(StoreMachine, settings=SETTINGS)
    runner.run(database.close())


def test_the_store_keeps_what_the_rules_promise_groups_that_wait(
    enrolment_url: str, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(enrolment_url, application_name="machine")
    with a_clock_to_set(monkeypatch) as moment:

        class StoreOfGroups(GroupsMachine):
            def new_world(self) -> World:
                return OnPostgres(self.session_id, runner, database, moment, POLICY)

        run_state_machine_as_test(StoreOfGroups, settings=SETTINGS)
    runner.run(database.close())


def test_the_store_keeps_what_the_rules_promise_who_moves(
    enrolment_url: str, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(enrolment_url, application_name="machine")
    with a_clock_to_set(monkeypatch) as moment:

        class StoreOfMoves(MovingMachine):
            def new_world(self, session_ids: Sequence[uuid.UUID]) -> SeveralSessions:
                world = OnPostgres(session_ids[0], runner, database, moment, POLICY)
                world.session_ids = list(session_ids)
                return world

        run_state_machine_as_test(StoreOfMoves, settings=SETTINGS)
    runner.run(database.close())
