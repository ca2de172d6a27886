"""``parcours trace``: the way of one request, from the databases that are set and from the topics."""

import getpass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from local.kafka import KafkaBroker
from local.tansu import TansuBroker
from services.enrolment.handlers import router as enrolment
from services.enrolment.rules.policy import Policy
from services.enrolment.service import intake, sessions
from shared import clock
from shared.database import Database
from shared.events import BY_TYPE
from shared.events.catalogue import SessionScheduled
from shared.events.outcomes import RejectionCode
from shared.events.portal import EnrolmentRequested
from shared.messaging import dead_letters
from shared.messaging.portals.admission import Rejected
from shared.messaging.portals.registry import PortalsFile
from shared.references import reference_of
from tests.integration.catalogue.test_bespoke import a_bespoke_request
from tests.integration.catalogue.test_bespoke import hear as hear_by_catalogue
from tests.integration.console.conftest import NOWHERE, ConsoleResult, RunConsole
from tests.integration.messaging.test_dead_letters import a_record
from tests.integration.notifier.conftest import Notifier, by_day, relay
from tests.support import catalogue
from tests.support.builders import an_agent, headers, open_now
from tests.support.consuming import received, take
from tests.support.kafka import KafkaPortal
from tests.support.smtp import Drop, Reply, ScriptedRelay, SmtpAction

__all__ = ["by_day", "relay"]

AGENT = an_agent("IEL-1", given_name="Zoé", family_name="Durand", issuer="iel")
SESSION = open_now()
REQUEST = UUID("5f0c1f5e-2f0e-4d0e-9d0c-0d6d1f9f2a11")
WHOLE = ["received", "decided", "published", "heard", "queued", "sent"]


@pytest.fixture
async def notifier(notifier_database: Database, relay: ScriptedRelay) -> Notifier:
    return Notifier(notifier_database, relay)


class OnTheWay(NamedTuple):
    """The services that a request goes through."""

    database: Database
    notifier: Notifier


@pytest.fixture
def on_the_way(database: Database, notifier: Notifier) -> OnTheWay:
    return OnTheWay(database, notifier)


async def request_a_seat(database: Database) -> tuple[UUID, UUID]:
    """Have a request decided; returns the ids of the enrolment and of the decision."""
    async with database.transaction() as tx:
        await sessions.apply_states(tx, {SESSION.session_id: SESSION}, Policy(), clock.now())
    request = EnrolmentRequested(session_id=SESSION.session_id, agent=AGENT)
    await take(enrolment, database, [received(request, REQUEST, issuer="iel")], policy=Policy())
    async with database.quiet_transaction() as tx:
        [enrolment_id] = await tx.scalars(text("SELECT enrolment_id FROM enrolment"))
        [event_id] = await tx.scalars(text("SELECT event_id FROM outbox WHERE topic = 'enrolment.decisions'"))
    return enrolment_id, event_id


async def publish(database: Database, *, minutes_ago: int = 0) -> None:
    async with database.quiet_transaction() as tx:
        await tx.execute(text(f"UPDATE outbox SET sent_at = now() - interval '{minutes_ago} minutes'"))


async def hear(database: Database, notifier: Notifier, event_id: UUID) -> None:
    """Have the notifier hear the session and the decision, as enrolment published it."""
    await notifier.hear(SessionScheduled.model_validate(SESSION.model_dump()))
    async with database.quiet_transaction() as tx:
        row = (
            await tx.execute(text("SELECT type, data FROM outbox WHERE event_id = :id"), {"id": event_id})
        ).one()
    await notifier.hear(BY_TYPE[row.type].model_validate_json(row.data), ids=[event_id])


def whats(done: ConsoleResult) -> list[str]:
    return [line["what"] for line in done.findings if line["about"] != "kafka"]


async def the_whole_way(database: Database, notifier: Notifier) -> tuple[UUID, UUID]:
    ids = await request_a_seat(database)
    await publish(database)
    await hear(database, notifier, ids[1])
    await notifier.deliver()
    return ids


