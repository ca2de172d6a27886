"""Support reads of people for a purpose, and each read is a line."""

import re
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest

from local.failures import LocalStackError
from local.postgres import PostgresServer
from services.notifier.app import eraser
from services.notifier.definition import DEFINITION
from services.notifier.service import mails
from services.notifier.store import subscriptions
from services.notifier.tables import MailRow
from shared import migrations, read_log
from shared.events.enrolment import AgentEnrolled
from shared.events.vocabulary import AgentKey
from shared.messaging.portals.registry import PortalsFile
from shared.read_log import Reading, ReadKind
from shared.references import reference_of
from tests.integration.notifier.conftest import Notifier
from tests.integration.notifier.test_mail_log import PURPOSE, SUPPORT, browser, log_in, searched, sent, tokens
from tests.support.builders import an_agent
from tests.unit.notifier.builders import a_decision

__all__ = ["browser", "sent", "tokens"]

LOG = "/courriels/suivi"
ZOE = AgentKey("iel", "IEL-0048151")


async def reads(notifier: Notifier) -> list[tuple[str, str, str | None, str | None, str | None]]:
    """Who read what of whom, and why, in order; the search for nobody by which one logs in left out."""
    lines = await notifier.query(
        "SELECT actor, kind, issuer, agent_id, purpose FROM read_log WHERE agent_id <> 'nobody' ORDER BY id"
    )
    return [tuple(line) for line in lines]


async def key_of(browser: httpx.AsyncClient) -> str:
    """The key of the forms of somebody of the support who has just logged in."""
    page = await browser.post(f"{LOG}/connexion", data={"jeton": "support"})
    return page.text.partition('name="cle" value="')[2].partition('"')[0]


async def test_the_mail_log_shows_nobody_until_its_reader_has_said_why_for_each_search(
    sent: Notifier, browser: httpx.AsyncClient
) -> None:
    key, row = await key_of(browser), await sent.row()
    search = {"cle": key, "agent": ZOE.agent_id}
    for path in (f"/{row.mail_id}", f"/{row.mail_id}/lettre"):
        assert (await browser.get(f"{LOG}{path}")).url.path == LOG
    for motive in ("", "  ", "x", "y" * 201, "ab\u202ecd"):
        refused = await browser.post(LOG, data=search | {"motif": motive})
        assert (refused.status_code, str(row.mail_id) in refused.text) == (422, False)
    assert await reads(sent) == []
    found = await browser.post(LOG, data=search | {"motif": " demande  12 "})
    assert str(row.mail_id) in found.text
    assert (await browser.post(LOG, data=search)).status_code == 422, "the next search needs its own"
    assert await reads(sent) == [("support-name", "mails", *ZOE, "demande 12")]


async def test_each_page_about_somebody_is_a_line_with_its_reader_and_purpose(
    sent: Notifier, browser: httpx.AsyncClient
) -> None:
    other = an_agent(agent_id="1002", issuer="ouest")
    await sent.hear(a_decision(AgentEnrolled, enrolment_id=uuid4(), agent=other))
    key = await log_in(browser)
    (row,) = await sent.rows(where="issuer = 'iel'")
    await browser.post(LOG, data={"cle": key, "motif": PURPOSE})
    await browser.get(f"{LOG}/{row.mail_id}")
    await browser.get(f"{LOG}/{row.mail_id}/lettre")
    lines = await reads(sent)
    assert sorted(lines[:2]) == [
        ("support-name", "mails", *ZOE, PURPOSE),
        ("support-name", "mails", "ouest", "1002", PURPOSE),
    ]
    assert lines[2:] == [("support-name", kind, *ZOE, PURPOSE) for kind in ("mail", "letter")]
    sessions = await sent.query("SELECT session_id FROM read_log WHERE kind = 'mail'")
    assert sessions == [(row.session_id,)]


async def test_a_purpose_given_for_one_person_is_given_to_nobody_else(
    sent: Notifier, browser: httpx.AsyncClient, portals: PortalsFile
) -> None:
    other = an_agent(agent_id="1002", issuer="ouest")
    await sent.hear(a_decision(AgentEnrolled, enrolment_id=uuid4(), agent=other))
    key = await log_in(browser)
    (row,) = await sent.rows(where="issuer = 'ouest'")
    for search in ({"agent": ZOE.agent_id, "motif": "appel de Zoé"}, {"motif": "Zoé", "emetteur": "ouest"}):
        await browser.post(LOG, data={"cle": key} | search)
        for path in ("", "/lettre"):
            assert (await browser.get(f"{LOG}/{row.mail_id}{path}")).status_code == 200
    await browser.post(LOG, data={"cle": key, "agent": "1002", "motif": "ticket 12"})
    await browser.get(f"{LOG}/{row.mail_id}")

    async with sent.database.quiet_transaction() as tx:
        lines = (await eraser(sent.database, portals, b"").export(tx, other.key))["read_log"]

    purposes = [(line["kind"], line["purpose"]) for line in lines if "purpose" in line]
    assert purposes == [("mails", "ticket 12"), ("mail", "ticket 12")]
    untold = sorted(line["kind"] for line in lines if "purpose" not in line)
    assert untold == ["letter", "letter", "mail", "mail", "mails"]


