"""Why a batch fails decides what follows: of infrastructure, it comes again; of the data, it is parked."""

import asyncio
from typing import Any, NoReturn

import pytest
from faststream.exceptions import NackMessage
from sqlalchemy import make_url, text

from shared.database import Database
from shared.events.cloudevents import Record
from shared.events.topics import Topic
from shared.messaging import dead_letters
from shared.messaging.consumer import Consumer
from shared.messaging.router import Subscription, Tx
from tests.integration.messaging.consumers import (
    ConsumerHandler,
    ReceivedRequest,
    a_record,
    deliveries,
    effects,
    parked,
    router_with,
)

INFRASTRUCTURE = {
    "missing table": "INSERT INTO nowhere VALUES (1)",
    "session ended": "SELECT pg_terminate_backend(pg_backend_pid())",
    "cancelled": "SELECT pg_cancel_backend(pg_backend_pid())",
    "too slow": "SET LOCAL statement_timeout = 1; SELECT pg_sleep(5)",
    "deadlock": "DO $$ BEGIN RAISE SQLSTATE '40P01'; END $$",
    "disk full": "DO $$ BEGIN RAISE SQLSTATE '53100'; END $$",
}
DATA = {
    "division": "SELECT 1/0",
    "out of range": "SELECT CAST(9999999999 AS int)",
    "check constraint": "DO $$ BEGIN RAISE SQLSTATE '23514'; END $$",
}


def failing(statement: str) -> Subscription:
    """A handler that does this and nothing else."""

    async def fail(tx: Tx, _received: list[ReceivedRequest]) -> None:
        for part in [statement] if "$$" in statement else statement.split(";"):
            await tx.execute(text(part))

    return router_with(fail).subscriptions[Topic.PORTAL_ENROLMENTS]


async def comes_again(subscription: Subscription, database: Database) -> bool:
    """Take a record in; return whether its batch is to come again, else it is parked."""
    try:
        await Consumer(subscription, database).take(deliveries([ConsumerHandler().request("agent-0")]))
    except NackMessage:
        assert await parked(database) == []
        return True
    assert len(await parked(database)) == 1
    return False


@pytest.mark.parametrize("statement", INFRASTRUCTURE.values(), ids=INFRASTRUCTURE)
async def test_a_failure_of_the_infrastructure_brings_the_batch_again(
    database: Database, statement: str
) -> None:
    assert await comes_again(failing(statement), database)


@pytest.mark.parametrize("statement", DATA.values(), ids=DATA)
async def test_a_failure_of_the_data_parks_the_record(database: Database, statement: str) -> None:
    assert not await comes_again(failing(statement), database)


@pytest.mark.parametrize(
    ("value", "kind"),
    [(10**20, "int"), ("a\0b", "text"), ("\ud800", "text"), (object(), "text")],
    ids=["number", "NUL", "surrogate", "object"],
)
async def test_a_value_that_the_driver_refuses_parks_the_record(
    database: Database, value: Any, kind: str
) -> None:
    """The driver calls it an interface error, as it does a lost connection."""

    async def fail(tx: Tx, _received: list[ReceivedRequest]) -> None:
        await tx.execute(text(f"SELECT CAST(:value AS {kind})"), {"value": value})

    assert not await comes_again(router_with(fail).subscriptions[Topic.PORTAL_ENROLMENTS], database)


@pytest.mark.parametrize(
    "wrong", [{"password": "wrong"}, {"database": "nowhere"}, {"username": "nobody"}, {"port": 1}], ids=str
)
async def test_a_database_that_cannot_be_entered_brings_the_batch_again(
    enrolment_url: str, wrong: dict[str, Any]
) -> None:
    """A password that was changed, a database that was moved: nothing that a record is to blame for."""
    changed = make_url(enrolment_url).set(**wrong)
    elsewhere = Database(changed.render_as_string(hide_password=False), application_name="test")
    handler = ConsumerHandler()

    with pytest.raises(NackMessage):
        await Consumer(handler.subscription, elsewhere).take(deliveries([handler.request("agent-0")]))

    assert handler.calls == 0
    await elsewhere.close()


async def test_a_record_whose_reading_fails_by_a_fault_of_ours_is_parked(database: Database) -> None:
    """Else it would be fetched again for ever, and all behind it with it."""

    def broken(_record: Record) -> NoReturn:
        raise ZeroDivisionError("nobody foresaw this")

    handler = ConsumerHandler()
    record = a_record(*handler.request("agent-0"))
    consumer = Consumer(handler.subscription, database, admit=broken)

    await consumer.take([consumer.read(record), *deliveries([handler.request("agent-1")])])

    assert await effects(database) == ["agent-1"]
    [letter] = await parked(database)
    assert (letter.record, letter.error) == (record, "ZeroDivisionError: nobody foresaw this")
    assert "in broken" in (letter.traceback or "")


async def test_a_record_that_cannot_even_be_parked_comes_again_without_running_hot(
    database: Database, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    async def broken(*_arguments: Any) -> None:
        raise RuntimeError("nobody foresaw this")

    monkeypatch.setattr(dead_letters, "park", broken)
    handler = ConsumerHandler(poison="agent-0")
    consumer = Consumer(handler.subscription, database)

    for _ in range(3):
        with pytest.raises(NackMessage):
            await consumer.take(deliveries([handler.request("agent-0")]))

    assert [pause >= 0.1 * 2**times for times, pause in enumerate(pauses)] == [True] * 3


async def test_a_stop_does_not_wait_for_the_pause_before_the_next_try(database: Database) -> None:
    consumer = Consumer(failing(INFRASTRUCTURE["missing table"]), database)
    consumer._failures = 10  # the next pause is half a minute
    consumer.stopping.set()

    async with asyncio.timeout(20):
        with pytest.raises(NackMessage):
            await consumer.take(deliveries([ConsumerHandler().request("agent-0")]))
