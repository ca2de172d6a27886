"""Events and letters in orders that seeds draw: no order and no fault breaks a promise.

``SCHEDULES`` plays more of them, ``SEED`` begins elsewhere.
"""

import logging
import os
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest
from sqlalchemy import text

from services.notifier.store import claims
from services.notifier.store.claims import Claim, Claimed
from shared.database import Transaction
from shared.events.cloudevents import Received
from shared.events.vocabulary import Event
from shared.messaging import inbox
from tests.proof import events_in_turn, schedules
from tests.proof.events_in_turn import EventWorld
from tests.proof.letters_in_turn import LetterWorld, queue_letters
from tests.proof.schedules import FoundSchedule, NewWorld, ScheduledDatabase, play, shrunk
from tests.support.pools import Pools

SCHEDULES = int(os.environ.get("SCHEDULES", "3"))
SEED = int(os.environ.get("SEED", "0"))

pytestmark = pytest.mark.timeout(120 + 10 * SCHEDULES)


@pytest.fixture(autouse=True)
def _without_log() -> Iterator[None]:
    """Thousands of faults would be logged."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
async def events(enrolment_url: str, pools: Pools) -> AsyncIterator[ScheduledDatabase]:
    with pools.used():
        database = ScheduledDatabase(enrolment_url)
    yield database
    await database.close()


@pytest.fixture
async def letters(notifier_url: str, pools: Pools) -> AsyncIterator[ScheduledDatabase]:
    with pools.used():
        await queue_letters(notifier_url)
        database = ScheduledDatabase(notifier_url)
    yield database
    await database.close()


async def test_no_order_of_tasks_and_no_fault_breaks_a_promise_about_events(
    events: ScheduledDatabase,
) -> None:
    await hold(EventWorld, events)


async def test_no_order_of_tasks_and_no_fault_breaks_a_promise_about_letters(
    letters: ScheduledDatabase,
) -> None:
    await hold(LetterWorld, letters)


async def test_a_schedule_that_breaks_a_promise_is_played_again_from_its_seed_and_shortened(
    events: ScheduledDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def without_inbox(_tx: Transaction, received: list[Received[Event]]) -> list[Received[Event]]:
        return received

    monkeypatch.setattr(inbox, "first_seen", without_inbox)
    monkeypatch.setattr(schedules, "SHRINKS", 4)
    found = await first_that_breaks(EventWorld, events)
    assert found.broken.startswith("effects"), found
    again = await play(EventWorld, events, found.seed)
    assert again == found
    shorter = await shrunk(EventWorld, events, found)
    assert len(shorter.trace) < len(found.trace)
    assert await play(EventWorld, events, found.seed, shorter.choices) == shorter


async def test_a_letter_whose_data_is_not_marked_is_taken_twice(
    letters: ScheduledDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def without_mark(_tx: object, _owner: object, mails: Sequence[Claimed], **_: Any) -> set[Claim]:
        return {mail.claim for mail in mails}

    monkeypatch.setattr(claims, "mark_data_started", without_mark)
    found = await first_that_breaks(LetterWorld, letters)
    assert re.fullmatch(r"the letter to A-\d was taken [2-9] times", found.broken), found


async def test_a_handler_that_always_fails_breaks_a_schedule_and_is_named(
    events: ScheduledDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_in_turn, "_EFFECT", text("INSERT INTO effect_in_turn (other) VALUES (1)"))
    found = await first_that_breaks(EventWorld, events)
    assert re.match(r"consumer \d fails: .*UndefinedColumn", found.broken), found


async def hold(new_world: NewWorld, database: ScheduledDatabase) -> None:
    for seed in range(SEED, SEED + SCHEDULES):
        found = await play(new_world, database, seed)
        assert found is None, str(await shrunk(new_world, database, found))


async def first_that_breaks(new_world: NewWorld, database: ScheduledDatabase) -> FoundSchedule:
    for seed in range(1_000):
        if (found := await play(new_world, database, seed)) is not None:
            return found
    raise AssertionError("no schedule breaks a promise")
