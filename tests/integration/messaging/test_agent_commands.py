"""``parcours agent find | export | correct | erase | erasures``, as an operator types them."""

import getpass
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from services.agent import app
from services.enrolment.handlers import router as enrolment
from services.enrolment.rules.policy import Policy
from services.enrolment.service import sessions
from services.notifier.handlers import router as notifier
from services.notifier.letters import LetterType, Priority
from services.notifier.store import claims
from shared import clock
from shared.database import Database
from shared.events.enrolment import AgentDetailsCorrected, AgentEnrolled
from shared.events.erasure import AgentErased
from shared.events.outcomes import RejectionCode
from shared.events.portal import (
    AgentCorrected,
    AgentErasureRequested,
    EnrolmentRequested,
    SubscriptionChanged,
)
from shared.messaging import dead_letters
from shared.messaging.portals.admission import Rejected
from tests.conftest import SecurityLines
from tests.integration.enrolment.conftest import INTAKE_KEY
from tests.integration.messaging.conftest import RunOperator
from tests.integration.messaging.test_dead_letters import a_record
from tests.support.builders import an_agent, open_now
from tests.support.consuming import received, take
from tests.support.processes import SERVICES
from tests.support.statements import execute
from tests.unit.notifier.builders import a_decision

RunCommand = Callable[..., Awaitable[tuple[int, str]]]
AGENT = an_agent("IEL-1", given_name="Zoé", family_name="Durand", issuer="iel")
WHO = getpass.getuser()
OF_OWNERS = (
    "What the owner of an address confirmed on our page, or wrote as an officer, is not in this: "
    "parcours person export | erase ADDRESS. Nor is what is known by another identifier of the person, such "
    "as one of cnfpt: parcours agent find ADDRESS first, then each.\n"
)


def read_json(printed: str) -> Any:
    """What stands before the line on standard error that says what is not in it."""
    return json.JSONDecoder().raw_decode(printed)[0]


@pytest.fixture
def agent(operator: RunOperator, services_set_up: pytest.MonkeyPatch) -> RunCommand:
    """The command line; returns its code and its output."""
    services_set_up.setenv("INTAKE_SIGNING_KEY", INTAKE_KEY)

    async def run(*arguments: str) -> tuple[int, str]:
        done = await operator(*arguments, app=app)
        return done.exit_code, done.output

    return run


@pytest.fixture
async def enrolled(enrolment_database: Database) -> Database:
    """The database of enrolment, where the agent has a seat."""
    session = open_now()
    async with enrolment_database.transaction() as tx:
        await sessions.apply_states(tx, {session.session_id: session}, Policy(), clock.now())
    request = EnrolmentRequested(session_id=session.session_id, agent=AGENT)
    await take(enrolment, enrolment_database, [received(request, issuer="iel")], policy=Policy())
    return enrolment_database


READS = "SELECT actor, kind, issuer, agent_id FROM read_log ORDER BY agent_id"
LAST_OF_OUTBOX = "SELECT event_id, source, topic, data FROM outbox ORDER BY id DESC LIMIT 1"


async def test_what_is_kept_of_an_agent_is_printed_from_all_services_and_the_next_export_tells_of_it(
    *,
    agent: RunCommand,
    enrolled: Database,
    notifier_database: Database,
    tmp_path: Path,
    security_lines: SecurityLines,
) -> None:
    await take(notifier, notifier_database, [received(a_decision(AgentEnrolled, agent=AGENT))])
    page = tmp_path / "page.html"
    page.touch(0o644)

    code, printed = await agent("export", "iel", "IEL-1", "--page", str(page))

    assert code == 0
    kept = read_json(printed)["services"]
    assert kept["enrolment"].keys() == {"enrolment", "request", "outbox"}
    assert kept["enrolment"]["enrolment"][0]["agent"]["family_name"] == "Durand"
    assert kept["enrolment"]["request"][0]["session"]["title"] == open_now().title
    assert kept["notifier"]["mail"][0]["address"] == AGENT.email
    assert kept["catalogue"] == {}
    assert f"courriel\N{NO-BREAK SPACE}: {AGENT.email}" in page.read_text()
    assert page.stat().st_mode & 0o777 == 0o600
    assert printed.endswith("}\n" + OF_OWNERS)
    [logged] = security_lines()
    assert logged["message"] == "export ok who=operator where=parcours agent export times=1"
    _, printed = await agent("export", "iel", "IEL-1", "--page", str(page))
    [line] = read_json(printed)["services"]["enrolment"]["read_log"]
    assert (line["kind"], line["actor"]) == ("export", WHO)
    # Once for each of two services, though the register has two entries for this table: of agents, of staff.
    assert page.read_text().count("<h3>Consultations de données") == 2


