"""An agent is forgotten: their seat is given on first, then nothing is left of them but numbers."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from services.enrolment.app import READS, eraser
from services.enrolment.handlers import router
from services.enrolment.rules.messages import OrganiserMessage
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import request_of
from services.enrolment.service import answers, messages, requests
from services.enrolment.store import messages as kept_messages
from services.enrolment.store import requests as store
from services.enrolment.tables import metadata
from shared import clock, read_log
from shared.auth import Role
from shared.database import Database, Transaction
from shared.events import Event
from shared.events.catalogue import SessionState
from shared.events.cloudevents import Record
from shared.events.enrolment import MessageAudience
from shared.events.notifier import BounceKind, EmailBounced
from shared.events.portal import (
    AgentCorrected,
    AgentErasureRequested,
    EnrolmentRequested,
    GroupEnrolmentRequested,
    QuestionAnswer,
    SubscriptionChanged,
    WithdrawalRequested,
)
from shared.events.vocabulary import Agent, AgentKey, Contact
from shared.messaging import dead_letters, dead_letters_of_people, outbox, progress
from shared.messaging.dead_letters import DeadLetter, Parked
from shared.messaging.erasure import Eraser, Erasure
from shared.messaging.outbox import OutboxEvent
from shared.messaging.portals.registry import PortalsFile
from shared.read_log import Reading, ReadKind
from tests.conftest import Eventually, opened
from tests.integration.enrolment.conftest import Front, SelectRows
from tests.support.builders import a_question, an_agent, open_now
from tests.support.consuming import a_record, received, take
from tests.support.garbage import alive, without_collecting
from tests.support.processes import Forked
from tests.support.searching import MARK, columns_with

ERASED = "fr.cnfpt.enrolment.AgentErased.v1"


@pytest.fixture
def database(answering: Database) -> Database:
    return answering


def marked(issuer: str = "iel", mark: str = MARK) -> Agent:
    return an_agent(f"{mark}-0", email=f"{mark}@exemple.fr", given_name=mark, family_name=mark, issuer=issuer)


class ErasurePortal:
    """Sends events of one agent's issuer; each may be sent again as it was."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.sent: list[tuple[Event, UUID]] = []

    async def send(self, *events: Event) -> None:
        self.sent += [(event, uuid4()) for event in events]
        await self._take(self.sent[-len(events) :])

    async def send_all_again(self) -> None:
        for event in self.sent:
            await self._take([event])

    async def _take(self, events: list[tuple[Event, UUID]]) -> None:
        deliveries = [received(event, event_id, issuer="iel") for event, event_id in events]
        await take(router, self.database, deliveries, policy=Policy())


@pytest.fixture
def portal(database: Database) -> ErasurePortal:
    return ErasurePortal(database)


async def read_all(database: Database) -> None:
    """Have all topics read until now, and all that is to be published published."""
    async with database.transaction() as tx:
        for topic in READS:
            await progress.save(tx, topic, {0: clock.now() + timedelta(seconds=1)})
        await tx.execute(text("UPDATE outbox SET sent_at = now() WHERE sent_at IS NULL AND held IS NULL"))


async def forget(database: Database, erasing: Eraser, portal: ErasurePortal, agent: Agent) -> None:
    await portal.send(AgentErasureRequested(agent_id=agent.agent_id, requested_at=clock.now()))
    for _ in range(4):
        await read_all(database)
        await erasing.run()


