"""The parking lot, and what an operator does about it on the command line."""

import asyncio
import dataclasses
import getpass
import subprocess
import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from faststream import ContextRepo
from sqlalchemy import Row, text
from typer.testing import CliRunner

from services.enrolment import handlers
from services.enrolment.app import DEFINITION
from services.enrolment.rules.policy import Policy
from shared import clock
from shared.cli import service_cli
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
from tests.conftest import settings_of
from tests.support.builders import an_agent, as_json, enrolment_request, headers
from tests.support.consuming import a_partition_check
from tests.support.processes import run_cli

RECEIVED_AT = datetime(2026, 11, 3, 9, 30, 0, 250_000, tzinfo=UTC)


class CommandResult(NamedTuple):
    """What a command line printed, and how it ended."""

    exit_code: int
    stdout: str
    stderr: str


RunOperator = Callable[..., Awaitable[CommandResult]]
DeadLetterCommand = Callable[..., subprocess.CompletedProcess[str]]


def a_record(
    value: bytes | None = b"\xff\x00 not JSON",
    record_headers: Sequence[tuple[str, bytes | None]] = (),
    *,
    offset: int = 0,
    partition: int = 0,
    key: bytes | None = b"key",
) -> Record:
    return Record(
        topic="portal.enrolments",
        partition=partition,
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


async def rows(database: Database, statement: str) -> list[Row[Any]]:
    async with database.quiet_transaction() as tx:
        return list((await tx.execute(text(statement))).all())


async def audit_of(database: Database) -> list[tuple[int, str, str, str | None]]:
    found = await rows(
        database, "SELECT dead_letter_id, actor, action, note FROM dead_letter_audit ORDER BY id"
    )
    return [(row.dead_letter_id, row.actor, row.action, row.note) for row in found]


@pytest.fixture
def operator(enrolment_url: str) -> DeadLetterCommand:
    """``python -m services.enrolment dead-letters …``, as an operator types it."""
    environment = settings_of("enrolment", enrolment_url, "localhost:1")
    return lambda *arguments: run_cli("enrolment", "dead-letters", *arguments, environment=environment)


@pytest.fixture
def operator_here(enrolment_url: str, monkeypatch: pytest.MonkeyPatch) -> RunOperator:
    """The same command line inside this process, which saves the seconds that a start takes."""
    for name, value in settings_of("enrolment", enrolment_url, "localhost:1").items():
        monkeypatch.setenv(name, value)
    app = service_cli(DEFINITION)

    async def run(*arguments: str) -> CommandResult:
        # In a thread: the command line runs an event loop of its own.
        done = await asyncio.to_thread(lambda: CliRunner().invoke(app, ["dead-letters", *arguments]))
        return CommandResult(done.exit_code, done.stdout, done.stderr)

    return run


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
async def test_a_record_is_kept_to_the_byte(database: Database, record: Record) -> None:
    await park(database, record)

    [letter] = await all_of(database)
    assert letter.record == record
    assert letter.state == "parked"


async def test_a_record_that_is_delivered_again_is_kept_once(database: Database) -> None:
    record = a_record()
    await park(database, record, record)
    await park(database, dataclasses.replace(record, received_at=RECEIVED_AT + timedelta(hours=1)), error="x")

    assert len(await all_of(database)) == 1


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
    first = a_record()
    second = dataclasses.replace(first, **change)
    await park(database, first)
    await park(database, second)

    assert sorted(letter.record == first for letter in await all_of(database)) == [False, True]


async def test_a_rejected_record_is_kept_for_a_month(database: Database) -> None:
    async with database.transaction() as tx:
        await dead_letters.keep_rejected(tx, [Rejected(a_record(), RejectionCode.INVALID, (), portal=None)])
        assert await end_rows(tx, DEAD_LETTERS, dead_letters.KEPT.days, clock.now()) == 0

        await tx.execute(text("UPDATE dead_letter SET parked_at = now() - interval '31 days'"))
        assert await end_rows(tx, DEAD_LETTERS, dead_letters.KEPT.days, clock.now()) == 1
        assert await dead_letters.find(tx, limit=10) == []


async def test_a_decided_record_is_kept_for_a_month_after_the_decision(database: Database) -> None:
    await park(database, a_record())
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE dead_letter SET parked_at = now() - interval '62 days'"))
        await dead_letters.settle(tx, 1, state="discarded", actor="tester", note="gone")
        assert await end_rows(tx, DEAD_LETTERS, dead_letters.KEPT.days, clock.now()) == 0

        await tx.execute(text("UPDATE dead_letter_audit SET at = now() - interval '31 days'"))
        assert await end_rows(tx, DEAD_LETTERS, dead_letters.KEPT.days, clock.now()) == 1


async def test_text_that_postgres_cannot_hold_is_no_reason_not_to_park(database: Database) -> None:
    record = a_record(b"x", [("name\0with\ud800", b"x")])

    await park(database, record, error="a\0b\ud800", event_type="a\0b\ud800", traceback="\0\ud800")

    [letter] = await all_of(database)
    assert letter.error == "a\N{REPLACEMENT CHARACTER}b?"


# ------------------------------------------------------------------------------------------------ list, show


async def test_list_shows_each_with_place_type_and_reason_on_one_line(
    database: Database, operator: DeadLetterCommand
) -> None:
    hostile = "x\n99\t2026-01-01\tfake\x1b[2J"
    await park(database, a_record(offset=7), error="the value is null", event_type=EnrolmentRequested.TYPE)
    await park(database, a_record(offset=8), error="bad\nline\x1b[2J", event_type=hostile)

    shown = operator("list")

    assert shown.returncode == 0, shown.stderr
    first, second, count = shown.stdout.splitlines()
    assert first.split("\t")[2:] == ["portal.enrolments/0@7", EnrolmentRequested.TYPE, "the value is null"]
    assert second.split("\t")[2] == "portal.enrolments/0@8"
    assert "\x1b" not in shown.stdout, "a sender could write on the operator's terminal"
    assert count == "2 parked"


async def test_list_can_be_narrowed_and_says_when_there_is_none(
    database: Database, operator_here: RunOperator
) -> None:
    await park(database, a_record(offset=1), a_record(offset=2))

    assert (await operator_here("list", "--limit", "1")).stdout.splitlines()[0].endswith("ValueError: x")
    assert (await operator_here("list", "--topic", "catalogue.sessions")).stdout == "0 parked\n"
    assert (await operator_here("list", "--state", "discarded")).stdout == "0 discarded\n"


async def test_show_tells_all_of_one_and_a_wrong_id_is_said(
    database: Database, operator_here: RunOperator
) -> None:
    record = a_record(b"\xff\x1b[2J value", [("ce_source", b"\xfe\x1b[2J"), ("ce_id", None)], key=b"the-key")
    await park(database, record, traceback="Traceback (most recent call last):\n  boom")

    shown = await operator_here("show", "1")

    assert shown.exit_code == 0, shown.stderr
    for part in (
        "portal.enrolments/0@0",
        "state     parked",
        "received  2026-11-03T09:30:00.250000Z",
        "key       the-key",
        "header    ce_id: null",
        "\\xff",
        "  boom",
    ):
        assert part in shown.stdout, part
    assert "\x1b" not in shown.stdout

    assert await rows(database, "SELECT actor, kind, about FROM read_log") == [
        (getpass.getuser(), "dead_letter", "1")
    ]

    wrong = await operator_here("show", "99")
    assert wrong.exit_code == 1
    assert wrong.stderr == "parcours: There is no dead letter 99.\n"


# ------------------------------------------------------------------------------------------------ redrive


async def test_redrive_goes_through_the_handler_with_its_own_time_of_receipt_and_is_audited(
    database: Database, operator: DeadLetterCommand
) -> None:
    session_id, event_id = uuid.uuid4(), uuid.uuid4()
    await park(database, a_request(session_id, "IEL-1", offset=0, event_id=event_id))

    done = operator("redrive", "1", "--by", "nadia")

    assert done.returncode == 0, done.stderr
    assert done.stdout == "1 redriven, 0 still parked\n"
    [request] = await rows(database, "SELECT request_id, agent_id, received_at FROM request")
    assert (request.request_id, request.agent_id) == (event_id, "IEL-1")
    assert request.received_at == RECEIVED_AT, "the deadline is judged by when it came, not by the redrive"
    assert [letter.state for letter in await all_of(database)] == ["redriven"]
    assert await audit_of(database) == [(1, "nadia", "redriven", None)]


async def test_a_redriven_event_that_was_handled_meanwhile_has_no_second_effect(
    database: Database, operator_here: RunOperator
) -> None:
    record = a_request(uuid.uuid4(), "IEL-1", offset=0)
    await park(database, record)
    context = ContextRepo({"policy": Policy(), "partition_check": a_partition_check()})
    await Consumer(handlers.router.subscriptions[Topic.PORTAL_ENROLMENTS], database, context).take(
        [read(record)]
    )

    assert (await operator_here("redrive", "--all", "--by", "nadia")).exit_code == 0
    again = await operator_here("redrive", "1", "--by", "nadia")
    assert (again.exit_code, again.stderr) == (1, "parcours: Not parked: 1. Nothing was done.\n")

    assert len(await rows(database, "SELECT * FROM request")) == 1
    assert await audit_of(database) == [(1, "nadia", "redriven", None)]


async def test_redrive_keeps_the_order_of_a_partition(database: Database, operator_here: RunOperator) -> None:
    session_id = uuid.uuid4()
    agents = [f"IEL-{number}" for number in range(5)]
    records = [a_request(session_id, agent, offset=offset) for offset, agent in enumerate(agents)]
    await park(database, *reversed(records))

    done = await operator_here("redrive", "--all", "--by", "nadia")

    assert done.stdout == "5 redriven, 0 still parked\n"
    order = await rows(database, "SELECT agent_id FROM request ORDER BY number")
    assert [row.agent_id for row in order] == agents


async def test_what_still_cannot_be_handled_stays_parked_with_the_reason_and_an_audit_line(
    database: Database, operator_here: RunOperator
) -> None:
    await park(
        database,
        a_record(b"not JSON", offset=1, key=b"one"),
        a_request(uuid.uuid4(), "IEL-1", offset=2),
    )

    done = await operator_here("redrive", "--all", "--by", "nadia")

    assert done.exit_code == 1
    assert done.stdout == "1 redriven, 1 still parked\n"
    assert "Traceback" not in done.stderr
    [line] = done.stderr.splitlines()
    assert line.startswith("1: ")
    assert "Invalid JSON" in line
    assert [letter.state for letter in await all_of(database)] == ["parked", "redriven"]
    assert await audit_of(database) == [
        (1, "nadia", "redrive failed", "ValueError"),
        (2, "nadia", "redriven", None),
    ]


async def test_redrive_lets_nobody_overtake_what_failed_before_it_in_its_key(
    database: Database, operator_here: RunOperator
) -> None:
    session_id, other = uuid.uuid4(), uuid.uuid4()
    unreadable = dataclasses.replace(a_request(session_id, "IEL-1", offset=0), value=b"not JSON")
    await park(
        database,
        unreadable,
        a_request(session_id, "IEL-2", offset=1),
        a_request(other, "IEL-3", offset=2),
    )

    done = await operator_here("redrive", "--all", "--by", "nadia")

    assert done.stdout == "1 redriven, 2 still parked\n"
    assert [row.agent_id for row in await rows(database, "SELECT agent_id FROM request")] == ["IEL-3"]
    assert "2: waits for 1, which stands before it" in done.stderr


# ------------------------------------------------------------------------------------------------ discard


async def test_discard_wants_a_reason_and_keeps_it(database: Database, operator: DeadLetterCommand) -> None:
    await park(database, a_record(offset=0), a_record(offset=1))

    without = operator("discard", "1", "--by", "nadia")
    done = operator("discard", "1", "--by", "nadia", "--reason", "A portal's test.")

    assert without.returncode == 2
    assert "--reason" in without.stderr
    assert done.stdout == "1 discarded\n"
    assert [letter.state for letter in await all_of(database)] == ["discarded", "parked"]
    assert await audit_of(database) == [(1, "nadia", "discarded", "A portal's test.")]


@pytest.mark.parametrize(
    "command", [("redrive",), ("discard", "--reason", "x")], ids=lambda arguments: arguments[0]
)
async def test_without_ids_nothing_happens_unless_all_is_asked_for(
    operator_here: RunOperator, command: tuple[str, ...]
) -> None:
    done = await operator_here(*command)

    assert done.exit_code == 2
    assert done.stderr == "parcours: Say which: ids, or --all.\n"


async def test_a_decided_dead_letter_that_is_delivered_again_stays_decided(database: Database) -> None:
    record = a_record()
    await park(database, record)
    async with database.transaction() as tx:
        await dead_letters.settle(tx, 1, state="discarded", actor="nadia", note=None)

    await park(database, record)

    assert [letter.state for letter in await all_of(database)] == ["discarded"]
