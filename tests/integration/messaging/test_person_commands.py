"""``parcours person export | erase``, as an operator types them: of who is no agent and has an address."""

import json
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text

from services import agent as agent_commands
from services.catalogue.handlers import router as catalogue
from services.catalogue.store.outbox import OUTBOX
from services.catalogue.tables import metadata as catalogue_tables
from services.enrolment.handlers import router as enrolment
from services.enrolment.tables import metadata as enrolment_tables
from services.notifier.handlers import router as notifier
from services.notifier.service import mails, subscriptions
from services.notifier.tables import metadata as notifier_tables
from services.person import app
from shared import read_log
from shared.database import Database
from shared.events.catalogue import (
    BespokeAnswer,
    BespokeRequestAnswered,
    SessionTrainer,
    SessionTrainersChanged,
)
from shared.events.enrolment import AgentEnrolled
from shared.events.erasure import AgentErased
from shared.events.portal import BespokeTrainingRequested, EnrolmentRequested
from shared.events.vocabulary import Contact
from shared.messaging import dead_letters
from shared.messaging.dead_letters import Parked
from shared.permissions import Role
from shared.read_log import Reading, ReadKind
from tests.conftest import SecurityLines
from tests.integration.messaging.conftest import RunOperator
from tests.integration.messaging.test_agent_commands import RunCommand, read_json
from tests.support.builders import an_agent, open_now
from tests.support.consuming import a_record, received, take
from tests.support.guards import a_guard
from tests.support.searching import MARK, columns_with
from tests.support.statements import execute
from tests.unit.notifier.builders import a_decision

ADDRESS = f"{MARK}@exemple.fr"
OFFICER = Contact(name=MARK, email=ADDRESS)
OF_AGENTS = (
    "What is known of agents who have this address is not in this: parcours agent find ADDRESS says who they "
    "are, for parcours agent export | erase ISSUER AGENT_ID\n"
)
METADATA = {"catalogue": catalogue_tables, "enrolment": enrolment_tables, "notifier": notifier_tables}
Stores = dict[str, Database]


@pytest.fixture
def stores(catalogue_database: Database, enrolment_database: Database, notifier_database: Database) -> Stores:
    return {"catalogue": catalogue_database, "enrolment": enrolment_database, "notifier": notifier_database}


@pytest.fixture
def person(operator: RunOperator) -> RunCommand:
    """The command line; returns its code and its output."""

    async def run(*arguments: str) -> tuple[int, str]:
        done = await operator(*arguments, app=app)
        return done.exit_code, done.output

    return run


@pytest.fixture
async def lived(stores: Stores) -> Stores:
    """Databases with the mark of somebody who is no agent, in every way that they come into the services."""
    requested = BespokeTrainingRequested(
        siret="21350238800019",
        authority="Ville de Rennes",
        delegation="bretagne",
        requested_by=OFFICER,
        theme="enjeux-ia",
        trainees=15,
        message=f"Appelez {MARK}.",
    )
    record = received(requested)
    await take(catalogue, stores["catalogue"], [record])
    answered = BespokeRequestAnswered(
        request_id=record.id,
        siret=requested.siret,
        answer=BespokeAnswer.DECLINED,
        requested_by=OFFICER,
        advisor=OFFICER,
    )
    await take(notifier, stores["notifier"], [received(answered)])
    await take(enrolment, stores["enrolment"], [received(answered)])
    named = SessionTrainer(trainer_id=uuid4(), name=MARK, email=ADDRESS)
    trainers = SessionTrainersChanged(session_id=uuid4(), session_version=1, trainers=(named,))
    async with stores["catalogue"].transaction() as tx:
        await dead_letters.park(tx, [Parked(a_record(requested), None, "no reason", MARK)])
        reading = Reading("anne", Role.ADMIN, f"appel de {MARK}")
        await read_log.record(tx, reading, ReadKind.BESPOKE, about=[record.id])
        await tx.execute(text(_LOG_IN), {"name": ADDRESS})
        await OUTBOX.publish(tx, [trainers])
    async with stores["notifier"].transaction() as tx:
        await subscriptions.request(tx, ADDRESS, ["theme:enjeux-ia"], ["Enjeux"], a_guard().digest)
        await mails.find(tx, reading=Reading("ali", Role.SUPPORT, f"appel de {MARK}"))
    await take(notifier, stores["notifier"], [received(trainers)])
    for database in stores.values():
        await execute(database, "UPDATE outbox SET sent_at = now()")
    return stores


_LOG_IN = (
    "INSERT INTO login (digest, owner, form_key, opened_at, used_at, expires_at, browser, name) "
    "VALUES ('x', 'x', 'x', now(), now(), now() + interval '1 hour', 'Firefox', :name)"
)


async def left(stores: Stores) -> set[tuple[str, str]]:
    return {
        (service, table)
        for service, database in stores.items()
        for table, _ in await columns_with(database, METADATA[service])
    }


