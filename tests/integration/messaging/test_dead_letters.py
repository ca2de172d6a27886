"""The parking lot, and what an operator does about it on the command line."""

import dataclasses
import getpass
import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from faststream import ContextRepo
from sqlalchemy import text
from typer.testing import Result

from services.enrolment import handlers
from services.enrolment.rules.policy import Policy
from shared import clock
from shared.database import Database
from shared.events.cloudevents import Record
from shared.events.outcomes import RejectionCode
from shared.events.portal import EnrolmentRequested
from shared.events.topics import Topic
from shared.messaging import dead_letters
from shared.messaging.consumer import Consumer, read
from shared.messaging.dead_letters import DeadLetter, Parked
from shared.messaging.personal_data import DEAD_LETTERS
from shared.messaging.portals.admission import Rejected
from shared.personal_data import end_rows
from tests.integration.messaging.conftest import RunOperator
from tests.support.builders import an_agent, as_json, enrolment_request, headers
from tests.support.consuming import a_partition_check
from tests.support.statements import execute

RECEIVED_AT = datetime(2026, 11, 3, 9, 30, 0, 250_000, tzinfo=UTC)
DeadLetterCommand = Callable[..., Awaitable[Result]]


def a_record(
    value: bytes | None = b"\xff\x00 not JSON",
    record_headers: Sequence[tuple[str, bytes | None]] = (),
    *,
    offset: int = 0,
    key: bytes | None = b"key",
) -> Record:
    return Record(
        topic="portal.enrolments",
        partition=0,
        offset=offset,
        key=key,
        value=value,
        headers=tuple(record_headers or headers(EnrolmentRequested.TYPE)),
        received_at=RECEIVED_AT,
    )


def a_request(
    session_id: uuid.UUID, agent_id: str, *, offset: int, event_id: uuid.UUID | None = None
) -> Record:
    return a_record(
        as_json(enrolment_request(session_id, an_agent(agent_id))),
        headers(EnrolmentRequested.TYPE, event_id=event_id),
        offset=offset,
        key=str(session_id).encode(),
    )


async def park(database: Database, *records: Record, error: str = "ValueError: x", **changes: Any) -> None:
    async with database.transaction() as tx:
        # As if the topic had one partition, in which all lies right.
        await tx.execute(text("INSERT INTO partition_number (number) VALUES (1) ON CONFLICT DO NOTHING"))
        await dead_letters.park(
            tx, [dataclasses.replace(Parked(record, None, error), **changes) for record in records]
        )


async def all_of(database: Database, state: str | None = None) -> list[DeadLetter]:
    async with database.quiet_transaction() as tx:
        return await dead_letters.find(tx, state=state, limit=1000)


async def states(database: Database) -> list[str]:
    return [letter.state for letter in await all_of(database)]


async def audit_of(database: Database) -> list[tuple[Any, ...]]:
    query = "SELECT dead_letter_id, actor, action, note FROM dead_letter_audit ORDER BY id"
    return [tuple(row) for row in await execute(database, query)]


@pytest.fixture
def command(operator: RunOperator) -> DeadLetterCommand:
    """``python -m services.enrolment dead-letters …`` inside this process."""
    return lambda *arguments: operator("dead-letters", *arguments)


# ------------------------------------------------------------------------------------------------ parking


@pytest.mark.parametrize(
    "record",
    [
        a_record(),
        a_record(None),
        a_record(b""),
        a_record(bytes(range(256)) * 3_600),
        a_record(b"x", key=None),
        a_record(b"x", [("x", None), ("x", b""), ("x", b"\xff\x00"), ("Zoé", b"y"), ("x", b"y" * 100_000)]),
    ],
    ids=["bytes", "tombstone", "empty", "900 KB", "no key", "headers"],
)
async def test_a_record_is_kept_to_the_byte_and_once_however_often_it_comes(
    database: Database, record: Record
) -> None:
    await park(database, record, record)
    await park(database, dataclasses.replace(record, received_at=RECEIVED_AT + timedelta(hours=1)), error="x")

    [letter] = await all_of(database)
    assert (letter.record, letter.state) == (record, "parked")


@pytest.mark.parametrize(
    "change",
    [
        {"value": b"another"},
        {"value": None},
        {"value": b""},
        {"key": b"another"},
        {"key": None},
        {"headers": (("x", None),)},
    ],
    ids=str,
)
async def test_another_record_at_the_same_offset_after_the_broker_lost_its_disk_is_kept_too(
    database: Database, change: dict[str, Any]
) -> None:
    await park(database, a_record())
    await park(database, dataclasses.replace(a_record(), **change))
    assert len(await all_of(database)) == 2


