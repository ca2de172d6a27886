"""What a portal is told of a record that no decision answers: once for each record, whatever happens."""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from faststream import ContextRepo
from sqlalchemy import text

from services.catalogue import handlers as catalogue
from services.enrolment import handlers as enrolment
from services.notifier import handlers as notifier
from shared import clock
from shared.database import Database
from shared.events import portal
from shared.events.cloudevents import Received, Record
from shared.events.outcomes import RejectionCode, RequestAccepted, RequestRejected
from shared.events.topics import Topic
from shared.events.vocabulary import Event
from shared.messaging import dead_letters
from shared.messaging.consumer import Consumer
from shared.messaging.dead_letter_decisions import DeadLetterDecisions
from shared.messaging.dead_letters import Parked
from shared.messaging.giving_up import end_undecided
from shared.messaging.portals.admission import Admission, admit
from shared.messaging.portals.registry import PortalsFile
from shared.messaging.router import Router, Tx
from tests.conftest import SecurityLines, opened
from tests.support.answers import rows
from tests.support.builders import an_agent, as_json, enrolment_request, headers
from tests.support.consuming import a_record
from tests.support.metrics import metric

REQUEST_ID = uuid.UUID("5f0c1f5e-2f0e-4d0e-9d0c-0d6d1f9f2a11")


def requests_of(handler: Callable[..., Awaitable[int | None]] | None = None) -> Router:
    """A service like enrolment, whose handler does nothing, or this."""
    router = Router("enrolment")

    async def on_requests(_tx: Tx, _received: list[Received[portal.EnrolmentRequested]]) -> None:
        return None

    router.subscriber(Topic.PORTAL_ENROLMENTS, own_inbox=True)(handler or on_requests)
    return router


def a_request(source: str = "/portals/iel", offset: int = 0, **changes: Any) -> Record:
    """An EnrolmentRequested; ``changes`` are made to its data."""
    return Record(
        topic="portal.enrolments",
        partition=2,
        offset=offset,
        key=b"key",
        value=as_json(enrolment_request(uuid.uuid4(), an_agent()) | changes),
        headers=tuple(headers(portal.EnrolmentRequested.TYPE, event_id=REQUEST_ID, source=source)),
        received_at=clock.now(),
    )


def subscription(**changes: Any) -> portal.SubscriptionChanged:
    values = {"agent_id": "1001", "email": "zoe@ville-exemple.fr", "theme": "enjeux-ia", "subscribed": True}
    return portal.SubscriptionChanged.model_validate(values | changes)


def bespoke_request() -> portal.BespokeTrainingRequested:
    return portal.BespokeTrainingRequested.model_validate(
        {
            "siret": "21350238800019",
            "authority": "Ville de Rennes",
            "delegation": "bretagne",
            "requested_by": {"name": "Anne Martin", "email": "anne@ville-exemple.fr"},
            "theme": "enjeux-ia",
            "trainees": 12,
        }
    )


Take = Callable[..., Awaitable[None]]


@pytest.fixture
def take(answering: Database, portals: PortalsFile) -> Take:
    """Take records in, in one batch: into the database of enrolment, or another."""

    async def take(*records: Record, router: Router | None = None, database: Database = answering) -> None:
        (topic,) = {record.topic for record in records}
        subscription = (router or requests_of()).subscriptions[Topic(topic)]
        consumer = Consumer(subscription, database, ContextRepo(), Admission(portals, intake_keys=[]))
        await consumer.take([consumer.read(record) for record in records])

    return take


async def rejections(database: Database) -> list[RequestRejected]:
    return [RequestRejected.model_validate_json(row.data) for row in await rows(database)]


# ------------------------------------------------------------------------------------------ rejected