async def test_an_erasure_is_requested_by_the_outbox_and_followed_by_its_id(
    agent: RunCommand,
    enrolment_database: Database,
    notifier_database: Database,
    security_lines: SecurityLines,
) -> None:
    code, output = await agent("erase", "cnfpt", "main-1")
    assert (code, output.endswith(OF_OWNERS)) == (0, True)
    [logged] = security_lines()
    assert logged["message"] == "erasure ok who=operator where=parcours agent erase times=1"
    assert await execute(enrolment_database, READS) == [(WHO, "erasure", "cnfpt", "main-1")]
    [(event_id, source, topic, data)] = await execute(enrolment_database, LAST_OF_OUTBOX)
    assert f"Requested as {event_id}." in output
    assert (source, topic) == ("/services/enrolment", "portal.agents")
    assert json.loads(data)["issuer"] == "cnfpt"

    assert await agent("erasures", str(event_id)) == (1, "parcours: No such request came here.\n")
    request = AgentErasureRequested.model_validate_json(data)
    await take(notifier, notifier_database, [received(request, event_id)])
    for number, service in enumerate(SERVICES, 1):
        answer = AgentErased(
            request_id=event_id, request_source="/tests", service=service, erased_at=clock.now()
        )
        await take(notifier, notifier_database, [received(answer)])
        code, output = await agent("erasures", str(event_id))
        assert (code, output.count("not yet")) == (int(number < 3), 3 - number)
        assert "main-1" not in output


async def test_an_address_leads_to_its_agents_present_and_former_and_each_search_is_recorded(
    agent: RunCommand, enrolled: Database, notifier_database: Database
) -> None:
    await take(notifier, notifier_database, [received(a_decision(AgentEnrolled, agent=AGENT))])
    follows = SubscriptionChanged(
        agent_id="O-7", email=AGENT.email.upper(), theme="enjeux-ia", subscribed=True
    )
    await take(notifier, notifier_database, [received(follows, issuer="ouest")])
    correction = AgentCorrected(issuer="iel", agent_id="IEL-1", email="zoe@juste.fr")
    await take(enrolment, enrolled, [received(correction)], policy=Policy())

    code, output = await agent("find", AGENT.email)

    assert code == 0
    assert output.splitlines()[:2] == ["iel\tIEL-1\tenrolment, notifier", "ouest\tO-7\tnotifier"]
    ours, theirs = (WHO, "address", "iel", "IEL-1"), (WHO, "address", "ouest", "O-7")
    assert await execute(notifier_database, READS) == [ours, theirs]
    assert await execute(enrolled, READS) == [ours]


