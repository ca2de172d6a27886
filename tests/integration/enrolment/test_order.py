"""Requests for one session lie in one partition, or are refused: none passes an earlier request unseen."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from faststream import ContextRepo
from faststream.exceptions import NackMessage

from services.enrolment import jobs
from services.enrolment.handlers import router
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import GroupRequest, SeatRequest
from services.enrolment.service import requests as service
from services.enrolment.service.order import PartitionCheck
from shared import clock
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.cloudevents import Received
from shared.events.portal import EnrolmentRequested, WithdrawalRequested
from shared.events.topics import Topic
from shared.events.vocabulary import Event, SendingPortal
from shared.messaging import dead_letters, progress
from shared.messaging.consumer import Consumer
from shared.messaging.dead_letters import Parked
from shared.messaging.partitions import partition_of
from tests.integration.enrolment.conftest import Front, SelectRows
from tests.support.builders import an_agent, open_now
from tests.support.consuming import received

DEAD_LETTERS = "SELECT event_id, state, code, portal FROM dead_letter ORDER BY id"
DECISIONS = "SELECT type, misrouted FROM outbox WHERE topic = 'enrolment.decisions' ORDER BY id"


class BrokerWithoutPartitions:
    """Says how many partitions there are, and counts how often it is asked."""

    def __init__(self) -> None:
        self.partitions = 12
        self.asked = 0

    async def __call__(self) -> int:
        self.asked += 1
        return self.partitions


@pytest.fixture
def broker() -> BrokerWithoutPartitions:
    return BrokerWithoutPartitions()


@pytest.fixture
def consumer(database: Database, broker: BrokerWithoutPartitions) -> Consumer:
    return a_consumer(database, broker)


def a_consumer(database: Database, broker: Any) -> Consumer:
    context = ContextRepo({"policy": Policy(), "partition_check": PartitionCheck(broker)})
    return Consumer(router.subscriptions[Topic.PORTAL_ENROLMENTS], database, context)


def right(session: SessionState, number: int = 12) -> int:
    return partition_of(str(session.session_id), number)


def wrong(session: SessionState) -> int:
    """A partition that is the session's neither of 12 nor of 17."""
    return next(number for number in range(12) if number not in (right(session), right(session, 17)))


def requested(
    session: SessionState,
    partition: int,
    ce_id: UUID | None = None,
    *,
    event: Event | None = None,
    unsigned: bool = False,
    minutes_ago: float = 0,
) -> Received[Any]:
    """An agent's request for the session, from a portal that signs, as it was read in this partition."""
    event = event or EnrolmentRequested(session_id=session.session_id, agent=an_agent(issuer="iel"))
    made = received(event, ce_id, clock.now() - timedelta(minutes=minutes_ago))
    record = replace(made.record, partition=partition)
    return replace(made, record=record, sender=SendingPortal("iel", "iel", unsigned=unsigned))


async def decided(rows: SelectRows) -> list[tuple[UUID, str | None]]:
    return [tuple(row) for row in await rows("SELECT request_id, outcome FROM request ORDER BY number")]


async def misrouted(rows: SelectRows) -> list[bool]:
    """Whether each decision says that its request lay in another partition than the session's."""
    return [row.misrouted for row in await rows(DECISIONS)]


async def test_a_request_for_limited_seats_that_lies_elsewhere_is_refused(
    front: Front, consumer: Consumer, rows: SelectRows
) -> None:
    session = await front.open(capacity=5)
    first, misplaced, last = (requested(session, place(session)) for place in (right, wrong, right))
    await consumer.take([first, misplaced, last])
    assert await decided(rows) == [(first.id, "enrolled"), (last.id, "enrolled")]
    assert await rows(DEAD_LETTERS) == [(misplaced.id, "rejected", "wrong_partition", "iel")]


