"""The inbox: an event that comes twice has its effect once."""

import asyncio
import random
import uuid
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text

from shared import clock
from shared.database import Database
from shared.events.cloudevents import Received, Record
from shared.events.portal import WithdrawalRequested
from shared.messaging import inbox
from shared.messaging.personal_data import INBOX
from shared.personal_data import end_rows
from tests.support.locks import locks_awaited


def received(
    event_id: uuid.UUID | None = None, offset: int = 0, source: str = "/portals/test"
) -> Received[Any]:
    event = WithdrawalRequested(session_id=uuid.uuid4(), agent_id="IEL-1")
    record = Record("portal.enrolments", 0, offset, None, b"", (), datetime.now(UTC))
    return Received(event, event_id or uuid.uuid4(), source, record)


async def take(database: Database, batch: Sequence[Received[Any]]) -> list[Received[Any]]:
    async with database.transaction() as tx:
        return await inbox.first_seen(tx, batch)


async def test_an_event_is_seen_once_at_its_first_place(database: Database) -> None:
    first = received(offset=0)
    batch = [first, received(offset=1), received(first.id, offset=2), received(offset=3)]

    assert [event.record.offset for event in await take(database, batch)] == [0, 1, 3]
    assert await take(database, [batch[1], third := received()]) == [third]
    assert await take(database, []) == []


async def test_a_batch_keeps_its_order(database: Database) -> None:
    batch = [received(offset=offset) for offset in range(100)]
    known = random.sample(batch, 40)
    await take(database, known)

    fresh = await take(database, batch)

    assert fresh == [event for event in batch if event not in known]


async def test_an_id_that_two_sources_give_is_two_events(database: Database) -> None:
    batch = [received(), received()]
    others = [received(event.id, source="/portals/other") for event in batch]

    assert await take(database, [batch[0], others[0]]) == [batch[0], others[0]]
    assert await take(database, batch) == [batch[1]]
    assert await take(database, [*batch, *others]) == [others[1]]
    unseen = received(batch[0].id, source="/portals/third")
    async with database.quiet_transaction() as tx:
        assert await inbox.seen(tx, [batch[0].identity, unseen.identity]) == {batch[0].identity}


async def test_what_is_rolled_back_was_never_seen(database: Database) -> None:
    batch = [received()]
    with suppress(ZeroDivisionError):
        async with database.transaction() as tx:
            assert await inbox.first_seen(tx, batch) == batch
            raise ZeroDivisionError

    assert await take(database, batch) == batch


@pytest.mark.parametrize("first_fails", [False, True])
async def test_of_two_at_once_the_second_waits_and_gets_what_the_first_did_not_take(
    database: Database, first_fails: bool
) -> None:
    batch = [received(), received()]
    with suppress(ZeroDivisionError):
        async with database.transaction() as tx:
            assert await inbox.first_seen(tx, batch) == batch
            second = asyncio.create_task(take(database, [*batch, other := received()]))
            await locks_awaited(database)  # the second waits for the first
            assert not second.done()
            if first_fails:
                raise ZeroDivisionError

    assert await second == ([*batch, other] if first_fails else [other])


async def test_two_with_the_same_events_in_another_order_wait_in_one_order_and_never_in_a_circle(
    database: Database,
) -> None:
    low, high = (received(uuid.UUID(int=number)) for number in (1, 2))
    async with database.transaction() as tx:
        assert await inbox.first_seen(tx, [low]) == [low]
        other = asyncio.create_task(take(database, [high, low]))
        await locks_awaited(database)  # the other waits for the lower id
        assert await inbox.first_seen(tx, [high]) == [high], "the other has it already"

    assert await other == []


async def test_an_event_is_remembered_for_ninety_days(database: Database) -> None:
    old, young = received(), received()
    await take(database, [old, young])
    async with database.transaction() as tx:
        for event, days in ((old, 91), (young, 89)):
            await tx.execute(
                text("UPDATE inbox SET seen_at = now() - make_interval(days => :days) WHERE event_id = :id"),
                {"days": days, "id": event.id},
            )
        assert await end_rows(tx, INBOX, inbox.KEPT.days, clock.now()) == 1

    assert await take(database, [old, young]) == [old]