async def test_the_sender_of_a_rejected_record_hears_where_it_lies_and_what_is_wrong(
    take: Take, answering: Database
) -> None:
    await take(a_request(offset=7, session_id="x"))

    [row] = await rows(answering)
    assert (row.type, row.source) == (RequestRejected.TYPE, "/services/enrolment")
    assert (row.topic, row.portal, row.key) == ("portal.answers.iel", "iel", "portal.enrolments-2-7")
    rejection = RequestRejected.model_validate_json(row.data)
    assert [problem.pointer for problem in rejection.problems] == ["/session_id"]
    assert rejection.model_dump(exclude={"problems"}) == {
        "request_source": "/portals/iel",
        "portal": "iel",
        "request_id": REQUEST_ID,
        "topic": "portal.enrolments",
        "partition": 2,
        "offset": 7,
        "code": RejectionCode.INVALID,
    }


@pytest.mark.parametrize("session_id", ["\0", "6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a1\0", "\u202e"])
async def test_whatever_stands_where_an_id_should_is_rejected_and_not_quoted(
    take: Take, answering: Database, session_id: str
) -> None:
    """Postgres holds no NUL: a reason with one could not be kept, and the record was parked instead."""
    await take(a_request(session_id=session_id))
    [rejection] = await rejections(answering)
    assert [problem.message for problem in rejection.problems] == ["Input should be a valid UUID"]


async def test_a_record_that_comes_again_is_rejected_once_and_another_by_itself(
    take: Take, answering: Database
) -> None:
    first, second = (a_request(offset=offset, session_id="x") for offset in (1, 2))
    await take(first, first)
    await take(first, second)
    assert [rejection.offset for rejection in await rejections(answering)] == [1, 2]


async def test_a_record_without_an_id_is_named_by_where_it_lies(take: Take, answering: Database) -> None:
    record = a_request()
    without_id = tuple((name, value) for name, value in record.headers if name != "ce_id")
    await take(replace(record, headers=without_id))
    [rejection] = await rejections(answering)
    assert (rejection.request_id, rejection.code) == (None, RejectionCode.UNREADABLE)


async def test_forged_records_are_a_line_of_the_security_log_for_each_sender_and_nobody_else_hears(
    take: Take, answering: Database, security_lines: SecurityLines, caplog: pytest.LogCaptureFixture
) -> None:
    forged = [a_request("/portals/Durand", offset=offset) for offset in range(3)]
    await take(*forged, a_request(session_id="x", offset=4))

    assert [rejection.offset for rejection in await rejections(answering)] == [4]
    async with answering.quiet_transaction() as tx:
        assert len(await dead_letters.find(tx, state="rejected", limit=10)) == 4
    [line] = security_lines()
    assert (line["event"], line["outcome"], line["times"]) == ("signature", "refused", 3)
    assert (line["who"], line["where"], line["address"]) == ("", "portal.enrolments", "")
    assert "Durand" not in caplog.text


async def test_a_rejection_of_another_service_is_passed_on_by_enrolment_as_it_is(
    take: Take, answering: Database, notifier_database: Database
) -> None:
    record = a_record(subscription(), REQUEST_ID, source="/portals/iel")
    misspelt = replace(record, value=b'{"agent_id": "1001"}')
    await take(misspelt, router=notifier.router, database=notifier_database)
    [row] = await rows(notifier_database)
    assert (row.topic, row.source, row.portal) == ("requests.outcomes", "/services/notifier", None)

    event = RequestRejected.model_validate_json(row.data)
    for _ in range(2):
        await take(a_record(event, row.event_id, source=row.source), router=enrolment.router)

    [heard] = await rows(answering)
    assert (heard.topic, heard.portal) == ("portal.answers.iel", "iel")
    assert (heard.event_id, heard.source, heard.data) == (row.event_id, row.source, row.data)


# ------------------------------------------------------------------------------------------ accepted


