"""``parcours trace``: the way of one request, from the databases that are set and from the topics."""

import getpass
from uuid import UUID, uuid4

import pytest

from local.kafka import KafkaBroker
from local.tansu import TansuBroker
from services.enrolment.handlers import router as enrolment
from services.enrolment.rules.policy import Policy
from services.enrolment.service import intake
from shared import clock
from shared.database import Database
from shared.events.catalogue import SessionScheduled
from shared.events.index import BY_TYPE
from shared.events.outcomes import RejectionCode
from shared.events.portal import EnrolmentRequested
from shared.messaging import dead_letters
from shared.messaging.portals.admission import Rejected
from shared.messaging.portals.registry import PortalsFile
from shared.references import reference_of
from tests.integration.catalogue.test_bespoke import a_bespoke_request
from tests.integration.catalogue.test_bespoke import hear as hear_by_catalogue
from tests.integration.console.conftest import NOWHERE, ConsoleResult, RunConsole
from tests.integration.enrolment.conftest import Front
from tests.integration.messaging.test_dead_letters import a_record
from tests.integration.notifier.conftest import Notifier, by_day, relay
from tests.support import catalogue
from tests.support.builders import an_agent, headers, open_now
from tests.support.consuming import received, take
from tests.support.kafka import KafkaPortal
from tests.support.smtp import Drop, Reply, ScriptedRelay, SmtpAction
from tests.support.statements import execute

__all__ = ["by_day", "relay"]

AGENT = an_agent("IEL-1", given_name="Zoé", family_name="Durand", issuer="iel")
SESSION = open_now()
REQUEST = UUID("5f0c1f5e-2f0e-4d0e-9d0c-0d6d1f9f2a11")


@pytest.fixture
async def notifier(notifier_database: Database, relay: ScriptedRelay) -> Notifier:
    return Notifier(notifier_database, relay)


async def request_a_seat(database: Database) -> tuple[UUID, UUID]:
    """Have a request decided; returns the ids of the enrolment and of the decision."""
    await Front(database).publish(SESSION)
    request = EnrolmentRequested(session_id=SESSION.session_id, agent=AGENT)
    await take(enrolment, database, [received(request, REQUEST, issuer="iel")], policy=Policy())
    [(enrolment_id,)] = await execute(database, "SELECT enrolment_id FROM enrolment")
    [(event_id,)] = await execute(database, "SELECT event_id FROM outbox WHERE topic = 'enrolment.decisions'")
    return enrolment_id, event_id


async def publish(database: Database, *, minutes_ago: int = 0) -> None:
    await execute(database, f"UPDATE outbox SET sent_at = now() - interval '{minutes_ago} minutes'")


async def hear(database: Database, notifier: Notifier, event_id: UUID) -> None:
    """Have the notifier hear the session and the decision, as enrolment published it."""
    await notifier.hear(SessionScheduled.model_validate(SESSION.model_dump()))
    [(kind, data)] = await execute(database, f"SELECT type, data FROM outbox WHERE event_id = '{event_id}'")
    await notifier.hear(BY_TYPE[kind].model_validate_json(data), ids=[event_id])


async def the_whole_way(database: Database, notifier: Notifier) -> tuple[UUID, UUID]:
    enrolment_id, event_id = await request_a_seat(database)
    await publish(database)
    await hear(database, notifier, event_id)
    await notifier.deliver()
    return enrolment_id, event_id


def whats(done: ConsoleResult) -> list[str]:
    return [line["what"] for line in done.findings if line["about"] != "kafka"]


