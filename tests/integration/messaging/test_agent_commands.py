"""``parcours agent find | export | correct | erase | erasures``, as an operator types them."""

import asyncio
import getpass
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from services.agent import app
from services.enrolment.handlers import router as enrolment
from services.enrolment.rules.policy import Policy
from services.enrolment.service import sessions
from services.notifier.handlers import router as notifier
from services.notifier.letters import LetterType, Priority
from services.notifier.store import claims
from shared import clock, security_log
from shared.database import Database
from shared.events.enrolment import AgentDetailsCorrected, AgentEnrolled
from shared.events.erasure import AgentErased
from shared.events.outcomes import RejectionCode
from shared.events.portal import (
    AgentCorrected,
    AgentErasureRequested,
    EnrolmentRequested,
    SubscriptionChanged,
    WithdrawalRequested,
)
from shared.messaging import dead_letters
from shared.messaging.portals.admission import Rejected
from tests.conftest import settings_of
from tests.integration.enrolment.conftest import INTAKE_KEY
from tests.integration.messaging.test_dead_letters import a_record
from tests.support.builders import an_agent, open_now
from tests.support.consuming import received, take
from tests.unit.notifier.builders import a_decision

RunCommand = Callable[..., Awaitable[tuple[int, str]]]
AGENT = an_agent("IEL-1", given_name="Zoé", family_name="Durand", issuer="iel")
OF_OWNERS = (
    "What the owner of an address confirmed on our page, or wrote as an officer, is not in this: "
    "parcours person export | erase ADDRESS. Nor is what is known by another identifier of the person, such "
    "as one of cnfpt: parcours agent find ADDRESS first, then each.\n"
)


def read_json(printed: str) -> Any:
    """What stands before the line on standard error that says what is not in it."""
    return json.JSONDecoder().raw_decode(printed)[0]


@pytest.fixture
def agent(
    enrolment_url: str, catalogue_url: str, notifier_url: str, monkeypatch: pytest.MonkeyPatch
) -> RunCommand:
    """The command line inside this process; returns its code and its output."""
    urls = {"enrolment": enrolment_url, "catalogue": catalogue_url, "notifier": notifier_url}
    for service, url in urls.items():
        for name, value in settings_of(service, url, "localhost:1").items():
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("INTAKE_SIGNING_KEY", INTAKE_KEY)

    async def run(*arguments: str) -> tuple[int, str]:
        # In a thread: the command line runs an event loop of its own.
        done = await asyncio.to_thread(lambda: CliRunner().invoke(app, arguments))
        return done.exit_code, done.output

    return run


async def enrol(database: Database) -> None:
    session = open_now()
    async with database.transaction() as tx:
        await sessions.apply_states(tx, {session.session_id: session}, Policy(), clock.now())
    request = EnrolmentRequested(session_id=session.session_id, agent=AGENT)
    await take(enrolment, database, [received(request, issuer="iel")], policy=Policy())


async def test_what_is_kept_of_an_agent_is_printed_from_all_services_and_written_to_read(
    agent: RunCommand, enrolment_database: Database, notifier_database: Database, tmp_path: Path
) -> None:
    await enrol(enrolment_database)
    await take(notifier, notifier_database, [received(a_decision(AgentEnrolled, agent=AGENT))])
    page = tmp_path / "page.html"

    code, printed = await agent("export", "iel", "IEL-1", "--page", str(page))

    assert code == 0
    kept = read_json(printed)["services"]
    assert kept["enrolment"].keys() == {"enrolment", "request", "outbox"}
    assert kept["enrolment"]["enrolment"][0]["agent"]["family_name"] == "Durand"
    assert kept["notifier"]["mail"][0]["address"] == AGENT.email
    assert kept["catalogue"] == {}
    for row in (kept["enrolment"]["enrolment"][0], kept["enrolment"]["request"][0]):
        assert row["session"]["title"] == open_now().title
    html = page.read_text()
    assert "<dt>prénom, nom, courriel, fonction, employeur (SIRET, nom, délégation)</dt>" in html
    assert f"courriel\N{NO-BREAK SPACE}: {AGENT.email}" in html
    assert "SIRET\N{NO-BREAK SPACE}: 21350238800019" in html
    assert "<dt>reçu le</dt>" in html
    assert f"<dt>session</dt><dd>{open_now().title}</dd>" in html
    assert "heure de Paris" in html
    assert "en donnant votre adresse électronique" in html
    assert printed.endswith("}\n" + OF_OWNERS)


