"""Answers to portals: which portal hears which event, in what order, and how its feed is numbered."""

import asyncio
import uuid
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.enrolment.rules.enrolments import refusal_event, refused_enrolment
from shared import clock
from shared.database import Database
from shared.events.catalogue import BespokeAnswer, BespokeRequestAnswered
from shared.events.enrolment import EnrolmentRefused, SessionChangedForAgent, SessionPart
from shared.events.outcomes import RejectionCode, RequestAccepted, RequestRejected
from shared.events.reasons import Reason
from shared.events.topics import Topic
from shared.events.vocabulary import Contact, Event
from shared.messaging import outbox, relay
from shared.messaging.outbox import OutboxEvent
from tests.conftest import Broker
from tests.integration.messaging.relaying import connected, publish_all, write
from tests.support.answers import rows
from tests.support.builders import STARTS, an_agent
from tests.support.rosters import a_roster, a_seat_request

DECISIONS = Topic.ENROLMENT_DECISIONS.value


@pytest.fixture
def database(answering: Database) -> Database:
    return answering


def a_decision(issuer: str, agent_id: str = "1001") -> EnrolmentRefused:
    agent = an_agent(agent_id, issuer=issuer)
    request = a_seat_request(a_roster(), agent)
    return refusal_event(refused_enrolment(request, agent, Reason.SESSION_FULL), 1, request.key)


def a_change(issuer: str) -> SessionChangedForAgent:
    return SessionChangedForAgent(
        session_id=uuid.uuid4(),
        session_version=2,
        enrolment_id=uuid.uuid4(),
        agent=an_agent(issuer=issuer),
        changed=(SessionPart.DATES,),
        starts_at=STARTS,
        ends_at=STARTS + timedelta(hours=7),
        timezone="Europe/Paris",
    )


def a_rejection(portal: str) -> RequestRejected:
    return RequestRejected(
        request_id=uuid.uuid4(),
        request_source=f"/portals/{portal}",
        portal=portal,
        topic="portal.enrolments",
        partition=3,
        offset=7,
        code=RejectionCode.INVALID,
    )


def an_acceptance(portal: str) -> RequestAccepted:
    return RequestAccepted(request_id=uuid.uuid4(), request_source=f"/portals/{portal}", portal=portal)


def an_answer_about_training(request_source: str | None) -> BespokeRequestAnswered:
    officer = Contact(name="Léa Martin", email="lea.martin@ville-exemple.fr")
    return BespokeRequestAnswered(
        request_id=uuid.uuid4(),
        request_source=request_source,
        siret="21350238800019",
        answer=BespokeAnswer.QUALIFIED,
        requested_by=officer,
        advisor=officer,
    )


async def heard(database: Database) -> list[tuple[str | None, str | None]]:
    """Topic and portal of each row."""
    return [(row.topic, row.portal) for row in await rows(database)]


IEL, IEL_MOBILE = ("portal.answers.iel", "iel"), (None, "iel-mobile")
OUEST = ("portal.answers.ouest", "ouest")


# ------------------------------------------------------------------------------------------ who hears what


@pytest.mark.parametrize(
    ("event", "hear"),
    [
        (a_decision("iel"), [(DECISIONS, None), IEL, IEL_MOBILE]),
        (a_decision("ouest"), [(DECISIONS, None), OUEST]),
        (a_decision("cnfpt"), [(DECISIONS, None)]),
        (a_change("iel"), [IEL, IEL_MOBILE]),
        (a_change("cnfpt"), []),
        (a_rejection("iel"), [IEL]),
        (a_rejection("iel-mobile"), [IEL_MOBILE]),
        (a_rejection("gone"), []),
        (an_acceptance("ouest"), [OUEST]),
        (an_answer_about_training("/portals/iel-mobile"), [IEL_MOBILE]),
        (an_answer_about_training(None), []),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Event) else None,
)
async def test_portals_of_the_agents_issuer_hear_decisions_and_the_sender_alone_what_became_of_its_request(
    database: Database, event: Event, hear: list[tuple[str | None, str | None]]
) -> None:
    await write(database, event)

    assert await heard(database) == hear


async def test_an_answer_is_the_same_event_wherever_it_goes(database: Database) -> None:
    event_id, trace = uuid.uuid4(), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    decision = a_decision("iel", "IEL-7")

    await write(database, OutboxEvent(decision, trace, event_id=event_id, misrouted=True))

    same = {
        (row.event_id, row.type, row.source, row.key, row.bucket, row.traceparent, row.data, row.misrouted)
        for row in await rows(database)
    }
    [(*attributes, bucket, traceparent, data, misrouted)] = same
    assert attributes == [event_id, EnrolmentRefused.TYPE, "/services/enrolment", "IEL-7"]
    assert 0 <= bucket < outbox.BUCKETS
    assert (traceparent, misrouted) == (trace, True)
    assert EnrolmentRefused.model_validate_json(data) == decision


async def test_answers_are_stored_in_the_order_of_their_events(database: Database) -> None:
    events = [a_decision(("iel", "ouest", "cnfpt")[number % 3]) for number in range(60)]
    ids = await write(database, *events)

    for portal, issuer in (("iel", "iel"), ("iel-mobile", "iel"), ("ouest", "ouest")):
        expected = [
            event_id for event_id, event in zip(ids, events, strict=True) if event.agent.issuer == issuer
        ]
        assert [row.event_id for row in await rows(database, f"portal = '{portal}'")] == expected
    assert [row.event_id for row in await rows(database, "portal IS NULL")] == ids