async def test_the_way_of_a_request_goes_from_its_receipt_to_the_relays_answer(
    console: RunConsole,
    database: Database,
    notifier: Notifier,
    tansu: TansuBroker,
    in_environment: pytest.MonkeyPatch,
) -> None:
    in_environment.setenv("KAFKA_BOOTSTRAP_SERVERS", tansu.bootstrap_servers)
    enrolment_id, event_id = await the_whole_way(database, notifier)
    [(mail_id,)] = await execute(notifier.database, "SELECT mail_id FROM mail")
    whole = ["received", "decided", "published", "heard", "queued", "sent"]
    for identifier in (enrolment_id, mail_id, reference_of(enrolment_id)):
        assert whats(await console("trace", str(identifier))) == whole
    done = await console("trace", str(REQUEST))
    assert (done.code, whats(done)) == (0, whole)
    assert f"AgentEnrolled {event_id}" in done.about("enrolment", "published")["found"]
    assert str(event_id) in done.about("notifier", "heard")["found"]
    assert "250 taken" in done.about("notifier", "sent")["found"]
    assert [line["at"] for line in done.findings] == sorted(line["at"] for line in done.findings)

    in_environment.setenv("NOTIFIER_DATABASE_URL", NOWHERE)
    in_environment.delenv("CATALOGUE_DATABASE_URL")
    done = await console("trace", str(REQUEST))
    assert (done.code, whats(done)) == (2, ["received", "decided", "published", "trace", "trace"])
    assert "cannot be used" in done.about("notifier", "trace")["found"]


async def test_nobody_is_named_unless_it_is_asked_for_and_each_read_is_kept(
    console: RunConsole, database: Database, notifier: Notifier
) -> None:
    await the_whole_way(database, notifier)
    printed = str((await console("trace", str(REQUEST))).findings)
    for part in (AGENT.email, AGENT.family_name, AGENT.given_name, AGENT.agent_id):
        assert part not in printed
    printed = str((await console("trace", str(REQUEST), "--with-personal-data", "--by", "zoe")).findings)
    assert printed.count(f"Zoé Durand <{AGENT.email}>") == 2
    for service, kind in ((database, "explanation"), (notifier.database, "mails")):
        reads = await execute(service, "SELECT actor, kind, agent_id FROM read_log ORDER BY id")
        assert reads == [(actor, kind, "IEL-1") for actor in (getpass.getuser(), "zoe")]


async def test_where_the_way_ends_too_early_is_said(
    console: RunConsole, database: Database, notifier: Notifier
) -> None:
    _, event_id = await request_a_seat(database)
    assert (await console("trace", str(REQUEST))).about("enrolment", "not published")["mark"] == "act"
    await publish(database, minutes_ago=2)
    assert (await console("trace", str(REQUEST))).about("notifier", "not heard")["mark"] == "act"
    await publish(database)
    assert "not heard" not in whats(await console("trace", str(REQUEST)))
    await hear(database, notifier, event_id)
    assert (await console("trace", str(REQUEST))).about("notifier", "pending")["mark"] == "ok"
    await execute(notifier.database, "UPDATE mail SET due_at = now() - interval '11 minutes'")
    done = await console("trace", str(REQUEST))
    assert (done.code, done.about("notifier", "pending")["mark"]) == (1, "act")


@pytest.mark.parametrize(
    ("command", "answer", "state"),
    [("DOT", Drop(), "ambiguous"), ("RCPT", Reply("550 5.1.1 <zoe@ville.example> unknown"), "failed")],
    ids=["ambiguous", "failed"],
)
async def test_a_mail_that_ended_badly_wants_somebody(
    *,
    console: RunConsole,
    database: Database,
    notifier: Notifier,
    command: str,
    answer: SmtpAction,
    state: str,
) -> None:
    notifier.relay.script(command, answer)
    await the_whole_way(database, notifier)
    done = await console("trace", str(REQUEST))
    remedy = {"ambiguous": "mails resolve", "failed": "mails resend"}[state]
    assert remedy in done.about("notifier", state)["remedy"]
    assert (done.code, "zoe@" in str(done.findings)) == (1, False)


async def test_a_record_that_was_rejected_is_found_in_the_service_that_keeps_it(
    console: RunConsole, notifier_database: Database
) -> None:
    rejected = Rejected(
        a_record(offset=9), RejectionCode.INVALID, (), "iel", request_id=REQUEST, source="/portals/iel"
    )
    async with notifier_database.quiet_transaction() as tx:
        await dead_letters.keep_rejected(tx, [rejected])
    line = (await console("trace", str(REQUEST))).about("notifier", "rejected")
    assert (line["mark"], line["remedy"]) == ("act", "its portal sends it again, mended")


