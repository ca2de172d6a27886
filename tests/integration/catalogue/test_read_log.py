"""Whoever of the staff reads whom authorities named leaves a line."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from services.catalogue.definition import DEFINITION
from shared.cli.service import service_cli
from shared.database import Database
from shared.events.portal import TraineesNominated
from shared.events.vocabulary import Contact
from shared.messaging import dead_letters
from shared.messaging.dead_letters import Parked
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
        query = "SELECT actor, kind, about, agent_id, purpose FROM read_log ORDER BY id"
        async with database.quiet_transaction() as tx:
            return [tuple(row) for row in await tx.execute(text(query))]

    return of


async def test_each_read_of_a_bespoke_request_is_a_line(
    ask: Ask, organiser: HttpBrowser, database: Database, reads: RecordedReads
) -> None:
    request_id = await hear(database, a_bespoke_request())
    path = f"/bespoke-requests/{request_id}"
    assert (await ask("GET", path, by=CORSE)).status_code == 404
    assert OFFICER["email"] not in (await organiser.get("/gestion/demandes")).text
    assert await reads() == []

    for answer in (
        await ask("GET", "/bespoke-requests", by=BRETAGNE),
        await ask("GET", path, by=BRETAGNE),
        await reply(ask, request_id, "qualified"),
        await organiser.get(f"/gestion/demandes/{request_id}"),
    ):
        assert OFFICER["email"] in answer.text or quote(OFFICER["email"]) in answer.text

    line = (BRETAGNE, "bespoke", str(request_id), None, "organisation de la session")
    assert await reads() == [line] * 4


async def test_a_dead_letter_that_an_operator_reads_is_a_line_for_each_agent_it_names(
    database: Database, catalogue_url: str, reads: RecordedReads, monkeypatch: pytest.MonkeyPatch
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
