"""The machine of the rules, played on a real Postgres."""

import asyncio
import os
import uuid
from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from shared.database import Database
from tests.support.attendance_machine import AttendanceMachine, RecordingWorld
from tests.support.enrolment_machine import EnrolmentMachine, GroupsMachine, World
from tests.support.enrolment_model import POLICY
from tests.support.enrolment_on_postgres import OnPostgres, a_clock_to_set
from tests.support.moving_machine import MovingMachine, SeveralSessions
from tests.support.nominations_machine import NominationsMachine

SETTINGS = settings(
    max_examples=int(os.environ.get("STORE_SEQUENCES", "12")),
    stateful_step_count=20,
    # Ids are new each time, so a failure is not made smaller: what happened is in its notes.
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


NewWorld = Callable[..., OnPostgres]
"""Make a world on the worker's database, of these sessions."""


@pytest.fixture
def new_world(enrolment_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[NewWorld]:
    with asyncio.Runner() as runner, a_clock_to_set(monkeypatch) as moment:
        database = Database(enrolment_url, application_name="machine")

        def new(*session_ids: uuid.UUID) -> OnPostgres:
            world = OnPostgres(session_ids[0], runner, database, moment, POLICY)
            world.session_ids = list(session_ids)
            return world

        yield new
        runner.run(database.close())


def test_the_store_keeps_what_the_rules_promise(new_world: NewWorld) -> None:
    class StoreMachine(EnrolmentMachine):
        def new_world(self) -> World:
            return new_world(self.session_id)

    run_state_machine_as_test(StoreMachine, settings=SETTINGS)


def test_the_store_keeps_what_the_rules_promise_groups_that_wait(new_world: NewWorld) -> None:
    class StoreOfGroups(GroupsMachine):
        def new_world(self) -> World:
            return new_world(self.session_id)

    run_state_machine_as_test(StoreOfGroups, settings=SETTINGS)


def test_the_store_keeps_what_the_rules_promise_who_is_nominated(new_world: NewWorld) -> None:
    class StoreOfNominations(NominationsMachine):
        def new_world(self) -> World:
            return new_world(self.session.session_id)

    run_state_machine_as_test(StoreOfNominations, settings=SETTINGS)


def test_the_store_keeps_what_the_rules_promise_who_attends(new_world: NewWorld) -> None:
    class StoreOfAttendance(AttendanceMachine):
        def new_world(self) -> RecordingWorld:
            return new_world(self.session.session_id)

    run_state_machine_as_test(StoreOfAttendance, settings=SETTINGS)


def test_the_store_keeps_what_the_rules_promise_who_moves(new_world: NewWorld) -> None:
    class StoreOfMovingAgents(MovingMachine):
        def new_world(self, session_ids: Sequence[uuid.UUID]) -> SeveralSessions:
            return new_world(*session_ids)

    run_state_machine_as_test(StoreOfMovingAgents, settings=SETTINGS)