async def live_through_everything(
    database: Database, front: Front, portal: ErasurePortal, agent: Agent
) -> tuple[SessionState, list[Parked]]:
    """Leave the agent's mark wherever there is one. Returns the session, and what is parked."""
    seats = open_now(capacity=1, questions=[a_question(kind="text")])
    await front.publish(seats)
    answers = (QuestionAnswer(question_id="repas", value=MARK),)
    contact = Contact(name="Ada Durand", email="ada@exemple.fr")
    await portal.send(
        EnrolmentRequested(session_id=seats.session_id, agent=agent),
        WithdrawalRequested(session_id=seats.session_id, agent_id=agent.agent_id, reason="Malade"),
        EnrolmentRequested(session_id=seats.session_id, agent=agent, answers=answers),
        GroupEnrolmentRequested(
            session_id=seats.session_id, agents=(agent, an_agent("B-1", issuer="iel")), requested_by=contact
        ),
    )
    bounced = EmailBounced(
        mail_id=uuid4(),
        agent_id=agent.agent_id,
        issuer="iel",
        template="enrolment-confirmed",
        cause_id=uuid4(),
        enrolment_id=uuid4(),
        message_id="<1@parcours.example>",
        kind=BounceKind.HARD,
        bounced_at=clock.now(),
    )
    await take(router, database, [received(bounced)])
    records = [a_record(event, event_id) for event, event_id in portal.sent]
    letters = [Parked(record, None, f"no reason: {MARK}", MARK) for record in records]
    async with database.transaction() as tx:
        await dead_letters.park(tx, letters)
    return seats, letters


async def test_nothing_is_left_of_an_agent_and_the_next_in_line_has_the_seat(
    database: Database, front: Front, portal: ErasurePortal, erasing: Eraser, rows: SelectRows
) -> None:
    agent, next_in_line = marked(), an_agent("B-1", issuer="iel")
    seats, _ = await live_through_everything(database, front, portal, agent)
    assert await front.states(seats, next_in_line) == ["waitlisted"]
    assert {table for table, _ in await columns_with(database, metadata)} == {
        *("bad_address", "dead_letter", "enrolment", "enrolment_change"),
        *("outbox", "question_answer", "request"),
    }

    await forget(database, erasing, portal, agent)

    assert await columns_with(database, metadata) == set()
    assert await front.states(seats, next_in_line) == ["enrolled"]
    [done] = await rows("SELECT data FROM outbox WHERE type = :type", type=ERASED)
    assert str(portal.sent[-1][1]) in done.data
    [erasure] = await rows("SELECT * FROM erasure")
    assert (erasure.issuer, erasure.agent_id) == (None, None)
    assert erasure.done_at is not None


async def test_a_replay_of_all_that_was_sent_brings_nothing_back(
    database: Database, front: Front, portal: ErasurePortal, erasing: Eraser, rows: SelectRows
) -> None:
    _, letters = await live_through_everything(database, front, portal, marked())
    await forget(database, erasing, portal, marked())

    await portal.send_all_again()
    async with database.transaction() as tx:
        await dead_letters.park(tx, letters)
        replayed = await outbox.replay(tx, clock.now() - timedelta(days=1))
    await erasing.run()

    assert await columns_with(database, metadata) == set()
    assert replayed == len(await rows("SELECT 1 FROM outbox WHERE sent_at IS NULL"))
    assert len(await rows("SELECT 1 FROM outbox WHERE type = :type", type=ERASED)) == 1


async def test_an_agent_of_another_issuer_and_colleagues_stay(
    database: Database, front: Front, portal: ErasurePortal, erasing: Eraser
) -> None:
    session = open_now()
    other = marked("ouest").model_copy(update={"email": "autre@exemple.fr"})
    await front.publish(session)
    await front.enrol(session, marked(), other, an_agent("B-1", issuer="iel"))

    await forget(database, erasing, portal, marked())

    assert await front.states(session, other, an_agent("B-1", issuer="iel")) == ["enrolled", "enrolled"]


async def test_what_was_asked_for_after_the_erasure_stays(
    database: Database, front: Front, portal: ErasurePortal, erasing: Eraser
) -> None:
    session = open_now()
    await front.publish(session)
    await portal.send(AgentErasureRequested(agent_id=f"{MARK}-0", requested_at=clock.now()))
    await portal.send(EnrolmentRequested(session_id=session.session_id, agent=marked()))
    await read_all(database)
    await erasing.run()
    assert await front.states(session, marked()) == ["enrolled"]


