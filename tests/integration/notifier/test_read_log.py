"""Support reads of people for a purpose, and who read what of whom stays known."""

import re
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
from sqlalchemy.exc import DBAPIError

from local.failures import LocalStackError
from local.postgres import PostgresServer
from services.notifier.app import REVISIONS, eraser
from services.notifier.personal_data import REGISTER
from services.notifier.service import mails
from services.notifier.store import subscriptions
from services.notifier.tables import MailRow, metadata
from shared import clock, migrations, read_log
from shared.events.enrolment import AgentEnrolled
from shared.events.vocabulary import AgentKey
from shared.messaging.portals.registry import PortalsFile
from shared.personal_data import Subject
from shared.process.jobs import end_old_rows
from shared.read_log import Reading, ReadKind
from shared.references import reference_of
from tests.integration.notifier.conftest import Notifier
from tests.integration.notifier.test_mail_log import PURPOSE, SUPPORT, browser, log_in, searched, sent, tokens
from tests.integration.notifier.test_personal_data import SETTINGS
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


async def test_the_mail_log_shows_nobody_until_its_reader_has_said_why(
    sent: Notifier, browser: httpx.AsyncClient
) -> None:
    page = await browser.post(f"{LOG}/connexion", data={"jeton": "support"})
    row = await sent.row()
    assert "IEL-0048151" not in page.text.replace("par exemple IEL-0048151", "")
    for path in (f"/{row.mail_id}", f"/{row.mail_id}/lettre"):
        led = await browser.get(f"{LOG}{path}")
        assert led.url.path == LOG
        assert "zoe.durand" not in led.text
    key = page.text.partition('name="cle" value="')[2].partition('"')[0]
    for motive in ("", "  ", "x", "y" * 201, "ab\u202ecd"):
        refused = await browser.post(LOG, data={"cle": key, "agent": ZOE.agent_id, "motif": motive})
        assert refused.status_code == 422
        assert "Indiquez pourquoi" in refused.text
        assert "Votre inscription est confirmée" not in refused.text
    assert await reads(sent) == []
    found = await browser.post(LOG, data={"cle": key, "agent": ZOE.agent_id, "motif": " demande  12 "})
    assert "Votre inscription est confirmée" in found.text
    assert await reads(sent) == [("support-name", "mails", *ZOE, "demande 12")]


async def test_each_page_about_somebody_is_a_line_with_its_reader_and_purpose(
    sent: Notifier, browser: httpx.AsyncClient
) -> None:
    other = an_agent(agent_id="1002", issuer="ouest")
    await sent.hear(a_decision(AgentEnrolled, enrolment_id=uuid4(), agent=other))
    key = await log_in(browser)
    (row,) = await sent.rows(where="issuer = 'iel'")
    found = await browser.post(LOG, data={"cle": key, "motif": PURPOSE})
    assert "IEL-0048151, iel" in found.text
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


async def test_each_search_says_its_own_purpose(sent: Notifier, browser: httpx.AsyncClient) -> None:
    key = await log_in(browser)
    shown = await browser.post(LOG, data={"cle": key, "agent": ZOE.agent_id, "motif": "appel n° 7"})
    assert "Votre inscription est confirmée" in shown.text
    for page in (shown, await browser.get(LOG)):
        assert 'name="motif" type="text" value=""' in page.text
    assert "IEL-0048151, iel" not in page.text
    refused = await browser.post(LOG, data={"cle": key, "agent": ZOE.agent_id})
    assert (refused.status_code, "Indiquez pourquoi" in refused.text) == (422, True)
    wrong = await browser.post(LOG, data={"cle": key, "agent": "é à", "motif": "appel n° 8"})
    assert 'name="motif" type="text" value="appel n° 8"' in wrong.text
    assert len(await reads(sent)) == 1