async def test_the_api_reads_for_a_purpose_too(sent: Notifier, browser: httpx.AsyncClient) -> None:
    row = await sent.row()
    search = {"agent_id": ZOE.agent_id}
    for purpose in ({}, {"read-purpose": " "}, {"read-purpose": "x" * 201}, {"read-purpose": "a%0Ab%07"}):
        for answer in (
            await browser.get("/api/v1/mails", headers=SUPPORT | purpose),
            await browser.get(f"/api/v1/mails/{row.mail_id}", headers=SUPPORT | purpose),
            await browser.post("/api/v1/mails/search", json=search, headers=SUPPORT | purpose),
        ):
            assert answer.status_code == 400, purpose
            assert answer.json()["code"] == "purpose_needed"
    assert await reads(sent) == []
    headers = SUPPORT | {"read-purpose": quote("appel n° 7")}
    await browser.post("/api/v1/mails/search", json=search, headers=headers)
    await browser.get(f"/api/v1/mails/{row.mail_id}", headers=headers)
    assert await reads(sent) == [("support-name", kind, *ZOE, "appel n° 7") for kind in ("mails", "mail")]


async def test_a_search_by_reference_or_identifier_is_a_line_also_where_no_letter_is_found(
    sent: Notifier, browser: httpx.AsyncClient
) -> None:
    row = await sent.row()
    assert row.enrolment_id is not None
    reference = reference_of(row.enrolment_id)
    for search in ({"agent_id": reference, "state": "failed"}, {"agent_id": ZOE.agent_id, "state": "failed"}):
        assert (await searched(browser, "appel n° 7", **search)).json()["items"] == []
    await sent.change("DELETE FROM mail")  # their time is over, and the enrolment's is not
    for agent_id in (reference, ZOE.agent_id):
        await searched(browser, "appel n° 7", agent_id=agent_id)
    assert await reads(sent) == [("support-name", "mails", *ZOE, "appel n° 7")] * 4
    await searched(browser, "appel n° 7", agent_id=reference, issuer="ouest")
    assert len(await reads(sent)) == 4


async def test_an_address_is_not_searched_for_and_leaves_no_line(
    sent: Notifier, browser: httpx.AsyncClient
) -> None:
    address = "zephyrine@ville-exemple.fr"
    assert (await searched(browser, "appel", agent_id=address)).status_code == 422
    form = {"cle": await key_of(browser), "agent": address, "motif": "appel"}
    assert (await browser.post(LOG, data=form)).status_code == 422
    assert await sent.query("SELECT 1 FROM read_log") == []


async def test_a_read_that_cannot_be_recorded_does_not_happen(
    sent: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_arguments: object, **_named: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(read_log, "record", fails)
    found: list[MailRow] = []
    with pytest.raises(ConnectionError):
        async with sent.database.quiet_transaction() as tx:
            found = await mails.find(tx, agent_id=ZOE.agent_id, reading=Reading.by_command("x"))
    assert found == []


def recipe_for(owner: str, role: str, database: str) -> str:
    """What docs/operations.md says of the roles, for these names; the password is their own."""
    guide = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()
    (block,) = re.findall(r"\n\n((?:    .*\n)*    CREATE ROLE notifier_owner .*\n(?:    .*\n)*)", guide)
    for label, name in (
        ("DATABASE notifier ", f"DATABASE {database} "), ("notifier_owner", owner), ("notifier", role),
        ("'…'", f"'{role}'"),
    ):  # fmt: skip
        block = block.replace(label, name)
    return str(block)


def test_a_role_that_only_runs_the_service_cannot_get_round_it(postgres: PostgresServer) -> None:
    """By the roles of docs/operations.md, which are enough for the service's own statements."""
    name = uuid4().hex
    owner, role, database = f"owner_{name}", f"run_{name}", f"kept_{name}"
    postgres.execute(f"CREATE DATABASE {database}")
    postgres.execute(recipe_for(owner, role, database), database)
    migrations.upgrade(
        f"postgresql://{owner}:{role}@127.0.0.1:{postgres.port}/{database}", DEFINITION.revisions
    )
    line = "INSERT INTO read_log (at, actor, kind) VALUES (now(), 'ali', 'mail')"
    postgres.execute(f"SET ROLE {role}; {line}; SELECT * FROM read_log; SELECT * FROM mail", database)
    for statement in (
        "TRUNCATE read_log",
        "ALTER TABLE read_log DISABLE TRIGGER keep_read_log",
        "DROP TRIGGER keep_read_log ON read_log",
        "CREATE OR REPLACE FUNCTION keep_read_log() RETURNS trigger LANGUAGE sql AS 'SELECT 1'",
        "SET session_replication_role = replica",
        "DELETE FROM read_log",
    ):
        with pytest.raises(LocalStackError, match=r"permission denied|must be owner|append-only"):
            postgres.execute(f"SET ROLE {role}; {statement};", database)
    postgres.execute(f"DROP DATABASE {database}")
    postgres.execute(f"DROP ROLE {role}; DROP ROLE {owner}")


async def test_an_export_for_a_subscriber_lists_the_readers_also_once_the_letters_have_ended(
    notifier: Notifier, portals: PortalsFile
) -> None:
    address, erasing = "zoe@exemple.fr", eraser(notifier.database, portals, b"")
    async with notifier.database.transaction() as tx:
        owner, other = [await subscriptions.save_owner(tx, whose) for whose in (address, f"x{address}")]
        for subscriber, purpose in ((owner, f"appel de {address}"), (other, "appel")):
            reading, reader = Reading("ali", None, purpose), AgentKey("", f"abonnement-{subscriber}")
            await read_log.record(tx, reading, ReadKind.LETTER, agents=[reader])
    async with notifier.database.quiet_transaction() as tx:
        [line] = (await erasing.export(tx, address))["read_log"]
    assert line["purpose"] == f"appel de {address}"

    assert await erasing.forget(address, uuid4())

    left = await notifier.query("SELECT agent_id, purpose FROM read_log ORDER BY id")
    assert left == [(None, None), (f"abonnement-{other}", "appel")]