@pytest.mark.parametrize(
    ("capacity", "unsigned"), [(None, False), (5, True)], ids=["seats without limit", "unsigned"]
)
async def test_where_order_does_not_matter_or_nobody_signs_a_request_is_judged_where_it_lies(
    front: Front, consumer: Consumer, rows: SelectRows, capacity: int | None, unsigned: bool
) -> None:
    session = await front.open(capacity=capacity)
    request = requested(session, wrong(session), unsigned=unsigned)
    await consumer.take([request])
    assert await decided(rows) == [(request.id, "enrolled")]
    assert await rows(DEAD_LETTERS) == []
    assert await misrouted(rows) == [unsigned]


async def test_the_same_id_in_the_right_partition_is_a_new_request_and_stays_answered_wherever_it_comes_again(
    front: Front, consumer: Consumer, rows: SelectRows
) -> None:
    session, ce_id = await front.open(capacity=5), uuid4()
    await consumer.take([requested(session, place(session), ce_id) for place in (wrong, right)])
    await consumer.take([requested(session, wrong(session), ce_id)])
    assert await decided(rows) == [(ce_id, "enrolled")]
    assert [row.code for row in await rows(DEAD_LETTERS)] == ["wrong_partition"]


async def test_for_a_session_that_is_not_known_yet_only_what_lies_right_waits(
    front: Front, consumer: Consumer, rows: SelectRows
) -> None:
    session = open_now(capacity=None)
    misplaced, request = requested(session, wrong(session)), requested(session, right(session))
    await consumer.take([misplaced, request])
    await front.publish(session)
    assert await decided(rows) == [(request.id, "enrolled")]
    assert [row.event_id for row in await rows(DEAD_LETTERS)] == [misplaced.id]


@pytest.mark.parametrize("known", [True, False])
async def test_the_answer_to_it_says_where_it_lay_and_no_other_event_does(
    front: Front, consumer: Consumer, rows: SelectRows, known: bool
) -> None:
    session = open_now(capacity=1)
    if known:
        await front.publish(session)
    seated, waiting = (requested(session, right(session), unsigned=True) for _ in range(2))
    await consumer.take([seated, waiting])
    leaving = WithdrawalRequested(session_id=session.session_id, agent_id=seated.event.agent.agent_id)
    await consumer.take([requested(session, wrong(session), event=leaving, unsigned=True)])
    if not known:
        await front.publish(session)
    assert [(row.type.split(".")[3], row.misrouted) for row in await rows(DECISIONS)] == [
        ("AgentEnrolled", False),
        ("AgentWaitlisted", False),
        ("EnrolmentWithdrawn", True),
        ("AgentEnrolled", False),
    ]


async def test_a_refusal_after_waiting_in_vain_says_where_the_request_lay(
    database: Database, consumer: Consumer, rows: SelectRows
) -> None:
    session = open_now()
    await consumer.take([requested(session, place(session), unsigned=True) for place in (right, wrong)])
    async with database.transaction() as tx:
        await service.refuse_unknown(tx, clock.now() + timedelta(seconds=1), clock.now())
    assert await misrouted(rows) == [False, True]


async def test_a_request_is_refused_only_once_all_sessions_published_before_it_are_read(
    database: Database, consumer: Consumer, rows: SelectRows
) -> None:
    session, now = open_now(), clock.now()
    await consumer.take([requested(session, right(session), unsigned=True)])

    async def outcome(read: dict[int, timedelta], patience: timedelta = timedelta(0)) -> str | None:
        moments = {partition: now + since for partition, since in read.items()}
        async with database.autocommit() as tx:
            await progress.save(tx, Topic.CATALOGUE_SESSIONS, moments, range(2))
        await jobs.settle_pending(database, Policy(), patience)
        [request] = await rows("SELECT reason FROM request")
        reason: str | None = request.reason
        return reason

    hour = timedelta(hours=1)
    assert await outcome({}) is None, "nothing is read"
    assert await outcome({0: hour, 1: -hour}) is None, "one partition is read"
    assert await outcome({1: hour}, patience=hour) is None, "it has not waited for long"
    assert await outcome({}) == "unknown_session"


