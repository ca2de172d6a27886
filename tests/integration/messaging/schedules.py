"""Relay, outbox, consumer and inbox in orders that seeds draw: no order and no fault breaks a promise.

``SCHEDULES`` plays more of them, ``SEED`` begins elsewhere.
"""

import os
from collections.abc import AsyncIterator

import pytest

from shared.database import Transaction
from shared.events.cloudevents import Received
from shared.events.vocabulary import Event
from shared.messaging import inbox
from tests.proof.schedules import FoundSchedule, ScheduledDatabase, play, shrunk
from tests.support.pools import Pools

SCHEDULES = int(os.environ.get("SCHEDULES", "60"))
SEED = int(os.environ.get("SEED", "0"))


@pytest.fixture
async def scheduled(enrolment_url: str, pools: Pools) -> AsyncIterator[ScheduledDatabase]:
    with pools.used():
        database = ScheduledDatabase(enrolment_url)
    yield database
    await database.close()


async def test_no_order_of_tasks_and_no_fault_breaks_a_promise(scheduled: ScheduledDatabase) -> None:
    for seed in range(SEED, SEED + SCHEDULES):
        found = await play(scheduled, seed)
        assert found is None, str(await shrunk(scheduled, found))


async def test_a_schedule_that_breaks_a_promise_is_played_again_from_its_seed_and_shortened(
    scheduled: ScheduledDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def without_inbox(_tx: Transaction, received: list[Received[Event]]) -> list[Received[Event]]:
        return received

    monkeypatch.setattr(inbox, "first_seen", without_inbox)
    found = await first_that_breaks(scheduled)
    again = await play(scheduled, found.seed)
    assert again == found
    shorter = await shrunk(scheduled, found)
    assert len(shorter.trace) < len(found.trace)
    assert await play(scheduled, found.seed, shorter.choices) == shorter


async def first_that_breaks(scheduled: ScheduledDatabase) -> FoundSchedule:
    for seed in range(1_000):
        if (found := await play(scheduled, seed)) is not None:
            return found
    raise AssertionError("no schedule breaks a promise")