async def test_an_export_is_a_read_that_the_next_one_tells_of(
    agent: RunCommand, enrolment_database: Database, tmp_path: Path
) -> None:
    await enrol(enrolment_database)
    await agent("export", "iel", "IEL-1")
    page = tmp_path / "page.html"
    _, printed = await agent("export", "iel", "IEL-1", "--page", str(page))
    services = read_json(printed)["services"]
    [line] = services["enrolment"]["read_log"]
    assert (line["kind"], line["actor"]) == ("export", getpass.getuser())
    assert services["notifier"] == {}
    # The register has two entries for this table: of agents, and of staff.
    assert page.read_text().count("<h3>Consultations de données") == 1


async def test_the_security_log_tells_of_what_was_done_for_an_agent_without_a_name(
    agent: RunCommand, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger=security_log.LOGGER)
    await agent("export", "iel", "IEL-1")
    await agent("correct", "iel", "IEL-1", "--given-name", "Zoé", "--anyway")
    await agent("erase", "iel", "IEL-1")
    assert [record.message for record in caplog.records if record.name == security_log.LOGGER] == [
        "export ok who=operator where=parcours agent export times=1",
        "correction ok who=operator where=parcours agent correct times=1",
        "erasure ok who=operator where=parcours agent erase times=1",
    ]


async def test_an_erasure_is_requested_by_the_outbox_and_followed_by_its_id(
    agent: RunCommand, enrolment_database: Database, notifier_database: Database
) -> None:
    code, output = await agent("erase", "cnfpt", "main-1")
    assert code == 0
    async with enrolment_database.quiet_transaction() as tx:
        event = (await tx.execute(text("SELECT event_id, source, topic, data FROM outbox"))).one()
    assert str(event.event_id) in output
    assert output.endswith(OF_OWNERS)
    assert (event.source, event.topic) == ("/services/enrolment", "portal.agents")
    assert json.loads(event.data)["issuer"] == "cnfpt"

    request = AgentErasureRequested.model_validate_json(event.data)
    assert await agent("erasures", str(event.event_id)) == (1, "parcours: No such request came here.\n")
    await take(notifier, notifier_database, [received(request, event.event_id)])
    for number, service in enumerate(("catalogue", "enrolment", "notifier"), 1):
        answer = AgentErased(
            request_id=event.event_id, request_source="/tests", service=service, erased_at=clock.now()
        )
        await take(notifier, notifier_database, [received(answer)])
        code, output = await agent("erasures", str(event.event_id))
        assert (code, output.count("not yet")) == (int(number < 3), 3 - number)
        assert OF_OWNERS in output
        assert "main-1" not in output


async def test_an_address_leads_to_its_agents_also_to_who_had_it_and_each_is_told_who_looked(
    agent: RunCommand, enrolment_database: Database, notifier_database: Database
) -> None:
    await enrol(enrolment_database)
    await take(notifier, notifier_database, [received(a_decision(AgentEnrolled, agent=AGENT))])
    follows = SubscriptionChanged(
        agent_id="O-7", email=AGENT.email.upper(), theme="enjeux-ia", subscribed=True
    )
    await take(notifier, notifier_database, [received(follows, issuer="ouest")])
    correction = AgentCorrected(issuer="iel", agent_id="IEL-1", email="zoe@juste.fr")
    await take(enrolment, enrolment_database, [received(correction)], policy=Policy())

    code, output = await agent("find", AGENT.email)

    assert code == 0
    assert output.splitlines()[:2] == ["iel\tIEL-1\tenrolment, notifier", "ouest\tO-7\tnotifier"]
    assert "make sure who asks" in output
    reads = "SELECT actor, kind, issuer, agent_id FROM read_log ORDER BY agent_id"
    who = getpass.getuser()
    async with notifier_database.quiet_transaction() as tx:
        assert [tuple(row) for row in await tx.execute(text(reads))] == [
            (who, "address", "iel", "IEL-1"),
            (who, "address", "ouest", "O-7"),
        ]
    async with enrolment_database.quiet_transaction() as tx:
        assert [tuple(row) for row in await tx.execute(text(reads))] == [(who, "address", "iel", "IEL-1")]


async def enrolled_by_hand(database: Database, agent_id: str) -> None:
    by_hand = an_agent(agent_id, issuer="cnfpt", email=AGENT.email.upper())
    await take(notifier, database, [received(a_decision(AgentEnrolled, enrolment_id=uuid4(), agent=by_hand))])