async def test_a_purpose_said_for_one_person_is_told_to_nobody_else(
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


async def test_who_was_looked_for_by_a_reference_or_identifier_is_told_also_where_no_letter_is_found(
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


async def test_a_search_that_finds_nobody_leaves_a_line_without_what_was_typed_or_why(
    sent: Notifier, browser: httpx.AsyncClient
) -> None:
    for typed in ("HJRE-2CVC", "Zephyrine.Martin"):
        assert (await searched(browser, f"appel de {typed}", agent_id=typed)).status_code == 200
    lines = await sent.query("SELECT actor, kind, issuer, agent_id, purpose FROM read_log")
    assert lines == [("support-name", "mails", None, None, None)] * 2


async def test_an_address_is_not_searched_for_and_leaves_no_line(
    sent: Notifier, browser: httpx.AsyncClient
) -> None:
    address = "zephyrine@ville-exemple.fr"
    assert (await searched(browser, "appel", agent_id=address)).status_code == 422
    page = await browser.post(f"{LOG}/connexion", data={"jeton": "support"})
    key = page.text.partition('name="cle" value="')[2].partition('"')[0]
    refused = await browser.post(LOG, data={"cle": key, "agent": address, "motif": "appel"})
    assert refused.status_code == 422
    assert "jamais par une adresse" in refused.text
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


async def recorded(notifier: Notifier, *, days_ago: float = 0) -> None:
    async with notifier.database.quiet_transaction() as tx:
        await read_log.record(
            tx, Reading("ali", None, "demande de Zoé"), ReadKind.MAIL, agents=[ZOE], session_id=uuid4()
        )
    if days_ago:
        at = clock.now() - timedelta(days=days_ago)
        await notifier.change("ALTER TABLE read_log DISABLE TRIGGER keep_read_log")
        await notifier.change(f"UPDATE read_log SET at = '{at.isoformat()}'")
        await notifier.change("ALTER TABLE read_log ENABLE TRIGGER keep_read_log")


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM read_log",
        "UPDATE read_log SET actor = 'nobody'",
        "UPDATE read_log SET at = at - interval '1 year'",
        "UPDATE read_log SET agent_id = 'another'",
        "UPDATE read_log SET purpose = NULL",
        "UPDATE read_log SET issuer = NULL, agent_id = NULL, purpose = 'another'",
        "UPDATE read_log SET issuer = NULL, agent_id = NULL, purpose = NULL, kind = 'roster'",
        "UPDATE read_log SET issuer = NULL, agent_id = NULL, purpose = NULL, about = '1'",
        "MERGE INTO read_log USING read_log AS same ON same.id = read_log.id WHEN MATCHED THEN DELETE",
    ],
)
async def test_a_line_is_neither_changed_nor_taken_away(notifier: Notifier, statement: str) -> None:
    await recorded(notifier)
    before = await notifier.query("SELECT * FROM read_log")
    with pytest.raises(DBAPIError, match="append-only"):
        await notifier.change(statement)
    assert await notifier.query("SELECT * FROM read_log") == before


async def test_the_database_says_when_whoever_writes_the_line(notifier: Notifier) -> None:
    await notifier.change("INSERT INTO read_log (at, actor, kind) VALUES ('2001-01-01', 'ali', 'mail')")
    [(late,)] = await notifier.query("SELECT clock_timestamp() - at FROM read_log")
    assert late < timedelta(minutes=1)


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
        f"postgresql://{owner}:{role}@127.0.0.1:{postgres.port}/{database}", REVISIONS, metadata
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


@pytest.mark.parametrize(("days_ago", "left"), [(364, 1), (366, 0)])
async def test_lines_end_after_a_year(notifier: Notifier, days_ago: int, left: int) -> None:
    await recorded(notifier, days_ago=days_ago)
    await end_old_rows(notifier.database, REGISTER, SETTINGS)
    assert len(await notifier.query("SELECT 1 FROM read_log")) == left


async def test_an_agent_is_told_who_read_and_forgotten_without_the_line(
    notifier: Notifier, portals: PortalsFile
) -> None:
    await recorded(notifier)
    erasing = eraser(notifier.database, portals, b"")
    async with notifier.database.quiet_transaction() as tx:
        assert "read_log" not in await erasing.export(tx, AgentKey("ouest", ZOE.agent_id))
        (line,) = (await erasing.export(tx, ZOE))["read_log"]
        assert (line["actor"], line["kind"], line["purpose"]) == ("ali", "mail", "demande de Zoé")
        await erasing._erase(tx, Subject(agent=ZOE, until=clock.now()))
    left = await notifier.query("SELECT actor, kind, issuer, agent_id, purpose FROM read_log")
    assert left == [("ali", "mail", None, None, None)]


async def test_why_several_were_read_together_is_told_none_of_them(
    notifier: Notifier, portals: PortalsFile
) -> None:
    other, erasing = AgentKey(ZOE.issuer, "B-2"), eraser(notifier.database, portals, b"")
    async with notifier.database.transaction() as tx:
        for agents in ([ZOE, other], [other]):
            await read_log.record(tx, Reading("ali", None, "appel de Zoé"), ReadKind.MAILS, agents=agents)
    async with notifier.database.transaction() as tx:
        lines = (await erasing.export(tx, other))["read_log"]
        assert [line.get("purpose") for line in lines] == ["appel de Zoé", None]
        await erasing._erase(tx, Subject(agent=other, until=clock.now()))
    left = await notifier.query("SELECT agent_id, purpose, may_name_others FROM read_log ORDER BY id")
    assert left == [(ZOE.agent_id, "appel de Zoé", True), (None, None, True), (None, None, False)]


async def test_a_subscriber_by_address_is_told_who_read_also_once_the_letters_have_ended(
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