async def test_what_is_kept_of_a_person_is_printed(person: RunCommand, lived: Stores, tmp_path: Path) -> None:
    page = tmp_path / "page.html"

    code, printed = await person("export", ADDRESS.upper(), "--page", str(page))

    assert code == 0
    kept = read_json(printed)["services"]
    assert kept["catalogue"].keys() == {"bespoke_request", "dead_letter", "login", "outbox", "read_log"}
    assert kept["notifier"].keys() == {"mail", "read_log", "subscription_request", "trainer"}
    assert [line["actor"] for line in kept["catalogue"]["read_log"]] == ["anne"]
    assert [line["actor"] for line in kept["notifier"]["read_log"]] == ["ali", "ali"]
    assert MARK in page.read_text()
    assert printed.endswith("}\n" + OF_AGENTS)


async def test_a_person_is_forgotten_by_all_services_and_the_proof_names_nobody(
    *,
    person: RunCommand,
    operator: RunOperator,
    lived: Stores,
    security_lines: SecurityLines,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DELEGATION_CONTACTS", '{"bretagne": {"organisers": ["autre@exemple.fr"]}}')
    assert ("enrolment", "outbox") in await left(lived)

    code, output = await person("erase", ADDRESS)

    assert code == 0, output
    assert MARK not in output
    assert "DELEGATION_CONTACTS" not in output
    assert output.endswith(OF_AGENTS)
    assert await left(lived) == set()
    [line] = security_lines()
    assert line["message"] == "erasure ok who=operator where=parcours person erase times=1"
    assert await execute(lived["catalogue"], "SELECT actor, purpose FROM read_log") == [("anne", None)]
    reads = await execute(lived["notifier"], "SELECT actor, issuer, agent_id, purpose FROM read_log")
    assert reads == [("ali", None, None, None)] * 2
    request_id = output.split()[0]
    for service, database in lived.items():
        [proof] = await execute(database, "SELECT CAST(request_id AS text), issuer, agent_id FROM erasure")
        assert proof == (request_id, None, None)
        [event] = await execute(database, "SELECT data FROM outbox WHERE type = :type", type=AgentErased.TYPE)
        answer = AgentErased.model_validate_json(event.data)
        assert answer.service == service
        await take(notifier, lived["notifier"], [received(answer)])
    followed = await operator("erasures", request_id, app=agent_commands.app)
    assert (followed.exit_code, followed.output.count("not yet")) == (0, 0)

    assert (await person("erase", ADDRESS))[0] == 0, "it may be run again"
    code, output = await person("export", ADDRESS)
    assert (code, "Nothing is kept of this address" in output) == (1, True)


async def test_an_address_that_a_setting_has_written_to_again_is_said(
    person: RunCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    contacts = {"bretagne": {"contact": "other@exemple.fr", "organisers": [ADDRESS.upper()]}}
    monkeypatch.setenv("DELEGATION_CONTACTS", json.dumps(contacts))
    code, output = await person("erase", ADDRESS)
    assert (code, "DELEGATION_CONTACTS of the notifier names this address" in output) == (0, True)


async def test_agents_with_the_address_and_the_authors_of_reads_stay(
    person: RunCommand, stores: Stores
) -> None:
    agent = an_agent("B-1", email=ADDRESS, issuer="iel")
    await take(notifier, stores["notifier"], [received(a_decision(AgentEnrolled, agent=agent))])
    request = EnrolmentRequested(session_id=open_now().session_id, agent=agent)
    async with stores["enrolment"].transaction() as tx:
        await dead_letters.park(tx, [Parked(a_record(request), None, "no reason")])
        await read_log.record(tx, Reading(ADDRESS, Role.ADMIN, "x"), ReadKind.MAIL, agents=[agent.key])
    before = await left(stores)

    code, printed = await person("export", ADDRESS)
    kept = read_json(printed)["services"]
    assert (code, kept["catalogue"], kept["notifier"]) == (0, {}, {})
    [proof] = kept["enrolment"]["read_log"]
    assert (proof.keys(), proof["actor"]) == ({"at", "actor"}, ADDRESS)

    assert (await person("erase", ADDRESS))[0] == 0
    assert await left(stores) == before


_ANSWER_TO_THE_OFFICER = (
    "INSERT INTO outbox (bucket, topic, key, event_id, type, source, data) VALUES "
    "(0, 'catalogue.bespoke', 'x', gen_random_uuid(), 'x', '/services/catalogue', :data)"
)


async def test_what_is_on_its_way_is_waited_for(person: RunCommand, lived: Stores) -> None:
    await execute(lived["catalogue"], _ANSWER_TO_THE_OFFICER, data=OFFICER.model_dump_json())
    await execute(
        lived["notifier"],
        "UPDATE mail SET state = 'data_started', owner = gen_random_uuid(), lease_until = now()",
    )
    code, output = await person("erase", ADDRESS)
    assert code == 1
    assert "Not done by catalogue, notifier" in output
    assert {name for name, _ in await left(lived)} == {"catalogue", "notifier"}

    await execute(lived["catalogue"], "UPDATE outbox SET sent_at = now()")
    await execute(
        lived["notifier"],
        "UPDATE mail SET state = 'sent', owner = NULL, lease_until = NULL, settled_at = now()",
    )
    assert (await person("erase", ADDRESS))[0] == 0
    assert await left(lived) == set()