@pytest.mark.parametrize("command", ["export", "erase"])
async def test_who_asks_for_an_agent_is_told_of_other_identifiers_with_their_address_and_that_is_recorded(
    agent: RunCommand, enrolment_database: Database, notifier_database: Database, command: str
) -> None:
    await enrol(enrolment_database)
    for agent_id in ("main-1", "main-2"):
        await enrolled_by_hand(notifier_database, agent_id)

    code, output = await agent(command, "iel", "IEL-1")

    assert code == 0
    for agent_id in ("main-1", "main-2"):
        assert f"\nThe same address is that of {agent_id} of cnfpt, too, which is not in this." in output
    assert "that of IEL-1" not in output
    async with notifier_database.quiet_transaction() as tx:
        reads = await tx.execute(text("SELECT actor, kind, issuer, agent_id FROM read_log ORDER BY agent_id"))
        who = getpass.getuser()
        assert [tuple(row) for row in reads] == [
            (who, "address", "cnfpt", "main-1"),
            (who, "address", "cnfpt", "main-2"),
        ]


async def test_an_address_leads_to_its_agents_also_where_it_stands_in_a_dead_letter_alone(
    agent: RunCommand, enrolment_database: Database
) -> None:
    rejected = [
        (b'{"session_id": 1, "agent": {"agent_id": "IEL-9", "email": "Zoe@rejet.fr"}}', "essai"),
        (b'{"agent": {"agent_id": "IEL 9", "email": "zoe@rejet.fr"}}', "essai"),
        (b'{"agent_id": "IEL-8", "email": "another@rejet.fr"}', "essai"),
        (b"no JSON: zoe@rejet.fr", None),
    ]
    async with enrolment_database.transaction() as tx:
        for offset, (value, portal) in enumerate(rejected):
            record = a_record(value, offset=offset)
            await dead_letters.keep_rejected(tx, [Rejected(record, RejectionCode.INVALID, (), portal=portal)])
        ids = list(await tx.scalars(text("SELECT id FROM dead_letter ORDER BY id")))

    code, output = await agent("find", "zoe@rejet.fr")

    assert code == 0
    assert output.splitlines()[0] == "essai\tIEL-9\tenrolment"
    assert "IEL-8" not in output
    shown = [f"dead-letters show {letter_id}" in output for letter_id in ids]
    assert shown == [False, True, False, True]
    async with enrolment_database.quiet_transaction() as tx:
        assert list(await tx.scalars(text("SELECT agent_id FROM read_log"))) == ["IEL-9"]


async def test_a_correction_is_requested_by_the_outbox_and_reaches_enrolments_and_letters(
    agent: RunCommand, enrolment_database: Database, notifier_database: Database
) -> None:
    await enrol(enrolment_database)
    await take(notifier, notifier_database, [received(a_decision(AgentEnrolled, agent=AGENT))])
    code, output = await agent(
        "correct", "iel", "IEL-1", "--email", "zoe@juste.fr", "--family-name", "Durand-Roy"
    )
    assert code == 0
    async with enrolment_database.quiet_transaction() as tx:
        event = (await tx.execute(text(_LAST_OF_OUTBOX))).one()
    assert str(event.event_id) in output
    assert (event.source, event.topic) == ("/services/enrolment", "portal.agents")

    # No portal sent it: the data says who issued the identifier.
    request = AgentCorrected.model_validate_json(event.data)
    asked = replace(received(request, event.event_id), source=event.source)
    await take(enrolment, enrolment_database, [asked], policy=Policy())
    async with enrolment_database.quiet_transaction() as tx:
        [kept] = await tx.execute(text("SELECT issuer, before, after FROM correction"))
        [decision] = await tx.scalars(
            text("SELECT data FROM outbox WHERE type LIKE '%AgentDetailsCorrected%'")
        )
    assert json.loads(decision)["corrected_by"] == "support"
    assert kept.issuer == "iel"
    assert kept.before == [{"email": AGENT.email, "family_name": "Durand"}]
    assert kept.after == {"email": "zoe@juste.fr", "family_name": "Durand-Roy"}
    await take(notifier, notifier_database, [received(AgentDetailsCorrected.model_validate_json(decision))])
    async with notifier_database.quiet_transaction() as tx:
        await tx.execute(text("UPDATE mail SET needs_session = false"))
        claimed, _ = await claims.claim(
            tx,
            uuid4(),
            list(Priority),
            most=10,
            lease=timedelta(minutes=1),
            message_domain="x.example",
            now=clock.now(),
        )
    letters = {letter.mail.template: letter.mail for letter in claimed}
    confirmed = letters[LetterType.CONFIRMED]
    assert (confirmed.address, confirmed.family_name) == ("zoe@juste.fr", "Durand-Roy")
    assert letters[LetterType.ADDRESS_CORRECTED].address == AGENT.email