async def test_the_way_of_a_request_goes_from_its_receipt_to_the_relays_answer(
    console: RunConsole, on_the_way: OnTheWay, tansu: TansuBroker, in_environment: pytest.MonkeyPatch
) -> None:
    in_environment.setenv("KAFKA_BOOTSTRAP_SERVERS", tansu.bootstrap_servers)
    enrolment_id, event_id = await the_whole_way(*on_the_way)
    async with on_the_way.notifier.database.quiet_transaction() as tx:
        [mail_id] = await tx.scalars(text("SELECT mail_id FROM mail"))
    for identifier in (enrolment_id, mail_id, reference_of(enrolment_id)):
        assert whats(await console("trace", str(identifier))) == WHOLE
    done = await console("trace", str(REQUEST))
    assert (done.code, whats(done)) == (0, WHOLE)
    assert f"AgentEnrolled {event_id}" in done.about("enrolment", "published")["found"]
    assert str(event_id) in done.about("notifier", "heard")["found"]
    assert "250 taken" in done.about("notifier", "sent")["found"]
    assert [line["at"] for line in done.findings] == sorted(line["at"] for line in done.findings)


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
        async with service.quiet_transaction() as tx:
            rows = list(await tx.execute(text("SELECT actor, kind, agent_id FROM read_log ORDER BY id")))
        assert [tuple(row) for row in rows] == [
            (getpass.getuser(), kind, "IEL-1"),
            ("zoe", kind, "IEL-1"),
        ]


async def test_a_decision_that_was_not_published_or_not_heard_is_where_the_way_ends(
    console: RunConsole, database: Database
) -> None:
    await request_a_seat(database)
    done = await console("trace", str(REQUEST))
    assert done.about("enrolment", "not published")["mark"] == "act"
    assert done.code == 1
    await publish(database, minutes_ago=2)
    done = await console("trace", str(REQUEST))
    assert done.about("notifier", "not heard")["remedy"] == "parcours lag --service notifier"
    await publish(database)
    assert "not heard" not in whats(await console("trace", str(REQUEST)))


@pytest.mark.parametrize(
    ("script", "state", "remedy"),
    [
        (("DOT", Drop()), "ambiguous", "mails resolve"),
        (("RCPT", Reply("550 5.1.1 <zoe@ville.example> unknown")), "failed", "mails resend"),
    ],
    ids=["ambiguous", "failed"],
)
async def test_a_mail_that_ended_badly_wants_somebody(
    console: RunConsole, on_the_way: OnTheWay, script: tuple[str, SmtpAction], state: str, remedy: str
) -> None:
    on_the_way.notifier.relay.script(*script)
    await the_whole_way(*on_the_way)
    done = await console("trace", str(REQUEST))
    assert remedy in done.about("notifier", state)["remedy"]
    assert "zoe@" not in str(done.findings)
    assert done.code == 1


async def test_a_mail_that_is_due_and_not_sent_wants_somebody(
    console: RunConsole, database: Database, notifier: Notifier
) -> None:
    _, event_id = await request_a_seat(database)
    await publish(database)
    await hear(database, notifier, event_id)
    assert (await console("trace", str(REQUEST))).about("notifier", "pending")["mark"] == "ok"
    async with notifier.database.quiet_transaction() as tx:
        await tx.execute(text("UPDATE mail SET due_at = now() - interval '11 minutes'"))
    assert (await console("trace", str(REQUEST))).about("notifier", "pending")["mark"] == "act"


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
    assert "invalid" in line["found"]


async def test_a_service_that_could_not_be_asked_is_named_and_the_rest_is_with_version(
    console: RunConsole, database: Database, notifier: Notifier, in_environment: pytest.MonkeyPatch
) -> None:
    await the_whole_way(database, notifier)
    in_environment.setenv("NOTIFIER_DATABASE_URL", NOWHERE)
    in_environment.delenv("CATALOGUE_DATABASE_URL")
    done = await console("trace", str(REQUEST))
    assert whats(done) == ["received", "decided", "published", "trace", "trace"]
    assert "cannot be used" in done.about("notifier", "trace")["found"]
    assert done.about("kafka", "trace")["mark"] == "unknown"
    assert done.code == 2