async def test_who_asks_again_while_they_are_forgotten_has_a_seat_and_keeps_it(
    database: Database, front: Front, portal: ErasurePortal, erasing: Eraser, rows: SelectRows
) -> None:
    sessions = [open_now(), open_now()]
    await front.publish(*sessions)
    requested = [EnrolmentRequested(session_id=session.session_id, agent=marked()) for session in sessions]
    await portal.send(*requested)
    await portal.send(AgentErasureRequested(agent_id=f"{MARK}-0", requested_at=clock.now()))
    for session in sessions:
        assert await front.states(session, marked()) == ["withdrawn"]

    await portal.send(requested[0])
    assert await front.states(sessions[0], marked()) == ["enrolled"]
    for _ in range(3):
        await read_all(database)
        await erasing.run()

    assert await rows("SELECT session_id, state FROM enrolment") == [(sessions[0].session_id, "enrolled")]
    assert [row.done_at is not None for row in await rows("SELECT done_at FROM erasure")] == [True]


async def test_an_agent_who_cannot_be_withdrawn_at_once_is_by_the_job(
    database: Database,
    front: Front,
    portal: ErasurePortal,
    erasing: Eraser,
    *,
    rows: SelectRows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fails(*_arguments: object) -> None:
        raise ValueError("a fault of ours")

    session = open_now()
    await front.publish(session)
    await front.enrol(session, marked())
    with monkeypatch.context() as patched:
        patched.setattr(requests, "process", fails)
        await portal.send(AgentErasureRequested(agent_id=f"{MARK}-0", requested_at=clock.now()))
    assert await front.states(session, marked()) == ["enrolled"]
    assert await rows("SELECT 1 FROM dead_letter") == []
    for _ in range(3):
        await read_all(database)
        await erasing.run()
    assert await columns_with(database, metadata) == set()


async def test_what_is_redriven_in_the_very_step_of_an_erasure_is_given_up_too(
    database: Database, front: Front, portal: ErasurePortal, erasing: Eraser, eventually: Eventually
) -> None:
    session = open_now(capacity=1)
    await front.publish(session)
    parked = received(EnrolmentRequested(session_id=session.session_id, agent=marked()), issuer="iel")
    async with database.transaction() as tx:
        await dead_letters.park(tx, [Parked.received(parked, "a fault of ours")])
    await portal.send(AgentErasureRequested(agent_id=f"{MARK}-0", requested_at=clock.now()))
    await read_all(database)

    async with database.transaction() as tx:
        letter = await dead_letters.lock(tx, 1)
        assert letter is not None
        step = asyncio.create_task(erasing.run())
        await eventually(partial(waits_for_a_lock, database), "the step waits for the redrive")
        await requests.process(tx, [request_of(parked)], Policy(), clock.now())
        await dead_letters.settle(tx, letter.id, state="redriven", actor="anne", note=None)
    await step
    assert await front.states(session, marked()) == ["enrolled"]

    for _ in range(3):
        await read_all(database)
        await erasing.run()
    assert await columns_with(database, metadata) == set()
    await front.enrol(session, an_agent("B-1"))
    assert await front.states(session, an_agent("B-1")) == ["enrolled"], "the seat is free"


async def test_what_is_on_its_way_is_waited_for(
    database: Database, front: Front, portal: ErasurePortal, erasing: Eraser, rows: SelectRows
) -> None:
    async def is_done() -> bool:
        await erasing.run()
        return (await rows("SELECT done_at FROM erasure"))[0].done_at is not None

    session = open_now()
    await portal.send(EnrolmentRequested(session_id=session.session_id, agent=marked()))
    await portal.send(AgentErasureRequested(agent_id=f"{MARK}-0", requested_at=clock.now()))
    assert not await is_done()  # the topics may hold more
    await read_all(database)
    assert not await is_done()  # a request waits for its session
    await front.publish(session)
    assert not await is_done()  # a seat is given up
    assert await front.states(session, marked()) == ["withdrawn"]
    assert not await is_done()  # that is to be published
    await read_all(database)
    assert await is_done()


async def test_a_groups_request_is_waited_for_and_that_of_others_is_not(
    database: Database, portal: ErasurePortal, erasing: Eraser, rows: SelectRows
) -> None:
    own, colleague = marked(), an_agent("B-1", issuer="iel")
    contact = Contact(name="Ida Durand", email="ida@exemple.fr")
    await portal.send(
        GroupEnrolmentRequested(session_id=uuid4(), agents=(colleague, own), requested_by=contact),
        EnrolmentRequested(session_id=uuid4(), agent=an_agent("C-1", issuer="iel")),
    )
    for agent in (own, an_agent("D-1", issuer="iel")):
        await forget(database, erasing, portal, agent)
    open_requests = await rows("SELECT agent_id FROM erasure WHERE done_at IS NULL")
    assert [row.agent_id for row in open_requests] == [own.agent_id]


async def test_an_agent_is_given_a_groups_request_without_the_colleagues(
    database: Database, erasing: Eraser
) -> None:
    own, colleague = marked(), an_agent("B-1", email="ada@exemple.fr", issuer="iel")
    contact = Contact(name="Ida Durand", email="ida@exemple.fr")
    group = GroupEnrolmentRequested(session_id=uuid4(), agents=(own, colleague), requested_by=contact)
    async with database.transaction() as tx:
        await outbox.Outbox("enrolment").publish(tx, [group])  # as it came by HTTP
        [event] = (await erasing.export(tx, own.key))["outbox"]
    content = json.loads(event["data"])
    assert (content["agents"][0]["email"], content["agents"][1:], content["requested_by"]) == (
        own.email,
        [{}],
        {},
    )


async def test_what_another_issuers_portal_sent_by_http_is_not_about_an_agent_with_the_same_identifier(
    database: Database, erasing: Eraser
) -> None:
    own, other = marked(), marked("ouest")
    follows = SubscriptionChanged(agent_id=other.agent_id, email="b@exemple.fr", subscribed=True, theme="x")
    async with database.transaction() as tx:
        await outbox.Outbox("enrolment").publish(tx, [OutboxEvent(follows, source="/portals/ouest")])
        kept = [await erasing.export(tx, agent.key) for agent in (own, other)]
    assert [list(tables) for tables in kept] == [[], ["outbox"]]


async def write_to(database: Database, session: SessionState, text: str, *ids: UUID, at: datetime) -> None:
    message = OrganiserMessage(text, "https://exemple.fr", (MessageAudience.ENROLLED,), ids)
    async with database.transaction() as tx:
        row = await kept_messages.add(tx, session.session_id, message, author="x", send_at=at, now=at)
        assert row.text == text


async def test_a_message_to_chosen_persons_is_given_to_each_and_ends_with_one_of_them(
    database: Database, front: Front, portal: ErasurePortal, erasing: Eraser, rows: SelectRows
) -> None:
    session, other = open_now(), an_agent("B-1", issuer="iel")
    await front.publish(session)
    await front.enrol(session, marked(), other)
    by_agent = {row.agent_id: row.enrolment_id for row in await rows("SELECT * FROM enrolment")}
    own, left = by_agent[marked().agent_id], by_agent[other.agent_id]
    now, later = clock.now(), clock.now() + timedelta(days=7)
    await write_to(database, session, f"De {MARK}", own, left, at=now)
    async with database.transaction() as tx:
        assert await messages.send_due(tx, now) == 1
    await write_to(database, session, "Aux deux", own, left, at=later)
    await write_to(database, session, f"À {MARK} seul", own, at=later)
    async with database.quiet_transaction() as tx:
        given = await erasing.export(tx, marked().key)
    assert {row["text"] for row in given["message"]} == {f"De {MARK}", "Aux deux", f"À {MARK} seul"}
    assert str(left) not in str(given)

    await forget(database, erasing, portal, marked())

    assert await columns_with(database, metadata) == set()
    assert await columns_with(database, metadata, str(own)) == set()
    [sent, to_come, to_nobody] = await rows("SELECT * FROM message ORDER BY send_at, text DESC")
    assert (sent.text, sent.link, sent.enrolment_ids) == ("", None, [str(left)])
    assert (to_come.text, to_come.enrolment_ids, to_come.published_at) == ("Aux deux", [str(left)], None)
    assert (to_nobody.text, to_nobody.link, to_nobody.enrolment_ids) == ("", None, [])
    async with database.transaction() as tx:
        assert await messages.send_due(tx, later) == 1


async def test_a_message_to_the_agent_that_has_not_left_yet_is_waited_for(
    database: Database, front: Front, portal: ErasurePortal, erasing: Eraser, rows: SelectRows
) -> None:
    session = open_now()
    await front.publish(session)
    await front.enrol(session, marked())
    [enrolment] = await rows("SELECT enrolment_id FROM enrolment")
    await write_to(database, session, "Venez", enrolment.enrolment_id, at=clock.now())
    await portal.send(AgentErasureRequested(agent_id=f"{MARK}-0", requested_at=clock.now()))
    await read_all(database)
    async with database.transaction() as tx:
        await messages.send_due(tx, clock.now())

    await erasing.run()
    assert await rows("SELECT 1 FROM erasure WHERE done_at IS NULL")

    await read_all(database)
    await erasing.run()
    assert await columns_with(database, metadata, "Venez") == set()


async def test_attendance_stays_as_a_number(
    database: Database, front: Front, portal: ErasurePortal, erasing: Eraser, rows: SelectRows
) -> None:
    now = clock.now()
    session = open_now()
    await front.publish(session)
    await front.enrol(session, marked())
    began = {
        "enrolment_closes_at": now - timedelta(days=2),
        "starts_at": now - timedelta(days=1),
        "version": 2,
    }
    await front.publish(session.model_copy(update=began))
    [enrolment] = await rows("SELECT enrolment_id FROM enrolment")
    async with database.transaction() as tx:
        await tx.execute(
            text("INSERT INTO attendance VALUES (:id, 1, 'absent', now()), (:id, 0, 'attended', now())"),
            {"id": enrolment.enrolment_id},
        )
        attendance = (await erasing.export(tx, marked().key))["attendance"]
    assert [(row["module"], row["attendance"]) for row in attendance] == [(0, "attended"), (1, "absent")]
    await forget(database, erasing, portal, marked())
    counted = await rows("SELECT session_id, module, attendance, number FROM erased_attendance")
    assert sorted(tuple(row) for row in counted) == [
        (session.session_id, 0, "attended", 1),
        (session.session_id, 1, "absent", 1),
    ]
    assert await rows("SELECT 1 FROM attendance") == await rows("SELECT 1 FROM enrolment") == []


@pytest.mark.parametrize("email", [None, "zoe@exemple.fr"])
async def test_an_agent_who_was_corrected_is_forgotten_with_the_former_address(
    database: Database, front: Front, portal: ErasurePortal, erasing: Eraser, email: str | None
) -> None:
    session = open_now()
    await front.publish(session)
    await front.enrol(session, marked())
    await portal.send(AgentCorrected(agent_id=f"{MARK}-0", email=email, family_name="Durand"))
    record = replace(a_record(portal.sent[-1][0], uuid4()), value=f"no JSON: {MARK}@exemple.fr".encode())
    async with database.transaction() as tx:
        await dead_letters.park(tx, [Parked(record, None, "no reason")])

    await forget(database, erasing, portal, marked())

    assert await columns_with(database, metadata) == set()


async def test_what_we_wrote_of_an_agent_after_the_request_ends_too(
    database: Database, front: Front, portal: ErasurePortal, erasing: Eraser
) -> None:
    """A correction, or who of the staff looked, while the erasure waits."""
    session = open_now()
    await front.publish(session)
    await front.enrol(session, marked())
    await portal.send(AgentErasureRequested(agent_id=f"{MARK}-0", requested_at=clock.now()))
    await portal.send(AgentCorrected(agent_id=f"{MARK}-0", email=f"{MARK}@corrigee.fr"))
    async with database.transaction() as tx:
        reading = Reading("siege", Role.ADMIN, f"ticket de {MARK}")
        await read_log.record(tx, reading, ReadKind.ENROLMENTS, agents=[marked().key])

    for _ in range(4):
        await read_all(database)
        await erasing.run()

    assert await columns_with(database, metadata) == set()
    async with database.quiet_transaction() as tx:
        assert list(await tx.scalars(text("SELECT actor FROM read_log"))) == ["siege"]


async def test_of_many_dead_letters_about_an_agent_few_are_in_memory_at_a_time(
    database: Database,
    portal: ErasurePortal,
    erasing: Eraser,
    rows: SelectRows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    size, most = 100_000, 250_000
    monkeypatch.setattr(dead_letters_of_people, "_BYTES_AT_ONCE", most)
    monkeypatch.setattr(dead_letters_of_people, "MOST_READABLE", most)
    held = []

    def found(*_: Any) -> bool:
        held.append(sum(len(record.value or b"") for record in alive(Record)))
        return True

    async def given_up(tx: Transaction, letters: Sequence[DeadLetter]) -> bool:
        found()
        return await hold(tx, letters)

    hold = dead_letters.hold
    monkeypatch.setattr(dead_letters_of_people, "mentions", found)
    monkeypatch.setattr(dead_letters, "hold", given_up)
    async with database.transaction() as tx:
        value = json.dumps({"agent_id": marked().agent_id, "padding": "x" * size}).encode()
        record = a_record(AgentErasureRequested(agent_id="x", requested_at=clock.now()), uuid4())
        parked = [Parked(replace(record, value=value, offset=offset), None, "why") for offset in range(10)]
        await dead_letters.park(tx, parked)
        del parked

    async with database.transaction() as tx:
        kept = (await erasing.export(tx, marked().key))["dead_letter"]
    await forget(database, erasing, portal, marked())

    assert len(held) == 10 + 10 + 1
    # A slice, and the one before: the thread that read it may not have let go of its result yet.
    assert max(held) < 2 * most
    assert [len(letter["value"]) > size for letter in kept] == [True] * 2 + [False] * 8
    assert [letter["value"] for letter in kept[2:]] == ["…"] * 8
    assert await rows("SELECT 1 FROM dead_letter WHERE value IS NOT NULL OR state <> 'discarded'") == []
    assert len(await rows("SELECT 1 FROM erasure WHERE done_at IS NOT NULL")) == 1


async def test_an_erasure_that_fails_and_may_succeed_later_leaves_nothing_in_memory(
    database: Database, portal: ErasurePortal, erasing: Eraser, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def falls(*_: Any) -> bool:
        raise ConnectionError

    monkeypatch.setattr(dead_letters, "hold", falls)
    await portal.send(AgentErasureRequested(agent_id="A-1", requested_at=clock.now()))
    await read_all(database)
    with without_collecting():
        with suppress(ConnectionError):
            await erasing.run()
            pytest.fail("it did not fail")
        assert alive(Erasure) == []


async def test_the_feed_of_a_portal_passes_over_what_was_erased(
    database: Database, front: Front, portal: ErasurePortal, erasing: Eraser, rows: SelectRows
) -> None:
    session = open_now()
    await front.publish(session)
    await front.enrol(session, marked(), an_agent("B-1", issuer="iel"))
    async with database.transaction() as tx:
        await tx.execute(
            text(
                "WITH numbered AS (SELECT id, row_number() OVER (PARTITION BY portal ORDER BY id) AS number "
                "FROM outbox WHERE portal IS NOT NULL) "
                "UPDATE outbox SET cursor = number, sent_at = now() FROM numbered "
                "WHERE numbered.id = outbox.id"
            )
        )
        await tx.execute(text("INSERT INTO portal_feed SELECT portal, max(cursor) FROM outbox "
                              "WHERE portal IS NOT NULL GROUP BY portal"))  # fmt: skip
    await forget(database, erasing, portal, marked())
    async with database.quiet_transaction() as tx:
        page = await answers.page(tx, "iel", 0, 10)
    assert [(answer.cursor, answer.key) for answer in page.answers] == [(2, "B-1")]
    assert page.next == 2


async def test_a_request_that_is_erased_is_known_and_said_of_no_more(
    database: Database, front: Front, portal: ErasurePortal, erasing: Eraser
) -> None:
    session = open_now()
    await front.publish(session)
    await portal.send(EnrolmentRequested(session_id=session.session_id, agent=marked()))
    [(_, request_id)] = portal.sent
    await forget(database, erasing, portal, marked())
    async with database.quiet_transaction() as tx:
        assert await store.with_id(tx, request_id) == []
        assert (await requests.status(tx, request_id, None)).request is None


@pytest.mark.parametrize("fault", [ValueError("a fault of ours"), TimeoutError("it took too long")])
async def test_an_erasure_that_fails_does_not_stop_the_next(
    database: Database,
    front: Front,
    portal: ErasurePortal,
    portals: PortalsFile,
    rows: SelectRows,
    *,
    fault: Exception,
) -> None:
    session = open_now()
    await front.publish(session)
    agents = [an_agent(f"{MARK}-{number}", issuer="iel") for number in (1, 2)]
    await front.enrol(session, *agents)

    async def fail(_tx: Transaction, agent: AgentKey, _until: datetime) -> None:
        if agent == agents[0].key:
            raise fault

    erasing = replace(eraser(database, portals, Policy()), keep=fail)
    for agent in agents:
        await portal.send(AgentErasureRequested(agent_id=agent.agent_id, requested_at=clock.now()))
    for _ in range(4):
        await read_all(database)
        with suppress(TimeoutError):  # the job is run again
            await erasing.run()
    left = await rows("SELECT agent_id FROM erasure WHERE done_at IS NULL")
    assert [row.agent_id for row in left] == [agents[0].agent_id]


def erase_once(url: str) -> None:
    """Run the job once, in a process of its own."""

    async def run() -> None:
        async with opened(url) as database:
            await eraser(database, PortalsFile(None, trial=True), Policy()).run()

    asyncio.run(run())


async def test_a_process_that_is_killed_in_the_middle_leaves_the_whole_erasure_to_the_next(
    database: Database, front: Front, portal: ErasurePortal, erasing: Eraser, eventually: Eventually
) -> None:
    await live_through_everything(database, front, portal, marked())
    await portal.send(AgentErasureRequested(agent_id=marked().agent_id, requested_at=clock.now()))
    await read_all(database)
    before = await columns_with(database, metadata)

    async with database.transaction() as tx:
        await tx.execute(text("LOCK TABLE bad_address"))  # which ends last
        victim = Forked(erase_once, database.url.render_as_string(hide_password=False))
        try:
            await eventually(partial(waits_for_a_lock, database), "it waits for the table")
            victim.kill()
        finally:
            victim.clear_away()
    assert await columns_with(database, metadata) == before
    await erasing.run()
    assert await columns_with(database, metadata) == set()


async def waits_for_a_lock(database: Database) -> bool:
    async with database.quiet_transaction() as tx:
        return bool(await tx.scalar(_WAITS))


_WAITS = text(
    "SELECT EXISTS (SELECT FROM pg_stat_activity "
    "WHERE datname = current_database() AND wait_event_type = 'Lock')"
)