@pytest.mark.parametrize(
    ("agent_id", "options", "is_asked"),
    [("IEL-2", (), False), ("IEL-2", ("--anyway",), True), ("IEL-1", (), True)],
)
async def test_a_correction_of_an_identifier_that_nobody_has_is_requested_of_nobody_unless_one_insists(
    agent: RunCommand, enrolment_database: Database, agent_id: str, options: tuple[str, ...], is_asked: bool
) -> None:
    await enrol(enrolment_database)
    code, output = await agent("correct", "iel", agent_id, "--email", "zoe@juste.fr", *options)
    assert code == (0 if is_asked else 1)
    assert (f"No address is known of {agent_id} of iel: nothing was done." in output) is not is_asked
    async with enrolment_database.quiet_transaction() as tx:
        published = await tx.scalar(text("SELECT count(*) FROM outbox WHERE data LIKE '%juste%'"))
    assert published == int(is_asked)


@pytest.mark.parametrize(
    ("command", "by", "who"),
    [
        (("erase",), (), getpass.getuser()),
        (("correct", "--given-name", "Zoé"), ("--by", "marie"), "marie"),
    ],
)
async def test_who_asked_for_a_correction_or_an_erasure_is_known_by_the_request(
    agent: RunCommand, enrolment_database: Database, command: tuple[str, ...], by: tuple[str, ...], who: str
) -> None:
    await enrol(enrolment_database)
    code, output = await agent(command[0], "iel", "IEL-1", *command[1:], *by)
    assert code == 0
    async with enrolment_database.quiet_transaction() as tx:
        [line] = await tx.execute(text("SELECT actor, kind, issuer, agent_id, about FROM read_log"))
    kind = {"erase": "erasure", "correct": "correction"}[command[0]]
    assert tuple(line[:4]) == (who, kind, "iel", "IEL-1")
    assert f"Requested as {line.about}." in output


_LAST_OF_OUTBOX = "SELECT event_id, source, topic, data FROM outbox ORDER BY id DESC LIMIT 1"


@pytest.mark.parametrize(
    ("given", "output"),
    [
        ((), "Nothing to correct: give --email, --given-name or --family-name."),
        (("--email", "zoe"), "--email cannot be right"),
        (("--email", ""), "--email cannot be right"),
        (
            ("--given-name", "", "--family-name", "http://x.fr"),
            "--given-name and --family-name cannot be right",
        ),
    ],
)
async def test_what_cannot_be_right_is_not_requested(
    agent: RunCommand, enrolment_database: Database, given: tuple[str, ...], output: str
) -> None:
    code, answer = await agent("correct", "iel", "IEL-1", *given)
    assert (code, answer.count("\n")) == (2, 1)
    assert output in answer
    async with enrolment_database.quiet_transaction() as tx:
        assert await tx.scalar(text("SELECT count(*) FROM outbox")) == 0


@pytest.mark.parametrize("command", [("erase",), ("correct", "--email", "zoe@juste.fr", "--anyway")])
async def test_without_a_key_to_sign_with_nothing_is_requested(
    agent: RunCommand, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("INTAKE_SIGNING_KEY")
    code, output = await agent(command[0], "iel", "IEL-1", *command[1:])
    assert code == 2
    assert "INTAKE_SIGNING_KEY is not set" in output


async def test_an_erasure_of_whom_no_address_is_known_says_what_ends(
    agent: RunCommand, enrolment_database: Database
) -> None:
    await enrol(enrolment_database)
    leaves = WithdrawalRequested(session_id=uuid4(), agent_id="IEL-7", by="agent")
    await take(enrolment, enrolment_database, [received(leaves, issuer="iel")], policy=Policy())
    for agent_id, is_warned in (("NOPE-1", True), ("IEL-7", True), ("IEL-1", False)):
        code, output = await agent("erase", "iel", agent_id)
        assert code == 0
        assert (f"No address is known of {agent_id} of iel" in output) is is_warned
        assert ("What is kept by this identifier alone ends" in output) is is_warned


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("export", "ouest", "IEL-1"), 1, "Nothing is kept of IEL-1 of ouest."),
        (("find", "personne@exemple.fr"), 1, "No agent is known by this address."),
        (("find", "personne"), 2, "This is no address"),
        (("export", "iel", "IEL 1"), 2, "cannot be an i"),
        (("correct", "IEL!", "IEL-1"), 2, "cannot be an i"),
        (("erase", "", "IEL-1"), 2, "cannot be an i"),
    ],
)
async def test_an_unknown_or_impossible_name_is_said(
    agent: RunCommand, arguments: tuple[str, ...], code: int, said: str
) -> None:
    ended, output = await agent(*arguments)
    assert ended == code
    assert said in output
