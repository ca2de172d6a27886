"""Real processes killed and doubled at every step: nothing is lost, nothing is sent twice."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text

from services.notifier import jobs
from services.notifier.service.fan_outs import next_slice
from shared import clock
from tests.conftest import Eventually
from tests.integration.notifier.conftest import Notifier, queue_many
from tests.integration.notifier.events import changed, in_days
from tests.integration.notifier.workers import NAME, deliver, fan_out
from tests.support.processes import Forked
from tests.support.smtp import Hang

Start = Callable[..., Forked]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a process that does this work; whatever still runs at the end is killed."""
    started: list[Forked] = []

    def start(work: Callable[..., None], *arguments: object) -> Forked:
        started.append(Forked(work, *arguments))
        return started[-1]

    yield start
    for worker in started:
        worker.clear_away()


async def run_out_of_leases(notifier: Notifier) -> None:
    await notifier.change(
        "UPDATE mail SET lease_until = now() - interval '1 second' WHERE lease_until IS NOT NULL"
    )
    await jobs.expire_leases(notifier.database)


async def connections(notifier: Notifier, condition: str = "true") -> int:
    """How many connections workers have to the database."""
    query = f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{NAME}' AND {condition}"
    return int((await notifier.query(query))[0].count)


@asynccontextmanager
async def holding_up(notifier: Notifier, eventually: Eventually, lock: str) -> AsyncIterator[None]:
    """Inside, writes to the queue wait. The writes of a process that is killed are undone."""

    async def they_are_gone() -> bool:
        return not await connections(notifier)

    async with notifier.database.quiet_transaction() as tx:
        await tx.execute(text(lock))
        yield
    await eventually(they_are_gone, "the database has noticed the kill")


@pytest.mark.parametrize(
    ("point", "left", "then", "taken"),
    [
        ("RCPT", "claimed", "pending", [1]),
        ("DATA", "data_started", "ambiguous", []),
        ("DOT", "data_started", "ambiguous", [1]),
    ],
)
async def test_a_kill_between_claim_and_sent_loses_nothing_and_doubles_nothing(
    *, queued: Notifier, notifier_url: str, start: Start, point: str, left: str, then: str, taken: list[int]
) -> None:
    hang = Hang()
    queued.relay.script(point, hang)
    worker = start(deliver, notifier_url, queued.relay.port)
    await queued.relay.reached(point, seconds=30)
    worker.kill()
    hang.release.set()
    assert (await queued.states(), await queued.deliver()) == ([left], 0), "the lease protects it"
    await run_out_of_leases(queued)
    assert await queued.states() == [then]
    await queued.deliver()
    assert await queued.states() == ["sent" if then == "pending" else "ambiguous"]
    assert list(queued.relay.per_message_id().values()) == taken


@pytest.mark.parametrize(
    ("what", "point", "left", "then"),
    [
        ("the mark that DATA begins", "RCPT", "claimed", "sent"),
        ("the outcome, after 250", "DOT", "data_started", "ambiguous"),
    ],
)
async def test_a_kill_while_something_is_written_down_loses_nothing_and_doubles_nothing(
    *,
    queued: Notifier,
    notifier_url: str,
    start: Start,
    eventually: Eventually,
    what: str,
    point: str,
    left: str,
    then: str,
) -> None:
    async def it_writes() -> bool:
        return await connections(queued, "wait_event_type = 'Lock'") > 0

    hang = Hang()
    queued.relay.script(point, hang)
    worker = start(deliver, notifier_url, queued.relay.port)
    await queued.relay.reached(point, seconds=30)
    async with holding_up(queued, eventually, "SELECT FROM mail FOR UPDATE"):
        hang.release.set()
        await eventually(it_writes, what)
        worker.kill()
    assert await queued.states() == [left]
    await run_out_of_leases(queued)
    await queued.deliver()
    assert await queued.states() == [then]
    assert list(queued.relay.per_message_id().values()) == [1]


async def test_two_processes_that_claim_at_the_same_moment_never_send_twice(
    known: Notifier, notifier_url: str, start: Start, eventually: Eventually
) -> None:
    mails = 130  # one claim takes a hundred
    await queue_many(known, mails)

    async def both_claim() -> bool:
        return await connections(known, "wait_event = 'relation'") == 2

    async with known.database.quiet_transaction() as tx:
        await tx.execute(text("LOCK TABLE mail IN SHARE MODE"))
        workers = [start(deliver, notifier_url, known.relay.port) for _ in range(2)]
        await eventually(both_claim, "both at work at the same time")
    assert [await asyncio.to_thread(worker.wait, 30) for worker in workers] == [0, 0]
    assert sorted(known.relay.per_message_id().values()) == [1] * mails
    assert {mail.connection for mail in known.relay.taken} == {1, 2}
    rows = await known.rows()
    assert [(row.state, row.claims) for row in rows] == [("sent", 1)] * mails
    assert len(await known.published()) == mails


async def test_a_fan_out_killed_again_and_again_in_the_middle_of_a_slice_reaches_everyone_once(
    known: Notifier, notifier_url: str, start: Start, eventually: Eventually
) -> None:
    await queue_many(known, 30)
    await known.take(changed(venue="Salle neuve", **in_days(40)))

    async def it_writes() -> bool:
        return await connections(known, "wait_event = 'relation'") > 0

    for queued in (0, 10):
        async with holding_up(known, eventually, "LOCK TABLE mail IN SHARE MODE"):
            worker = start(fan_out, notifier_url, 10)
            await eventually(it_writes, "a slice")
            worker.kill()
        assert len(await known.addressees("session-changed")) == queued, "half a slice"
        async with known.database.transaction() as tx:
            assert await next_slice(tx, clock.now(), most=10) == 10
    await known.fan_out()
    assert await known.addressees("session-changed") == sorted(f"A-{number}" for number in range(30))
