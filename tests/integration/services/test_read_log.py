"""The log of reads: its lines stay, the person may ask for them, and they end after a year."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy.exc import DBAPIError

from shared import clock, read_log
from shared.database import Database
from shared.events.vocabulary import AgentKey
from shared.personal_data import Subject
from shared.process import Process
from shared.process.jobs import end_old_rows
from shared.read_log import Reading, ReadKind
from tests.support.statements import execute

ZOE, OTHER = AgentKey("iel", "IEL-0048151"), AgentKey("iel", "B-2")


async def recorded(database: Database, agents: Sequence[AgentKey] = (ZOE,)) -> None:
    async with database.quiet_transaction() as tx:
        await read_log.record(tx, Reading("ali", None, "demande de Zoé"), ReadKind.MAIL, agents=agents)


CHANGES = [
    "DELETE FROM read_log",
    "UPDATE read_log SET actor = 'nobody'",
    "UPDATE read_log SET at = at - interval '1 year'",
    "UPDATE read_log SET agent_id = 'another'",
    "UPDATE read_log SET purpose = NULL",
    "UPDATE read_log SET issuer = NULL, agent_id = NULL, purpose = 'another'",
    "UPDATE read_log SET issuer = NULL, agent_id = NULL, purpose = NULL, kind = 'roster'",
    "UPDATE read_log SET issuer = NULL, agent_id = NULL, purpose = NULL, about = '1'",
    "MERGE INTO read_log USING read_log AS same ON same.id = read_log.id WHEN MATCHED THEN DELETE",
]


async def is_refused(database: Database, statement: str) -> bool:
    try:
        await execute(database, statement)
    except DBAPIError as error:
        return "append-only" in str(error)
    return False


async def test_a_line_is_neither_changed_nor_taken_away(process: Process) -> None:
    await recorded(process.database)
    before = await execute(process.database, "SELECT * FROM read_log")
    assert [change for change in CHANGES if await is_refused(process.database, change)] == CHANGES
    assert await execute(process.database, "SELECT * FROM read_log") == before


async def test_the_database_sets_the_time_of_a_line(process: Process) -> None:
    await execute(
        process.database, "INSERT INTO read_log (at, actor, kind) VALUES ('2001-01-01', 'ali', 'mail')"
    )
    [(late,)] = await execute(process.database, "SELECT clock_timestamp() - at FROM read_log")
    assert late < timedelta(minutes=1)


@pytest.mark.parametrize(("days_ago", "left"), [(364, 1), (366, 0)])
async def test_lines_end_after_a_year(process: Process, days_ago: int, left: int) -> None:
    await recorded(process.database)
    for statement in (
        "ALTER TABLE read_log DISABLE TRIGGER keep_read_log",
        f"UPDATE read_log SET at = at - interval '{days_ago} days'",
        "ALTER TABLE read_log ENABLE TRIGGER keep_read_log",
    ):
        await execute(process.database, statement)
    await end_old_rows(process.database, process.register, process.settings)
    assert len(await execute(process.database, "SELECT 1 FROM read_log")) == left


async def test_an_export_lists_the_readers_and_an_erasure_keeps_the_line_without_the_agent(
    process: Process,
) -> None:
    await recorded(process.database)
    async with process.database.quiet_transaction() as tx:
        assert "read_log" not in await process.eraser.export(tx, AgentKey("ouest", ZOE.agent_id))
        [line] = (await process.eraser.export(tx, ZOE))["read_log"]
        assert (line["actor"], line["kind"], line["purpose"]) == ("ali", "mail", "demande de Zoé")
        await process.eraser._erase(tx, Subject(agent=ZOE, until=clock.now()))
    left = await execute(process.database, "SELECT actor, kind, issuer, agent_id, purpose FROM read_log")
    assert left == [("ali", "mail", None, None, None)]


async def test_the_purpose_of_a_read_of_several_agents_is_given_to_none_of_them(process: Process) -> None:
    await recorded(process.database, [ZOE, OTHER])
    await recorded(process.database, [OTHER])
    async with process.database.transaction() as tx:
        lines = (await process.eraser.export(tx, OTHER))["read_log"]
        assert [line.get("purpose") for line in lines] == ["demande de Zoé", None]
        await process.eraser._erase(tx, Subject(agent=OTHER, until=clock.now()))
    left = await execute(
        process.database, "SELECT agent_id, purpose, may_name_others FROM read_log ORDER BY id"
    )
    assert left == [(ZOE.agent_id, "demande de Zoé", True), (None, None, True), (None, None, False)]


async def test_a_search_that_finds_nobody_keeps_neither_what_was_typed_nor_why(process: Process) -> None:
    await recorded(process.database, [])
    assert await execute(process.database, "SELECT actor, agent_id, purpose FROM read_log") == [
        ("ali", None, None)
    ]
