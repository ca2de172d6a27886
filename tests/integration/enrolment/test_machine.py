"""The machine of the rules, played on a real Postgres."""

import os
import uuid
from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tests.support.databases import MigratedDatabases
from tests.support.enrolment_machine import EnrolmentMachine, GroupsMachine
from tests.support.enrolment_model import POLICY
from tests.support.enrolment_on_postgres import KeptDatabase, OnPostgres, a_clock_to_set
from tests.support.moving_machine import MovingMachine

SETTINGS = settings(
    max_examples=int(os.environ.get("STORE_SEQUENCES", "3")),
    stateful_step_count=20,
    # Ids are new each time, so a failure is not made smaller: what happened is in its notes.
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)

NewWorld = Callable[[Sequence[uuid.UUID]], OnPostgres]
"""Make a world of these sessions on the worker's database."""


@pytest.fixture
def new_world(
    databases: MigratedDatabases, kept_process: KeptDatabase, monkeypatch: pytest.MonkeyPatch
) -> Iterator[NewWorld]:
    with a_clock_to_set(monkeypatch) as moment:

        def new(session_ids: Sequence[uuid.UUID]) -> OnPostgres:
            databases.empty("enrolment")  # the clock would go on for the sessions of the last sequence
            world = OnPostgres(session_ids[0], kept_process.runner, kept_process.database, moment, POLICY)
            world.session_ids = list(session_ids)
            return world

        yield new


@pytest.mark.parametrize("machine", [EnrolmentMachine, GroupsMachine, MovingMachine])
def test_the_store_keeps_what_the_rules_promise(
    machine: type[RuleBasedStateMachine], new_world: NewWorld
) -> None:
    class OnTheStore(machine):  # type: ignore[valid-type,misc]  # a machine that is known when the test runs
        def new_world(self, session_ids: Sequence[uuid.UUID] = ()) -> OnPostgres:
            return new_world(session_ids or [self.session_id])

    run_state_machine_as_test(OnTheStore, settings=SETTINGS)