@pytest.mark.parametrize(
    ("event", "router", "service"),
    [(bespoke_request(), catalogue.router, "catalogue"), (subscription(), notifier.router, "notifier")],
    ids=["bespoke", "subscription"],
)
async def test_a_request_that_no_decision_answers_is_accepted_once_for_each_portal_that_sent_it(
    take: Take, event: Event, router: Router, service: str, request: pytest.FixtureRequest
) -> None:
    ours, theirs = (a_record(event, REQUEST_ID, source=f"/portals/{name}") for name in ("iel", "ouest"))
    async with opened(request.getfixturevalue(f"{service}_url")) as database:
        await take(ours, router=router, database=database)
        await take(ours, theirs, router=router, database=database)
        outcomes = [row for row in await rows(database) if row.type == RequestAccepted.TYPE]
    accepted = [RequestAccepted.model_validate_json(row.data) for row in outcomes]
    assert [(answer.request_id, answer.portal) for answer in accepted] == [
        (REQUEST_ID, "iel"),
        (REQUEST_ID, "ouest"),
    ]
    assert {row.topic for row in outcomes} == {"requests.outcomes"}


# ------------------------------------------------------------------------------------------ given up


async def fails(_tx: Tx, _received: list[Received[portal.EnrolmentRequested]]) -> None:
    raise ValueError("a fault of ours")


async def give_up(database: Database, router: Router) -> None:
    async with database.transaction() as tx:
        parked = await dead_letters.find(tx, state="parked", limit=10)
    decisions = DeadLetterDecisions(
        database, router, lambda topic: Consumer(router.subscriptions[topic], database)
    )
    await decisions.discard(parked, actor="anne", reason="lost")


async def test_the_sender_of_a_dead_letter_hears_when_it_is_given_up_and_not_before(
    take: Take, answering: Database
) -> None:
    router = requests_of(fails)
    await take(a_request(offset=5), router=router)
    assert await rows(answering) == []

    for _ in range(2):
        await give_up(answering, router)

    [rejection] = await rejections(answering)
    assert (rejection.request_id, rejection.portal) == (REQUEST_ID, "iel")
    assert (rejection.code, rejection.offset) == (RejectionCode.INTERNAL, 5)


async def test_an_undecided_dead_letter_is_given_up_after_a_warning_and_its_sender_hears_once(
    take: Take, answering: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    router, parked_at = requests_of(fails), clock.now()
    given_up = metric("parcours_dead_letters_given_up_total")
    await take(a_request(offset=5), router=router)

    async def answers_after(days: float) -> list[str]:
        monkeypatch.setattr("shared.clock.now", lambda: parked_at + timedelta(days=days, minutes=1))
        caplog.clear()
        while await end_undecided(answering, router, days=30) is not None:
            pass
        return [record.getMessage() for record in caplog.records]

    assert await answers_after(22) == []
    assert await answers_after(23) == [
        "1 dead letters are given up in 7 days or less: decide about them (dead-letters list)"
    ]
    assert await rows(answering) == []
    assert await answers_after(30) == ["1 dead letters are given up: nobody decided within 30 days"]
    assert await answers_after(31) == []
    assert metric("parcours_dead_letters_given_up_total") == given_up + 1

    [rejection] = await rejections(answering)
    assert (rejection.request_id, rejection.code) == (REQUEST_ID, RejectionCode.INTERNAL)
    async with answering.quiet_transaction() as tx:
        [letter] = await dead_letters.find(tx, limit=10)
        audit = (await tx.execute(text("SELECT actor, action, note FROM dead_letter_audit"))).all()
    assert (letter.state, letter.record.offset, letter.record.value) == ("discarded", 5, None)
    assert [tuple(line) for line in audit] == [("parcours", "discarded", "nobody decided within 30 days")]


async def test_the_sender_of_a_record_that_two_services_gave_up_hears_once(
    answering: Database, notifier_database: Database, portals: PortalsFile
) -> None:
    erasure = portal.AgentErasureRequested.model_validate(
        {"agent_id": "1001", "requested_at": "2026-11-25T08:30:00Z"}
    )
    record = a_record(erasure, REQUEST_ID, source="/portals/iel")

    request = admit(record, portals.portals, intake_keys=[])
    assert isinstance(request, Received)
    for router, database in ((enrolment.router, answering), (notifier.router, notifier_database)):
        async with database.transaction() as tx:
            await dead_letters.park(tx, [Parked.received(request, "a fault of ours")])
        await give_up(database, router)

    assert await rows(answering) == []
    assert [rejection.request_id for rejection in await rejections(notifier_database)] == [REQUEST_ID]
