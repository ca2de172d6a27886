"""Whoever of the staff reads whom authorities named leaves a line that stays."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import Row, text
from sqlalchemy.exc import DBAPIError
from typer.testing import CliRunner

from services.catalogue.app import DEFINITION, eraser
from shared.cli import service_cli
from shared.database import Database
from shared.events.portal import TraineesNominated
from shared.events.vocabulary import AgentKey, Contact
from shared.messaging import dead_letters
from shared.messaging.dead_letters import Parked
from shared.messaging.portals.registry import PortalsFile
from tests.conftest import Ask, settings_of
from tests.integration.catalogue.browsing import HttpBrowser, organiser
from tests.integration.catalogue.conftest import BRETAGNE, CORSE
from tests.integration.catalogue.test_bespoke import OFFICER, a_bespoke_request, hear, reply
from tests.support.builders import an_agent
from tests.support.consuming import a_record

__all__ = ["organiser"]

RecordedReads = Callable[[], Awaitable[list[tuple[Any, ...]]]]


@pytest.fixture
def reads(database: Database) -> RecordedReads:
    """A function that returns who read what, and why, in order."""

    async def of() -> list[tuple[Any, ...]]:
        async with database.quiet_transaction() as tx:
            rows: list[Row[Any]] = list(
                await tx.execute(
                    text("SELECT actor, kind, about, agent_id, purpose FROM read_log ORDER BY id")
                )
            )
        return [tuple(row) for row in rows]

    return of


async def test_who_reads_a_bespoke_request_by_the_api_leaves_a_line(
    ask: Ask, database: Database, reads: RecordedReads
) -> None:
    request_id = await hear(database, a_bespoke_request())
    path, usual = f"/bespoke-requests/{request_id}", "organisation de la session"
    assert (await ask("GET", path, by=CORSE)).status_code == 404
    assert await reads() == []

    assert OFFICER["email"] in (await ask("GET", "/bespoke-requests", by=BRETAGNE)).text
    assert OFFICER["email"] in (await ask("GET", path, by=BRETAGNE)).text
    assert OFFICER["email"] in (await reply(ask, request_id, "qualified")).text

    assert await reads() == [(BRETAGNE, "bespoke", str(request_id), None, usual)] * 3


async def test_who_reads_a_bespoke_request_on_a_page_leaves_a_line(
    organiser: HttpBrowser, database: Database, reads: RecordedReads
) -> None:
    request_id = await hear(database, a_bespoke_request())
    assert OFFICER["email"] not in (await organiser.get("/gestion/demandes")).text
    assert await reads() == []
    assert quote(OFFICER["email"]) in (await organiser.get(f"/gestion/demandes/{request_id}")).text
    assert [line[1:4] for line in await reads()] == [("bespoke", str(request_id), None)]


async def test_a_dead_letter_that_an_operator_reads_is_a_line_for_each_agent_it_names(
    database: Database,
    catalogue_url: str,
    portals: PortalsFile,
    reads: RecordedReads,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nomination = TraineesNominated(
        siret="21350238800019",
        session_id=(await hear(database, a_bespoke_request())),
        agents=(an_agent("A-1", issuer="iel"), an_agent("B-1", issuer="iel")),
        nominated_by=Contact.model_validate(OFFICER),
    )
    async with database.transaction() as tx:
        await dead_letters.park(tx, [Parked(a_record(nomination), None, "no reason")])
    for name, value in settings_of("catalogue", catalogue_url, "localhost:1").items():
        monkeypatch.setenv(name, value)
    show = ("dead-letters", "show", "1", "--by", "anne")

    shown = await asyncio.to_thread(lambda: CliRunner().invoke(service_cli(DEFINITION), show))

    assert OFFICER["email"] in shown.stdout
    why = "ligne de commande"
    assert sorted(await reads()) == [("anne", "dead_letter", "1", agent, why) for agent in ("A-1", "B-1")]
    async with database.quiet_transaction() as tx:
        [line] = (await eraser(database, portals).export(tx, AgentKey("iel", "B-1")))["read_log"]
    assert (line["actor"], line["agent_id"]) == ("anne", "B-1")


async def test_the_database_keeps_the_lines(ask: Ask, database: Database, reads: RecordedReads) -> None:
    await hear(database, a_bespoke_request())
    await ask("GET", "/bespoke-requests", by=BRETAGNE)
    before = await reads()
    for change in ("UPDATE read_log SET about = NULL", "DELETE FROM read_log"):
        with pytest.raises(DBAPIError, match="append-only"):
            async with database.transaction() as tx:
                await tx.execute(text(change))
    assert await reads() == before != []