async def test_a_rejection_is_ordered_by_its_record_and_an_acceptance_by_its_request(
    database: Database, catalogue_database: Database
) -> None:
    accepted, rejected = an_acceptance("iel"), a_rejection("iel")
    await write(database, rejected, accepted)
    assert [row.key for row in await rows(database)] == ["portal.enrolments-3-7", str(accepted.request_id)]

    await write(catalogue_database, rejected)  # which answers no portal

    [row] = await rows(catalogue_database)
    assert (row.topic, row.portal, row.key) == ("requests.outcomes", None, str(rejected.request_id))


# ------------------------------------------------------------------------------------------ the feed


async def cursors(database: Database, portal: str) -> list[int | None]:
    return [row.cursor for row in await rows(database, f"portal = '{portal}'")]


async def feeds(database: Database) -> list[tuple[str, int]]:
    """Each portal with the last number of its feed."""
    async with database.quiet_transaction() as tx:
        found = await tx.execute(text("SELECT portal, last FROM portal_feed ORDER BY portal"))
        return [(row.portal, row.last) for row in found]


async def test_answers_that_are_marked_together_are_numbered_in_the_order_of_their_ids(
    database: Database,
) -> None:
    """However they were sent: those of a portal that hears by HTTP alone since a moment ago come first."""
    await write(database, *(an_acceptance("iel-mobile") for _ in range(3)))
    found = await rows(database)

    async with database.transaction() as tx:
        await relay._mark(tx, [found[2], found[0], found[1]])

    assert await cursors(database, "iel-mobile") == [1, 2, 3]


async def test_the_relay_numbers_each_portals_answers_as_it_marks_them_sent(
    tansu: Broker, database: Database
) -> None:
    async with connected(database, tansu.bootstrap_servers) as a_relay:
        await write(database, a_rejection("iel-mobile"), an_acceptance("iel-mobile"))
        assert await cursors(database, "iel-mobile") == [None, None]
        await a_relay.publish_unsent()
        await write(database, a_rejection("iel-mobile"))
        await a_relay.publish_unsent()

    assert await cursors(database, "iel-mobile") == [1, 2, 3]
    assert await rows(database, "sent_at IS NULL") == []
    assert await feeds(database) == [("iel-mobile", 3)]


async def test_what_is_marked_when_a_pass_fails_is_numbered_once(
    tansu: Broker, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write(database, a_rejection("iel-mobile"), a_rejection("iel-mobile"))
    async with connected(database, tansu.bootstrap_servers) as a_relay:
        with monkeypatch.context() as patched:
            # The numbers are drawn by then, and go with the transaction.
            patched.setattr(relay, "_MARK", text("SELECT 1 / CAST(:zero AS integer)").bindparams(zero=0))
            with pytest.raises(DBAPIError):
                await a_relay.publish_unsent()
        assert await cursors(database, "iel-mobile") == [None, None]

        await publish_all(a_relay, database)

    assert await cursors(database, "iel-mobile") == [1, 2]


async def test_a_replay_publishes_under_the_same_numbers_and_leaves_what_is_read_by_http_alone(
    tansu: Broker, database: Database
) -> None:
    async with connected(database, tansu.bootstrap_servers) as a_relay:
        await write(database, a_rejection("iel-mobile"), a_decision("cnfpt"))
        await a_relay.publish_unsent()
        async with database.transaction() as tx:
            heard_on_a_topic = (
                f"UPDATE outbox SET topic = '{DECISIONS}', portal = 'iel', cursor = 9 WHERE id = 2"
            )
            await tx.execute(text(heard_on_a_topic))
            assert await outbox.replay(tx, clock.now() - timedelta(minutes=1)) == 1
        assert await a_relay.publish_unsent() == 1

    assert [(row.portal, row.cursor) for row in await rows(database)] == [("iel-mobile", 1), ("iel", 9)]
    assert await feeds(database) == [("iel-mobile", 1)]


async def test_numbers_appear_in_their_order_while_several_processes_give_them(
    tansu: Broker, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader of the feed that has seen a number never finds a smaller one later."""
    monkeypatch.setattr(relay, "PASS", 5)  # or the first would take all buckets
    seen: list[list[int]] = []

    async def read() -> None:
        while not seen or len(seen[-1]) < 400:
            async with database.quiet_transaction() as tx:
                found = await tx.scalars(text("SELECT cursor FROM outbox WHERE cursor > 0 ORDER BY cursor"))
                seen.append(list(found))

    async with (
        connected(database, tansu.bootstrap_servers) as first,
        connected(database, tansu.bootstrap_servers) as second,
    ):
        reading = asyncio.create_task(read())
        for _ in range(20):
            await write(database, *(an_acceptance("iel-mobile") for _ in range(20)))
            await asyncio.gather(first.publish_unsent(), second.publish_unsent())
        await publish_all(first, database)
        await asyncio.wait_for(reading, 20)

    assert all(found == list(range(1, len(found) + 1)) for found in seen)