@pytest.mark.parametrize(("days", "left"), [(29, 1), (31, 0)])
@pytest.mark.parametrize("is_rejected", [True, False], ids=["rejected", "decided"])
async def test_a_record_is_kept_for_a_month_after_it_was_rejected_or_decided(
    database: Database, is_rejected: bool, days: int, left: int
) -> None:
    aged = "SET {} = now() - make_interval(days => :days)"
    async with database.transaction() as tx:
        if is_rejected:
            rejection = Rejected(a_record(), RejectionCode.INVALID, (), portal=None)
            await dead_letters.keep_rejected(tx, [rejection])
            await tx.execute(text(f"UPDATE dead_letter {aged.format('parked_at')}"), {"days": days})
        else:
            await dead_letters.park(tx, [Parked(a_record(), None, "x")])
            await tx.execute(text(f"UPDATE dead_letter {aged.format('parked_at')}"), {"days": 62})
            await dead_letters.settle(tx, 1, state="discarded", actor="tester", note="gone")
            await tx.execute(text(f"UPDATE dead_letter_audit {aged.format('at')}"), {"days": days})
        await end_rows(tx, DEAD_LETTERS, dead_letters.KEPT.days, clock.now())
        assert len(await dead_letters.find(tx, limit=10)) == left


async def test_text_that_postgres_cannot_hold_is_no_reason_not_to_park(database: Database) -> None:
    record = a_record(b"x", [("name\0with\ud800", b"x")])
    await park(database, record, error="a\0b\ud800", event_type="a\0b\ud800", traceback="\0\ud800")
    [letter] = await all_of(database)
    assert letter.error == "a\N{REPLACEMENT CHARACTER}b?"


async def test_a_decided_dead_letter_that_is_delivered_again_stays_decided(database: Database) -> None:
    record = a_record()
    await park(database, record)
    async with database.transaction() as tx:
        await dead_letters.settle(tx, 1, state="discarded", actor="nadia", note=None)
    await park(database, record)
    assert await states(database) == ["discarded"]


# ------------------------------------------------------------------------------------------------ list, show


async def test_list_shows_each_on_one_line_that_no_sender_can_spoil(
    database: Database, command: DeadLetterCommand
) -> None:
    hostile = "x\n99\t2026-01-01\tfake\x1b[2J"
    await park(database, a_record(offset=7), error="the value is null", event_type=EnrolmentRequested.TYPE)
    await park(database, a_record(offset=8), error="bad\nline\x1b[2J", event_type=hostile)

    shown = (await command("list")).stdout

    first, second, count = shown.splitlines()
    assert first.split("\t")[2:] == ["portal.enrolments/0@7", EnrolmentRequested.TYPE, "the value is null"]
    assert second.split("\t")[2] == "portal.enrolments/0@8"
    assert "\x1b" not in shown
    assert count == "2 parked"
    assert len((await command("list", "--limit", "1")).stdout.splitlines()) == 2
    assert (await command("list", "--topic", "catalogue.sessions")).stdout == "0 parked\n"
    assert (await command("list", "--state", "discarded")).stdout == "0 discarded\n"


async def test_show_prints_a_whole_dead_letter_and_is_a_read(
    database: Database, command: DeadLetterCommand
) -> None:
    record = a_record(b"\xff\x1b[2J value", [("ce_source", b"\xfe\x1b[2J"), ("ce_id", None)], key=b"the-key")
    await park(database, record, traceback="Traceback (most recent call last):\n  boom")

    shown = (await command("show", "1")).stdout

    for part in (
        "portal.enrolments/0@0",
        "state     parked",
        "received  2026-11-03T09:30:00.250000Z",
        "key       the-key",
        "header    ce_id: null",
        "\\xff",
        "  boom",
    ):
        assert part in shown, part
    assert "\x1b" not in shown
    read_log = await execute(database, "SELECT actor, kind, about FROM read_log")
    assert read_log == [(getpass.getuser(), "dead_letter", "1")]
    wrong = await command("show", "99")
    assert (wrong.exit_code, wrong.stderr) == (1, "parcours: There is no dead letter 99.\n")


# ------------------------------------------------------------------------------------------------ redrive


