"""``parcours status | dead-letters | outbox | mails``: what waits, with an exit code for scripts."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from local.postgres import PostgresServer
from services.console.commands import app
from services.console.findings import duration
from shared.database import Database
from shared.messaging import dead_letters, held
from shared.messaging.dead_letters import Parked
from tests.integration.console.conftest import NOWHERE, RunConsole
from tests.integration.messaging.relaying import write_rows
from tests.integration.messaging.test_dead_letters import a_record
from tests.support.statements import execute

MAIL = (
    "INSERT INTO mail (event_id, template, issuer, recipient, address, given_name, family_name, details, "
    "priority, version, needs_session, state, called_for_at, due_at) VALUES (gen_random_uuid(), "
    "'withdrawn', 'iel', 'IEL-1', 'zoe.durand@ville.example', 'Zoé', 'Durand', '{{}}', 1, 1, false, "
    "'{state}', now(), now() - interval '{age}')"
)


async def test_where_nothing_waits_all_is_well_that_could_be_asked(console: RunConsole) -> None:
    code, findings = await console("status")
    *of_services, of_kafka = findings
    assert {line["mark"] for line in of_services} == {"ok"}
    services = ["catalogue"] * 3 + ["enrolment"] * 3 + ["notifier"] * 4
    assert [line["about"] for line in of_services] == services
    assert (code, of_kafka["about"], of_kafka["mark"]) == (2, "kafka", "unknown")


async def test_what_waits_for_a_decision_is_said_with_the_command_in_every_list(
    console: RunConsole, database: Database
) -> None:
    await write_rows(database, ("key", "{}"))
    async with database.quiet_transaction() as tx:
        await dead_letters.park(tx, [Parked(a_record(offset=7), None, "ValueError: x")])
        await held.hold(tx, {1: "MessageSizeTooLargeError"}, {})
    done = await console("status")
    remedies = [done.about("enrolment", what)["remedy"] for what in ("dead letters", "outbox")]
    assert remedies[0].endswith("parcours enrolment dead-letters redrive | discard")
    assert "parcours outbox, then parcours enrolment outbox" in remedies[1]
    for command, found in (("dead-letters", "ValueError: x"), ("outbox", "MessageSizeTooLargeError")):
        code, findings = await console(command)
        assert (code, [line["mark"] for line in findings]) == (1, ["ok", "act", "ok"])
        assert found in findings[1]["found"]
    table = await asyncio.to_thread(lambda: CliRunner(env={"COLUMNS": "200"}).invoke(app, ["status"]))
    assert (table.exit_code, "1 parked" in table.stdout, "{" in table.stdout) == (1, True, False)


@pytest.mark.parametrize(("seconds", "mark"), [(55, "ok"), (61, "act")])
async def test_events_that_nobody_publishes_are_late_after_a_minute(
    console: RunConsole, database: Database, seconds: int, mark: str
) -> None:
    await write_rows(database, ("key", "{}"))
    await execute(database, f"UPDATE outbox SET created_at = now() - interval '{seconds} seconds'")
    assert (await console("status")).about("enrolment", "outbox")["mark"] == mark


@pytest.mark.parametrize(
    ("state", "age", "mark"),
    [("pending", "9 minutes", "ok"), ("pending", "11 minutes", "act"), ("ambiguous", "0", "act")],
)
async def test_mails_that_are_late_or_ambiguous_want_somebody(
    console: RunConsole, notifier_database: Database, state: str, age: str, mark: str
) -> None:
    await execute(notifier_database, MAIL.format(state=state, age=age))
    assert (await console("status")).about("notifier", "mails")["mark"] == mark


async def test_a_service_that_cannot_be_asked_is_named_and_the_others_are_asked(
    console: RunConsole, in_environment: pytest.MonkeyPatch
) -> None:
    in_environment.delenv("CATALOGUE_DATABASE_URL")
    in_environment.setenv("NOTIFIER_DATABASE_URL", NOWHERE)
    done = await console("status")
    assert done.about("catalogue", "database")["found"] == "CATALOGUE_DATABASE_URL is not set"
    assert "cannot be used" in done.about("notifier", "database")["found"]
    assert (done.code, done.about("enrolment", "database")["mark"]) == (2, "ok")
    done = await console("dead-letters")
    assert (done.code, done.about("catalogue", "dead letters")["mark"]) == (2, "unknown")
    assert (await console("dead-letters", "--service", "enrolment")).code == 0


async def test_a_database_that_is_not_at_this_version_wants_its_migration(
    console: RunConsole, in_environment: pytest.MonkeyPatch, postgres: PostgresServer
) -> None:
    in_environment.setenv("ENROLMENT_DATABASE_URL", postgres.create_database("console_empty"))
    done = await console("status")
    remedy = "run 'python -m services.enrolment migrate'"
    assert (done.code, done.about("enrolment", "database")["remedy"]) == (1, remedy)
    assert "migrate" in (await console("dead-letters")).about("enrolment", "dead letters")["found"]


async def test_mails_are_counted_and_ambiguous_ones_listed_without_the_address(
    console: RunConsole, notifier_database: Database
) -> None:
    await execute(notifier_database, MAIL.format(state="ambiguous", age="0"))
    done = await console("mails")
    assert done.about("notifier", "mails pending")["number"] == 0
    [line] = [line for line in done.findings if line["mark"] == "act"]
    assert f"parcours notifier mails resolve {line['mail_id']}" in line["remedy"]
    assert (done.code, "zoe" in str(done.findings)) == (1, False)
    async with notifier_database.quiet_transaction() as tx:
        assert list(await tx.scalars(text("SELECT kind FROM read_log"))) == ["mails"]


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(-3, "0 s"), (119, "119 s"), (3600, "60 min"), (12_000, "3 h 20 min"), (440_000, "5 d 2 h")],
)
def test_how_long_is_written_as_people_say_it(seconds: int, written: str) -> None:
    assert duration(timedelta(seconds=seconds)) == written