async def test_a_session_that_a_service_knows_in_another_version_or_not_wants_somebody(
    console: RunConsole, database: Database, catalogue_database: Database
) -> None:
    await catalogue.load(catalogue_database, as_of=clock.now().date())
    session = "SELECT session_id, version FROM session LIMIT 1"
    [(session_id, version)] = await execute(catalogue_database, session)
    await Front(database).publish(open_now(session_id=session_id, version=version))
    assert (await console("trace", str(session_id))).about("enrolment", "session")["mark"] == "ok"
    await Front(database).publish(open_now(session_id=session_id, version=version + 1))
    done = await console("trace", str(session_id))
    assert done.about("enrolment", "session")["mark"] == "act"
    assert {line["about"]: line["found"] for line in done.findings if line["what"] == "session"} == {
        "catalogue": f"published, version {version}",
        "enrolment": f"knows version {version + 1}; published is {version}",
        "notifier": f"does not know it; published is {version}",
    }


async def test_what_came_by_http_and_was_never_taken_in_wants_somebody(
    console: RunConsole, database: Database, portals: PortalsFile
) -> None:
    iel = portals.portals.of_source("/portals/iel")
    assert iel is not None
    request = received(EnrolmentRequested(session_id=SESSION.session_id, agent=AGENT), REQUEST, issuer="iel")
    async with database.transaction() as tx:
        await intake.accept(tx, iel, [request])
    assert whats(await console("trace", str(REQUEST))) == ["accepted"]
    await execute(database, "UPDATE accepted_event SET accepted_at = now() - interval '2 minutes'")
    done = await console("trace", str(REQUEST))
    assert (done.code, whats(done)) == (1, ["accepted", "not taken in"])
    await request_a_seat(database)
    assert "not taken in" not in whats(await console("trace", str(REQUEST)))


async def test_a_bespoke_request_is_found_in_the_catalogue_without_its_author(
    console: RunConsole, catalogue_database: Database
) -> None:
    await hear_by_catalogue(catalogue_database, a_bespoke_request(), REQUEST)
    done = await console("trace", str(REQUEST))
    assert done.about("catalogue", "received")["found"] == "bespoke request, for bretagne: received"
    assert done.about("catalogue", "heard")["found"] == f"portal.bespoke {REQUEST}"
    assert "@" not in str(done.findings)


async def test_the_records_of_a_request_and_its_decision_are_found_where_they_lie(
    console: RunConsole, database: Database, kafka: KafkaBroker, in_environment: pytest.MonkeyPatch
) -> None:
    in_environment.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap_servers)
    _, event_id = await request_a_seat(database)
    await publish(database)
    waits = uuid4()
    async with KafkaPortal(kafka.bootstrap_servers) as portal:
        for topic, known in (
            ("portal.enrolments", REQUEST),
            ("enrolment.decisions", event_id),
            ("portal.enrolments", waits),
        ):
            record = headers(EnrolmentRequested.TYPE, event_id=known, source="/portals/iel")
            await portal.send(topic, [("key", record, b"{}"), ("key", [], b"another")])

    done = await console("trace", str(REQUEST))
    places = [line["found"] for line in done.findings if line["what"] == "record"]
    assert [(place.partition("/")[0], place.rpartition(" ")[2]) for place in places] == [
        ("portal.enrolments", str(REQUEST)),
        ("enrolment.decisions", str(event_id)),
    ]
    line = (await console("trace", str(waits))).about("kafka", "record")
    assert (line["mark"], "which no service has taken in" in line["found"]) == ("act", True)
    done = await console("trace", str(uuid4()))
    assert (done.code, [line["found"][:19] for line in done.findings]) == (1, ["nothing is known of"])