async def test_redrive_goes_through_the_handler_with_its_own_time_of_receipt_and_is_audited(
    database: Database, command: DeadLetterCommand
) -> None:
    session_id, event_id = uuid.uuid4(), uuid.uuid4()
    await park(database, a_request(session_id, "IEL-1", offset=0, event_id=event_id))

    done = await command("redrive", "1", "--by", "nadia")

    assert (done.exit_code, done.stdout) == (0, "1 redriven, 0 still parked\n")
    # The deadline is judged by when it came, not by the redrive.
    assert await execute(database, "SELECT request_id, agent_id, received_at FROM request") == [
        (event_id, "IEL-1", RECEIVED_AT)
    ]
    assert await states(database) == ["redriven"]
    assert await audit_of(database) == [(1, "nadia", "redriven", None)]


async def test_a_redriven_event_that_was_handled_meanwhile_has_no_second_effect(
    database: Database, command: DeadLetterCommand
) -> None:
    record = a_request(uuid.uuid4(), "IEL-1", offset=0)
    await park(database, record)
    context = ContextRepo({"policy": Policy(), "partition_check": a_partition_check()})
    subscription = handlers.router.subscriptions[Topic.PORTAL_ENROLMENTS]
    await Consumer(subscription, database, context).take([read(record)])

    assert (await command("redrive", "--all", "--by", "nadia")).exit_code == 0
    again = await command("redrive", "1", "--by", "nadia")

    assert (again.exit_code, again.stderr) == (1, "parcours: Not parked: 1. Nothing was done.\n")
    assert len(await execute(database, "SELECT * FROM request")) == 1
    assert await audit_of(database) == [(1, "nadia", "redriven", None)]


async def test_redrive_keeps_the_order_of_a_partition(database: Database, command: DeadLetterCommand) -> None:
    session_id = uuid.uuid4()
    agents = [f"IEL-{number}" for number in range(5)]
    records = [a_request(session_id, agent, offset=offset) for offset, agent in enumerate(agents)]
    await park(database, *reversed(records))

    done = await command("redrive", "--all", "--by", "nadia")

    assert done.stdout == "5 redriven, 0 still parked\n"
    order = await execute(database, "SELECT agent_id FROM request ORDER BY number")
    assert [row.agent_id for row in order] == agents


async def test_what_still_cannot_be_handled_stays_parked_and_lets_nobody_of_its_key_overtake(
    database: Database, command: DeadLetterCommand
) -> None:
    session_id, other = uuid.uuid4(), uuid.uuid4()
    unreadable = dataclasses.replace(a_request(session_id, "IEL-1", offset=0), value=b"not JSON")
    await park(
        database,
        unreadable,
        a_request(session_id, "IEL-2", offset=1),
        a_request(other, "IEL-3", offset=2),
    )

    done = await command("redrive", "--all", "--by", "nadia")

    assert (done.exit_code, done.stdout) == (1, "1 redriven, 2 still parked\n")
    failed, waits = done.stderr.splitlines()
    assert "1: " in failed
    assert "Invalid JSON" in failed
    assert waits.startswith("2: waits for 1, which stands before it")
    assert await execute(database, "SELECT agent_id FROM request") == [("IEL-3",)]
    assert await states(database) == ["parked", "parked", "redriven"]
    assert await audit_of(database) == [
        (1, "nadia", "redrive failed", "ValueError"),
        (3, "nadia", "redriven", None),
    ]


# ------------------------------------------------------------------------------------------------ discard


async def test_discard_wants_a_reason_and_keeps_it(database: Database, command: DeadLetterCommand) -> None:
    await park(database, a_record(offset=0), a_record(offset=1))

    assert (await command("discard", "1", "--by", "nadia")).exit_code == 2
    done = await command("discard", "1", "--by", "nadia", "--reason", "A portal's test.")

    assert done.stdout == "1 discarded\n"
    assert await states(database) == ["discarded", "parked"]
    assert await audit_of(database) == [(1, "nadia", "discarded", "A portal's test.")]


@pytest.mark.parametrize(
    "arguments", [("redrive",), ("discard", "--reason", "x")], ids=["redrive", "discard"]
)
async def test_without_ids_nothing_happens_unless_all_is_asked_for(
    command: DeadLetterCommand, arguments: tuple[str, ...]
) -> None:
    done = await command(*arguments)
    assert (done.exit_code, done.stderr) == (2, "parcours: Say which: ids, or --all.\n")