async def test_a_session_that_a_service_knows_in_another_version_or_not_wants_somebody(
    console: RunConsole, database: Database, catalogue_database: Database
) -> None:
    await catalogue.load(catalogue_database, as_of=clock.now().date())
    async with catalogue_database.quiet_transaction() as tx:
        row = (await tx.execute(text("SELECT session_id, version FROM session LIMIT 1"))).one()

    async def with_version(version: int) -> ConsoleResult:
        known = open_now(session_id=row.session_id, version=version)
        async with database.transaction() as tx:
            await sessions.apply_states(tx, {known.session_id: known}, Policy(), clock.now())
        return await console("trace", str(row.session_id))

    assert (await with_version(row.version)).about("enrolment", "session")["mark"] == "ok"
    done = await with_version(row.version + 1)
    assert done.about("enrolment", "session")["mark"] == "act"
    found = done.about("enrolment", "session")["found"]
    assert found == f"knows version {row.version + 1}; published is {row.version}"
    assert done.about("notifier", "session")["found"] == f"does not know it; published is {row.version}"
    assert done.about("catalogue", "session")["found"] == f"published, version {row.version}"
    assert done.code == 1


async def test_what_came_by_http_and_was_never_taken_in_wants_somebody(
    console: RunConsole, database: Database, portals: PortalsFile
) -> None:
    iel = portals.portals.of_source("/portals/iel")
    assert iel is not None
    request = received(EnrolmentRequested(session_id=SESSION.session_id, agent=AGENT), REQUEST, issuer="iel")
    async with database.transaction() as tx:
        await intake.accept(tx, iel, [request])
    assert whats(await console("trace", str(REQUEST))) == ["accepted"]
    async with database.quiet_transaction() as tx:
        await tx.execute(text("UPDATE accepted_event SET accepted_at = now() - interval '2 minutes'"))
    done = await console("trace", str(REQUEST))
    assert whats(done) == ["accepted", "not taken in"]
    assert done.code == 1
    await request_a_seat(database)
    assert "not taken in" not in whats(await console("trace", str(REQUEST)))


async def test_a_bespoke_request_is_found_in_the_catalogue_without_who_made_it(
    console: RunConsole, catalogue_database: Database
) -> None:
    await hear_by_catalogue(catalogue_database, a_bespoke_request(), REQUEST)
    done = await console("trace", str(REQUEST))
    found = done.about("catalogue", "received")["found"]
    assert found == "bespoke request, for bretagne: received"
    assert done.about("catalogue", "heard")["found"] == f"portal.bespoke {REQUEST}"
    assert "@" not in str(done.findings)


async def test_what_nobody_knows_is_looked_for_on_the_portals_topics(
    console: RunConsole, kafka: KafkaBroker, in_environment: pytest.MonkeyPatch
) -> None:
    in_environment.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap_servers)
    waits = uuid4()
    record = ("key", headers(EnrolmentRequested.TYPE, event_id=waits, source="/portals/iel"), b"{}")
    async with KafkaPortal(kafka.bootstrap_servers) as portal:
        await portal.send("portal.enrolments", [record, ("key", [], b"another")])
    done = await console("trace", str(waits))
    line = done.about("kafka", "record")
    assert line["mark"] == "act"
    assert "which no service has taken in" in line["found"]
    done = await console("trace", str(uuid4()))
    assert [line["found"][:19] for line in done.findings] == ["nothing is known of"]
    assert done.code == 1


async def test_the_records_of_a_request_and_its_decision_are_found_where_they_lie(
    console: RunConsole, database: Database, kafka: KafkaBroker, in_environment: pytest.MonkeyPatch
) -> None:
    in_environment.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap_servers)
    _, event_id = await request_a_seat(database)
    await publish(database)
    async with KafkaPortal(kafka.bootstrap_servers) as portal:
        for topic, known in (("portal.enrolments", REQUEST), ("enrolment.decisions", event_id)):
            record = headers("fr.cnfpt.test.Event.v1", event_id=known, source="/tests")
            await portal.send(topic, [("key", record, b"{}"), ("key", [], b"another")])
    done = await console("trace", str(REQUEST))
    places = [line["found"] for line in done.findings if line["what"] == "record"]
    assert [place.partition("/")[0] for place in places] == ["portal.enrolments", "enrolment.decisions"]
    assert [place.rpartition(" ")[2] for place in places] == [str(REQUEST), str(event_id)]
    assert datetime.fromisoformat(done.findings[0]["at"]) < datetime.now(UTC) + timedelta(minutes=1)