@pytest.mark.parametrize("command", ["export", "erase"])
async def test_an_operator_learns_of_other_identifiers_with_the_same_address_and_that_is_recorded(
    agent: RunCommand, enrolled: Database, notifier_database: Database, command: str
) -> None:
    for agent_id in ("main-1", "main-2"):
        by_hand = an_agent(agent_id, issuer="cnfpt", email=AGENT.email.upper())
        decision = a_decision(AgentEnrolled, enrolment_id=uuid4(), agent=by_hand)
        await take(notifier, notifier_database, [received(decision)])

    code, output = await agent(command, "iel", "IEL-1")

    assert code == 0
    for agent_id in ("main-1", "main-2"):
        assert f"\nThe same address is that of {agent_id} of cnfpt, too, which is not in this." in output
    assert "that of IEL-1" not in output
    assert await execute(notifier_database, READS) == [
        (WHO, "address", "cnfpt", agent_id) for agent_id in ("main-1", "main-2")
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
    for offset, (value, portal) in enumerate(rejected):
        rejection = Rejected(a_record(value, offset=offset), RejectionCode.INVALID, (), portal=portal)
        async with enrolment_database.transaction() as tx:
            await dead_letters.keep_rejected(tx, [rejection])

    code, output = await agent("find", "zoe@rejet.fr")

    assert (code, output.splitlines()[0]) == (0, "essai\tIEL-9\tenrolment")
    assert "IEL-8" not in output
    assert [f"dead-letters show {number}" in output for number in (1, 2, 3, 4)] == [False, True, False, True]
    assert await execute(enrolment_database, "SELECT agent_id FROM read_log") == [("IEL-9",)]


async def test_a_correction_is_requested_by_the_outbox_and_reaches_enrolments_and_letters(
    agent: RunCommand,
    enrolled: Database,
    notifier_database: Database,
    security_lines: SecurityLines,
) -> None:
    await take(notifier, notifier_database, [received(a_decision(AgentEnrolled, agent=AGENT))])
    given = ("--email", "zoe@juste.fr", "--family-name", "Durand-Roy", "--by", "marie")
    code, output = await agent("correct", "iel", "IEL-1", *given)
    assert code == 0
    [(event_id, source, topic, data)] = await execute(enrolled, LAST_OF_OUTBOX)
    assert f"Requested as {event_id}." in output
    [logged] = security_lines()
    assert logged["message"] == "correction ok who=operator where=parcours agent correct times=1"
    read_log = await execute(enrolled, "SELECT actor, kind, agent_id, about FROM read_log")
    assert read_log == [("marie", "correction", "IEL-1", str(event_id))]
    assert (source, topic) == ("/services/enrolment", "portal.agents")

    # No portal sent it: the data says who issued the identifier.
    request = replace(received(AgentCorrected.model_validate_json(data), event_id), source=source)
    await take(enrolment, enrolled, [request], policy=Policy())

    assert await execute(enrolled, "SELECT issuer, before, after FROM correction") == [
        (
            "iel",
            [{"email": AGENT.email, "family_name": "Durand"}],
            {"email": "zoe@juste.fr", "family_name": "Durand-Roy"},
        )
    ]
    decided = "SELECT data FROM outbox WHERE type LIKE '%AgentDetailsCorrected%'"
    [(decision,)] = await execute(enrolled, decided)
    assert json.loads(decision)["corrected_by"] == "support"
    await take(notifier, notifier_database, [received(AgentDetailsCorrected.model_validate_json(decision))])
    async with notifier_database.quiet_transaction() as tx:
        await tx.execute(text("UPDATE mail SET needs_session = false"))
        lease: dict[str, Any] = {
            "lease": timedelta(minutes=1),
            "message_domain": "x.example",
            "now": clock.now(),
        }
        claimed, _ = await claims.claim(tx, uuid4(), list(Priority), most=10, **lease)
    assert {letter.mail.template: letter.mail.address for letter in claimed} == {
        LetterType.CONFIRMED: "zoe@juste.fr",
        LetterType.ADDRESS_CORRECTED: AGENT.email,
    }


@pytest.mark.parametrize(
    ("agent_id", "options", "is_asked"),
    [("IEL-2", (), False), ("IEL-2", ("--anyway",), True)],
    ids=["unknown", "unknown, anyway"],
)
async def test_a_correction_of_an_identifier_that_nobody_has_is_requested_only_by_insisting(
    agent: RunCommand, enrolled: Database, agent_id: str, options: tuple[str, ...], is_asked: bool
) -> None:
    code, output = await agent("correct", "iel", agent_id, "--email", "zoe@juste.fr", *options)
    assert code == (0 if is_asked else 1)
    assert (f"No address is known of {agent_id} of iel: nothing was done." in output) is not is_asked
    requested = await execute(enrolled, "SELECT 1 FROM outbox WHERE data LIKE '%juste%'")
    assert len(requested) == int(is_asked)


async def test_without_a_key_to_sign_with_nothing_is_requested(
    agent: RunCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("INTAKE_SIGNING_KEY")
    code, output = await agent("correct", "iel", "IEL-1", "--email", "zoe@juste.fr", "--anyway")
    assert (code, "INTAKE_SIGNING_KEY is not set" in output) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("export", "ouest", "IEL-1"), 1, "Nothing is kept of IEL-1 of ouest."),
        (("find", "personne@exemple.fr"), 1, "No agent is known by this address."),
        (("find", "personne"), 2, "This is no address"),
        (("export", "iel", "IEL 1"), 2, "cannot be an i"),
        (("erase", "", "IEL-1"), 2, "cannot be an i"),
        (("correct", "IEL!", "IEL-1"), 2, "cannot be an i"),
        (("correct", "iel", "IEL-1"), 2, "Nothing to correct: give --email, --given-name or --family-name."),
        (("correct", "iel", "IEL-1", "--email", "zoe"), 2, "--email cannot be right"),
        (
            ("correct", "iel", "IEL-1", "--given-name", "", "--family-name", "http://x.fr"),
            2,
            "--given-name and --family-name cannot be right",
        ),
    ],
)
async def test_what_is_unknown_or_cannot_be_right_is_said_and_nothing_is_requested(
    agent: RunCommand, enrolment_database: Database, arguments: tuple[str, ...], code: int, said: str
) -> None:
    ended, output = await agent(*arguments)
    assert (ended, said in output) == (code, True)
    assert await execute(enrolment_database, "SELECT 1 FROM outbox") == []