@pytest.mark.parametrize(("most", "group"), [("MOST_REFUSED", False), ("MOST_GROUPS_REFUSED", True)])
async def test_a_transaction_refuses_some_requests_and_the_job_goes_on_at_once_while_more_wait(
    database: Database,
    front: Front,
    rows: SelectRows,
    monkeypatch: pytest.MonkeyPatch,
    *,
    most: str,
    group: bool,
) -> None:
    monkeypatch.setattr(service, most, 10)
    for _ in range(12):
        unknown, agent = (uuid4(), clock.now(), uuid4()), an_agent()
        await front.answer(
            GroupRequest(*unknown, (agent,), False) if group else SeatRequest(*unknown, agent, False)
        )
    read = {0: clock.now() + timedelta(hours=1)}
    async with database.autocommit() as tx:
        await progress.save(tx, Topic.CATALOGUE_SESSIONS, read, range(1))

    async def settle() -> tuple[float | None, list[str | None]]:
        again = await jobs.settle_pending(database, Policy(), timedelta(0))
        return again, [reason for _, reason in await decided(rows)]

    assert await settle() == (0, ["refused"] * 10 + [None] * 2)
    assert await settle() == (None, ["refused"] * 12)


async def test_an_offer_lapses_only_once_every_topic_with_requests_is_read(
    database: Database, front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaves, next_in_line = an_agent("A-1"), an_agent("A-2")
    session = await front.open(leaves, next_in_line, capacity=1, waiting_list="offer")
    await front.withdraw(session, leaves)
    over = (await front.of(session, next_in_line)).hold_until + timedelta(hours=1)
    monkeypatch.setattr(clock, "now", lambda: over)

    async def state(topic: Topic) -> str:
        async with database.autocommit() as tx:
            await progress.save(tx, topic, {0: over})
        await jobs.expire_what_is_due(database, Policy())
        return (await front.states(session, next_in_line))[0]

    assert await state(Topic.PORTAL_ENROLMENTS) == "offered"
    assert await state(Topic.PORTAL_BESPOKE) == "lapsed"


# ------------------------------------------------------------------------ partitions are added


async def test_after_partitions_were_added_both_numbers_count_for_an_hour(
    database: Database, front: Front, consumer: Consumer, broker: BrokerWithoutPartitions, rows: SelectRows
) -> None:
    session = next(found for found in iter(open_now, None) if right(found) != right(found, 17))
    await front.publish(session)
    await consumer.take([requested(session, right(session))])
    broker.partitions = 17
    await consumer.take([requested(session, right(session, number)) for number in (17, 12)])
    for process in (consumer, a_consumer(database, broker)):  # the other learns of it from the database
        await process.take([requested(session, right(session))])
        await process.take([requested(session, right(session), minutes_ago=-61)])
    assert [outcome for _, outcome in await decided(rows)] == ["enrolled"] * 5
    assert [row.code for row in await rows(DEAD_LETTERS)] == ["wrong_partition"] * 2


async def test_the_broker_is_asked_only_where_something_may_lie_wrong(
    database: Database, front: Front, consumer: Consumer, broker: BrokerWithoutPartitions
) -> None:
    session = await front.open()
    for process in (consumer, consumer, a_consumer(database, broker)):
        await process.take([requested(session, right(session))])
    assert broker.asked == 1, "the number is in the database from then on"
    await consumer.take([requested(session, wrong(session)), requested(session, wrong(session))])
    assert broker.asked == 2
    await consumer.take([requested(session, wrong(session), unsigned=True)])
    assert broker.asked == 2, "what nobody signed is not refused, so a number of a minute ago is enough"
    await consumer.take([requested(session, wrong(session), unsigned=unsigned) for unsigned in (True, False)])
    assert broker.asked == 3


async def test_a_partition_beyond_the_known_number_was_added_so_the_broker_is_asked_at_once(
    front: Front, consumer: Consumer, broker: BrokerWithoutPartitions, rows: SelectRows
) -> None:
    session = await front.open()
    while right(session, 24) < 12:
        session = await front.open()
    await consumer.take([requested(session, right(session), unsigned=True)])
    broker.partitions = 24
    await consumer.take([requested(session, right(session, 24), unsigned=True)])
    assert await misrouted(rows) == [False, False]


async def test_while_the_broker_does_not_say_how_many_there_are_nothing_is_refused(
    database: Database, front: Front, rows: SelectRows
) -> None:
    async def away() -> int:
        raise ConnectionError("the partitions are not known")

    session = await front.open()
    consumer = a_consumer(database, away)
    consumer.stopping.set()
    with pytest.raises(NackMessage):
        await consumer.take([requested(session, right(session))])
    assert await decided(rows) == await rows(DEAD_LETTERS) == []


async def park(database: Database, request: Received[Any]) -> None:
    async with database.transaction() as tx:
        await dead_letters.park(tx, [Parked(request.record, request.event.TYPE, "ValueError: x")])


async def test_a_dead_letter_that_lies_elsewhere_is_not_redriven(
    database: Database, front: Front, consumer: Consumer, rows: SelectRows
) -> None:
    session = await front.open()
    await park(database, requested(session, wrong(session)))
    with pytest.raises(ValueError, match="wrong_partition: The record lies in partition"):
        await consumer.redrive(1, "nadia")
    assert await decided(rows) == []
    assert [row.state for row in await rows(DEAD_LETTERS)] == ["parked"]


# ------------------------------------------------------------------------ what is decided late


async def line(rows: SelectRows) -> list[UUID]:
    waiting = await rows(
        "SELECT request_id FROM enrolment WHERE state = 'waitlisted' ORDER BY priority DESC, ticket"
    )
    return [row.request_id for row in waiting]


async def test_a_redriven_request_has_the_place_in_line_of_its_time_of_receipt(
    database: Database, front: Front, consumer: Consumer, rows: SelectRows
) -> None:
    session = await front.open(capacity=1)
    seated, first, parked, after, last = (
        requested(session, right(session), minutes_ago=minutes) for minutes in (9, 8, 7, 6, 5)
    )
    await consumer.take([seated, first, after])
    await park(database, parked)
    await consumer.take([last])
    await consumer.redrive(1, "nadia")
    assert await line(rows) == [first.id, parked.id, after.id, last.id]
    [published] = await rows("SELECT data FROM outbox WHERE data LIKE :id", id=f"%{parked.id}%")
    assert '"position":2' in published.data.replace(" ", "")
    await front.withdraw(session, seated.event.agent)
    await front.withdraw(session, first.event.agent)
    assert await front.states(session, parked.event.agent, after.event.agent) == ["enrolled", "waitlisted"]


async def test_requests_of_one_batch_that_were_received_in_another_order_wait_by_their_receipt(
    front: Front, consumer: Consumer, rows: SelectRows
) -> None:
    session = await front.open(capacity=1)
    # By HTTP a request is received when it is accepted, which is before it lies on the topic.
    seated, kafka, http = (requested(session, right(session), minutes_ago=minutes) for minutes in (9, 3, 4))
    await consumer.take([seated, kafka, http])
    assert await line(rows) == [http.id, kafka.id]


async def test_a_lost_session_knows_again_which_receipt_was_the_newest(
    front: Front, consumer: Consumer, rows: SelectRows
) -> None:
    session = await front.open(capacity=1)
    seated, early, late = (requested(session, right(session), minutes_ago=minutes) for minutes in (9, 8, 7))
    await consumer.take([seated, late])
    before = await rows("DELETE FROM session RETURNING next_ticket, newest_receipt")
    await front.publish(session)
    assert await rows("SELECT next_ticket, newest_receipt FROM session") == before
    await consumer.take([early])
    assert await line(rows) == [early.id, late.id]
