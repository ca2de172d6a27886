"""An agent is forgotten: their seat is given on first, then nothing is left of them but numbers."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.enrolment.app import eraser
from services.enrolment.handlers import router
from services.enrolment.jobs import READS
from services.enrolment.rules.messages import OrganiserMessage
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.ranking import RankingDraft
from services.enrolment.rules.requests import request_of
from services.enrolment.service import messages, requests
from services.enrolment.store import arrivals, notes, ranking_drafts
from services.enrolment.store import messages as message_store
from services.enrolment.store.outbox import OUTBOX
from services.enrolment.tables import metadata
from shared import clock, read_log
from shared.database import Database, Transaction
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
    TraineesNominated,
    WithdrawalRequested,
)
from shared.events.vocabulary import AgentKey, Contact, Event
from shared.messaging import dead_letters, dead_letters_of_people, outbox, progress
from shared.messaging.dead_letters import DeadLetter, Parked
from shared.messaging.erasure import Eraser
from shared.messaging.outbox import OutboxEvent
from shared.messaging.portals.registry import PortalsFile
from shared.permissions import Role
from shared.read_log import Reading, ReadKind
from tests.conftest import opened
from tests.integration.enrolment.conftest import Front, SelectRows
from tests.support.builders import a_question, an_agent, open_now
from tests.support.consuming import a_record, received, take
from tests.support.garbage import alive, without_collecting
from tests.support.locks import locks_awaited
from tests.support.searching import MARK, columns_with

AGENT = an_agent(f"{MARK}-0", email=f"{MARK}@exemple.fr", given_name=MARK, family_name=MARK, issuer="iel")
COLLEAGUE = an_agent("B-1", issuer="iel")
OFFICER = Contact(name="Ida Durand", email="ida@exemple.fr")
ERASED = "fr.cnfpt.enrolment.AgentErased.v1"


@pytest.fixture
def database(answering: Database) -> Database:
    return answering


class Service:
    """Takes events of the agents' portal in, and runs the job that erases agents."""

    def __init__(self, database: Database, erasing: Eraser) -> None:
        self.database = database
        self.erasing = erasing
        self.taken: list[tuple[Event, UUID]] = []

    async def take(self, *events: Event) -> None:
        self.taken += [(event, uuid4()) for event in events]
        await self._take(self.taken[-len(events) :])

    async def take_all_again(self) -> None:
        for event in self.taken:
            await self._take([event])

    async def _take(self, events: Sequence[tuple[Event, UUID]]) -> None:
        deliveries = [received(event, event_id, issuer="iel") for event, event_id in events]
        await take(router, self.database, deliveries, policy=Policy())

    async def park(self, *parked: Parked) -> None:
        async with self.database.transaction() as tx:
            await dead_letters.park(tx, parked)

    async def ask_to_forget(self, agent_id: str = AGENT.agent_id) -> None:
        await self.take(AgentErasureRequested(agent_id=agent_id, requested_at=clock.now()))

    async def read_all(self) -> None:
        """Mark all topics as read until now, and all events as published."""
        async with self.database.transaction() as tx:
            for topic in READS:
                await progress.save(tx, topic, {0: clock.now() + timedelta(seconds=1)})
            await tx.execute(text("UPDATE outbox SET sent_at = now() WHERE sent_at IS NULL AND held IS NULL"))

    async def run_job(self) -> None:
        """Run the job until it has nothing more to do."""
        for _ in range(4):
            await self.read_all()
            await self.erasing.run()

    async def forget(self) -> None:
        await self.ask_to_forget()
        await self.run_job()

    async def has_forgotten(self) -> bool:
        """Run the job once; return whether no erasure is open."""
        await self.erasing.run()
        async with self.database.quiet_transaction() as tx:
            return not await tx.scalar(text("SELECT count(*) FROM erasure WHERE done_at IS NULL"))

    async def traces(self, mark: str = MARK) -> set[tuple[str, str]]:
        return await columns_with(self.database, metadata, mark)


@pytest.fixture
def service(database: Database, erasing: Eraser) -> Service:
    return Service(database, erasing)


async def live_through_everything(front: Front, service: Service) -> tuple[SessionState, list[Parked]]:
    """Leave the agent's mark wherever there may be one. Returns the session, and what is parked."""
    session = await front.open(capacity=1, questions=[a_question(kind="text")])
    answers = (QuestionAnswer(question_id="repas", value=MARK),)
    session_id = session.session_id
    await service.take(
        EnrolmentRequested(session_id=session_id, agent=AGENT),
        WithdrawalRequested(session_id=session_id, agent_id=AGENT.agent_id, reason="Malade"),
        EnrolmentRequested(session_id=session_id, agent=AGENT, answers=answers),
        GroupEnrolmentRequested(session_id=session_id, agents=(AGENT, COLLEAGUE), requested_by=OFFICER),
    )
    await service.take(AgentCorrected(agent_id=AGENT.agent_id, email=f"{MARK}@nouvelle.fr"))
    bounced = EmailBounced(
        mail_id=uuid4(),
        agent_id=AGENT.agent_id,
        issuer="iel",
        template="enrolment-confirmed",
        cause_id=uuid4(),
        enrolment_id=uuid4(),
        message_id="<1@parcours.example>",
        kind=BounceKind.HARD,
        bounced_at=clock.now(),
    )
    await take(router, service.database, [received(bounced)])
    records = [a_record(event, event_id) for event, event_id in service.taken]
    letters = [Parked(record, None, f"no reason: {MARK}", MARK) for record in records]
    await service.park(*letters)
    return session, letters


async def test_nothing_is_left_of_an_agent_and_the_next_in_line_has_the_seat(
    front: Front, service: Service, rows: SelectRows
) -> None:
    session, _ = await live_through_everything(front, service)
    assert {table for table, _ in await service.traces()} == {
        *("address_hold", "bad_address", "correction", "dead_letter", "enrolment", "enrolment_change"),
        *("outbox", "question_answer", "request"),
    }

    await service.forget()

    assert await service.traces() == set()
    assert await front.states(session, COLLEAGUE) == ["enrolled"]
    [said] = await rows("SELECT CAST(data AS jsonb) AS data FROM outbox WHERE type = :type", type=ERASED)
    assert said.data["request_id"] == str(service.taken[-1][1])
    assert await rows("SELECT issuer, agent_id, done_at IS NOT NULL FROM erasure") == [(None, None, True)]
    async with service.database.quiet_transaction() as tx:
        assert (await requests.status(tx, service.taken[0][1], None)).request is None
    assert await rows("SELECT 1 FROM outbox WHERE data = '{}' AND key <> ''") == [], "the feed passes over it"


async def test_a_replay_of_all_that_was_sent_brings_nothing_back(
    front: Front, service: Service, rows: SelectRows
) -> None:
    _, letters = await live_through_everything(front, service)
    await service.forget()

    await service.take_all_again()
    await service.park(*letters)
    async with service.database.transaction() as tx:
        replayed = await outbox.replay(tx, clock.now() - timedelta(days=1))
    await service.erasing.run()

    assert await service.traces() == set()
    assert replayed == len(await rows("SELECT 1 FROM outbox WHERE sent_at IS NULL"))
    assert len(await rows("SELECT 1 FROM outbox WHERE type = :type", type=ERASED)) == 1


async def test_an_agent_of_another_issuer_and_colleagues_stay(front: Front, service: Service) -> None:
    namesake = AGENT.model_copy(update={"issuer": "ouest", "email": "autre@exemple.fr"})
    session = await front.open(AGENT, namesake, COLLEAGUE)
    await service.forget()
    assert await front.states(session, namesake, COLLEAGUE) == ["enrolled", "enrolled"]


async def test_an_agent_who_asks_again_while_they_are_forgotten_has_a_seat_and_keeps_it(
    front: Front, service: Service, rows: SelectRows
) -> None:
    first, second = await front.open(AGENT), await front.open(AGENT)
    await service.ask_to_forget()
    assert await front.states(first, AGENT) + await front.states(second, AGENT) == ["withdrawn"] * 2
    await service.take(EnrolmentRequested(session_id=first.session_id, agent=AGENT))
    await service.run_job()
    assert await rows("SELECT session_id, state FROM enrolment") == [(first.session_id, "enrolled")]
    assert await rows("SELECT done_at IS NOT NULL FROM erasure") == [(True,)]


async def test_an_agent_who_cannot_be_withdrawn_at_once_is_by_the_job(
    front: Front, service: Service, rows: SelectRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> None:
        raise ValueError("a fault of ours")

    session = await front.open(AGENT)
    with monkeypatch.context() as patched:
        patched.setattr(requests, "process", fails)
        await service.ask_to_forget()
    assert await front.states(session, AGENT) == ["enrolled"]
    assert await rows("SELECT 1 FROM dead_letter") == []
    await service.run_job()
    assert await service.traces() == set()


async def test_what_is_redriven_in_the_very_step_of_an_erasure_is_given_up_too(
    front: Front, service: Service
) -> None:
    session = await front.open(capacity=1)
    parked = received(EnrolmentRequested(session_id=session.session_id, agent=AGENT), issuer="iel")
    await service.park(Parked.received(parked, "a fault of ours"))
    await service.ask_to_forget()
    await service.read_all()

    async with service.database.transaction() as tx:
        letter = await dead_letters.lock(tx, 1)
        assert letter is not None
        step = asyncio.create_task(service.erasing.run())
        await locks_awaited(service.database)  # the step waits for the redrive
        await requests.process(tx, [request_of(parked)], Policy(), clock.now())
        await dead_letters.settle(tx, letter.id, state="redriven", actor="anne", note=None)
    await step
    assert await front.states(session, AGENT) == ["enrolled"]

    await service.run_job()
    assert await service.traces() == set()
    await front.enrol(session, COLLEAGUE)
    assert await front.states(session, COLLEAGUE) == ["enrolled"], "the seat is free"


async def test_what_is_on_its_way_is_waited_for(front: Front, service: Service) -> None:
    session = open_now()
    await service.take(EnrolmentRequested(session_id=session.session_id, agent=AGENT))
    await service.ask_to_forget()
    await service.read_all()
    assert not await service.has_forgotten()  # a request waits for its session
    await front.publish(session)
    assert not await service.has_forgotten()  # a seat is given up
    assert await front.states(session, AGENT) == ["withdrawn"]
    assert not await service.has_forgotten()  # that is to be published
    await service.read_all()
    assert await service.has_forgotten()


async def test_all_topics_are_read_up_to_the_request_first(service: Service) -> None:
    await service.ask_to_forget()
    assert not await service.has_forgotten()
    await service.read_all()
    assert await service.has_forgotten()


async def test_a_groups_request_that_waits_is_waited_for_and_a_request_of_others_is_not(
    service: Service, rows: SelectRows
) -> None:
    group = GroupEnrolmentRequested(session_id=uuid4(), agents=(COLLEAGUE, AGENT), requested_by=OFFICER)
    await service.take(group, EnrolmentRequested(session_id=uuid4(), agent=an_agent("C-1", issuer="iel")))
    await service.ask_to_forget("D-1")
    await service.forget()
    assert await rows("SELECT agent_id FROM erasure WHERE done_at IS NULL") == [(AGENT.agent_id,)]


async def test_an_export_of_what_came_by_http_tells_nothing_of_colleagues_and_namesakes(
    database: Database, erasing: Eraser
) -> None:
    group = GroupEnrolmentRequested(session_id=uuid4(), agents=(AGENT, COLLEAGUE), requested_by=OFFICER)
    follows = SubscriptionChanged(agent_id=AGENT.agent_id, email="b@exemple.fr", subscribed=True, theme="x")
    async with database.transaction() as tx:
        await outbox.Outbox("enrolment").publish(tx, [group, OutboxEvent(follows, source="/portals/ouest")])
        [event] = (await erasing.export(tx, AGENT.key))["outbox"]
    [own, colleague] = json.loads(event["data"])["agents"]
    assert (own["email"], colleague, json.loads(event["data"])["requested_by"]) == (AGENT.email, {}, {})


async def write_to(database: Database, session: SessionState, text: str, *ids: UUID, at: datetime) -> None:
    message = OrganiserMessage(text, "https://exemple.fr", (MessageAudience.ENROLLED,), ids)
    async with database.transaction() as tx:
        await message_store.add(tx, session.session_id, message, author="x", send_at=at, now=at)


@pytest.mark.parametrize("role", ["requested_by", "nominated_by"])
async def test_the_sender_of_a_list_is_forgotten_once_it_is_published_and_an_agent_with_their_address_stays(
    service: Service, role: str
) -> None:
    sender = Contact(name=MARK, email=f"{MARK}@exemple.fr")
    agents = (COLLEAGUE, an_agent("B-2", email=sender.email))
    sent = {
        "requested_by": GroupEnrolmentRequested(session_id=uuid4(), agents=agents, requested_by=sender),
        "nominated_by": TraineesNominated(
            session_id=uuid4(), agents=agents, nominated_by=sender, siret=COLLEAGUE.employer.siret
        ),
    }
    alone = EnrolmentRequested(session_id=uuid4(), agent=agents[1])
    async with service.database.transaction() as tx:
        await OUTBOX.publish(tx, [sent[role], alone])
    assert not await service.erasing.forget(sender.email, uuid4()), "the list is not published yet"
    await service.read_all()
    async with service.database.quiet_transaction() as tx:
        [kept] = (await service.erasing.export(tx, sender.email))["outbox"]
    assert (json.loads(kept["data"])[role], json.loads(kept["data"])["agents"]) == (
        sender.model_dump(),
        [{}, {}],
    )

    assert await service.erasing.forget(sender.email, uuid4())

    async with service.database.quiet_transaction() as tx:
        left = list(
            await tx.scalars(text("SELECT data FROM outbox WHERE type NOT LIKE '%Erased%' ORDER BY id"))
        )
    assert left == ["{}", alone.model_dump_json()]


async def test_the_sender_of_a_list_that_waits_for_its_session_is_forgotten_after_the_answer(
    service: Service,
) -> None:
    nominated = TraineesNominated(
        session_id=uuid4(), agents=(COLLEAGUE,), nominated_by=OFFICER, siret=COLLEAGUE.employer.siret
    )
    await service.take(nominated)
    await service.read_all()
    assert not await service.erasing.forget(OFFICER.email.upper(), uuid4())
    async with service.database.transaction() as tx:
        await requests.refuse_unknown(tx, clock.now() + timedelta(seconds=1), clock.now())
    await service.read_all()
    assert await service.erasing.forget(OFFICER.email.upper(), uuid4())
    assert await service.traces("ida@") == set()


async def test_what_staff_noted_of_agents_stays_when_who_noted_it_is_forgotten(
    database: Database, front: Front, service: Service, rows: SelectRows
) -> None:
    session, now, author = await front.open(AGENT), clock.now(), "ana@cnfpt.fr"
    enrolment_id = (await front.of(session, AGENT)).enrolment_id
    draft = RankingDraft(1, {enrolment_id: 1}, frozenset())
    async with database.transaction() as tx:
        await arrivals.note(tx, enrolment_id, 0, author, now)
        await notes.add(tx, enrolment_id, f"{MARK} arrive en retard", author, now)
        await ranking_drafts.save(tx, session.session_id, draft, author, now)
    async with database.quiet_transaction() as tx:
        given = await service.erasing.export(tx, author)

    assert await service.erasing.forget(author, uuid4())

    for table in ("arrival", "note", "ranking_draft"):
        assert len(await rows(f"SELECT 1 FROM {table}")) == 1, table
        assert [row["actor"] for row in given[table]] == [author], table
    assert MARK not in str(given), "what is said of agents is not given to who said it"


async def test_a_message_to_chosen_persons_is_given_to_each_and_ends_with_the_last(
    database: Database, front: Front, service: Service, rows: SelectRows
) -> None:
    session, now, later = await front.open(AGENT, COLLEAGUE), clock.now(), open_now().starts_at
    own, left = [(await front.of(session, agent)).enrolment_id for agent in (AGENT, COLLEAGUE)]
    await write_to(database, session, f"De {MARK}", own, left, at=now)
    async with database.transaction() as tx:
        assert await messages.send_due(tx, now) == 1
    await write_to(database, session, "Aux deux", own, left, at=later)
    await write_to(database, session, f"À {MARK} seul", own, at=later)
    async with database.quiet_transaction() as tx:
        given = await service.erasing.export(tx, AGENT.key)
    assert {row["text"] for row in given["message"]} == {f"De {MARK}", "Aux deux", f"À {MARK} seul"}
    assert str(left) not in str(given)

    await service.ask_to_forget()
    await service.read_all()
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE outbox SET sent_at = NULL WHERE type LIKE '%ParticipantsMessaged%'"))
    assert not await service.has_forgotten(), "the message to both has not left"
    await service.run_job()

    assert await service.traces() == await service.traces(str(own)) == set()
    kept = await rows("SELECT text, link IS NULL, enrolment_ids FROM message ORDER BY send_at, text DESC")
    assert kept == [("", True, [str(left)]), ("Aux deux", False, [str(left)]), ("", True, [])]
    async with database.transaction() as tx:
        assert await messages.send_due(tx, later) == 1


async def test_attendance_stays_as_a_number(
    database: Database, front: Front, service: Service, rows: SelectRows
) -> None:
    session, now = await front.open(AGENT), clock.now()
    begun = {"enrolment_closes_at": now - timedelta(days=2), "starts_at": now - timedelta(days=1)}
    await front.publish(session.model_copy(update=begun | {"version": 2}))
    recorded = "INSERT INTO attendance VALUES (:id, 1, 'absent', now()), (:id, 0, 'attended', now())"
    async with database.transaction() as tx:
        await tx.execute(text(recorded), {"id": (await front.of(session, AGENT)).enrolment_id})
        attendance = (await service.erasing.export(tx, AGENT.key))["attendance"]
    assert [(row["module"], row["attendance"]) for row in attendance] == [(0, "attended"), (1, "absent")]
    await service.forget()
    assert await rows("SELECT * FROM erased_attendance ORDER BY module") == [
        (session.session_id, 0, "attended", 1),
        (session.session_id, 1, "absent", 1),
    ]
    assert await rows("SELECT 1 FROM attendance") == await rows("SELECT 1 FROM enrolment") == []


async def test_former_addresses_and_what_is_written_while_the_erasure_waits_end_too(
    front: Front, service: Service, rows: SelectRows
) -> None:
    await front.open(AGENT)
    await service.take(AgentCorrected(agent_id=AGENT.agent_id, email="zoe@exemple.fr", family_name="Durand"))
    record = a_record(service.taken[0][0], uuid4())
    former_address = replace(record, value=f"no JSON: {MARK}@exemple.fr".encode())
    await service.park(Parked(former_address, None, "no reason"))
    await service.ask_to_forget()
    await service.take(AgentCorrected(agent_id=AGENT.agent_id, email=f"{MARK}@corrigee.fr"))
    async with service.database.transaction() as tx:
        reading = Reading("siege", Role.ADMIN, f"ticket de {MARK}")
        await read_log.record(tx, reading, ReadKind.ENROLMENTS, agents=[AGENT.key])

    await service.run_job()

    assert await service.traces() == set()
    assert await rows("SELECT actor FROM read_log") == [("siege",)]


async def test_of_many_dead_letters_about_an_agent_few_are_in_memory_at_a_time(
    database: Database, service: Service, rows: SelectRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    size, most = 100_000, 250_000
    monkeypatch.setattr(dead_letters_of_people, "_BYTES_AT_ONCE", most)
    monkeypatch.setattr(dead_letters_of_people, "MOST_READABLE", most)
    held = []

    def found(*_: Any) -> bool:
        held.append(sum(len(record.value or b"") for record in alive(Record)))
        return True

    async def given_up(tx: Transaction, letters: Sequence[DeadLetter]) -> bool:
        return found() and await hold(tx, letters)

    hold = dead_letters.hold
    monkeypatch.setattr(dead_letters_of_people, "mentions", found)
    monkeypatch.setattr(dead_letters, "hold", given_up)
    value = json.dumps({"agent_id": AGENT.agent_id, "padding": "x" * size}).encode()
    record = a_record(AgentErasureRequested(agent_id="x", requested_at=clock.now()), uuid4())
    await service.park(
        *(Parked(replace(record, value=value, offset=offset), None, "why") for offset in range(10))
    )

    with without_collecting():
        async with database.transaction() as tx:
            kept = (await service.erasing.export(tx, AGENT.key))["dead_letter"]
        await service.forget()

    assert len(held) == 10 + 10 + 1
    # A slice, and the one before: the thread that read it may not have let go of its result yet.
    assert max(held) < 2 * most
    assert [letter["value"] == "…" for letter in kept] == [False] * 2 + [True] * 8
    assert await rows("SELECT 1 FROM dead_letter WHERE value IS NOT NULL OR state <> 'discarded'") == []


@pytest.mark.parametrize("fault", [ValueError("a fault of ours"), TimeoutError("it took too long")])
async def test_an_erasure_that_fails_does_not_stop_the_next(
    database: Database, portals: PortalsFile, service: Service, rows: SelectRows, fault: Exception
) -> None:
    async def fail(_tx: Transaction, agent: AgentKey, _until: datetime) -> None:
        if agent == AGENT.key:
            raise fault

    await service.ask_to_forget()
    await service.ask_to_forget(COLLEAGUE.agent_id)
    await service.read_all()
    with suppress(TimeoutError):  # the job is run again
        await replace(eraser(database, portals, Policy()), keep=fail).run()
    assert await rows("SELECT agent_id FROM erasure WHERE done_at IS NULL") == [(AGENT.agent_id,)]


async def test_a_process_that_dies_in_the_middle_leaves_the_whole_erasure_to_the_next(
    database: Database, front: Front, service: Service, portals: PortalsFile
) -> None:
    await live_through_everything(front, service)
    await service.ask_to_forget()
    await service.read_all()
    before = await service.traces()

    async with database.transaction() as tx, opened(database.url.render_as_string(False)) as dying:
        await tx.execute(text("LOCK TABLE bad_address"))  # whose rows end last
        step = asyncio.create_task(eraser(dying, portals, Policy()).run())
        await locks_awaited(database)  # it waits for the table
        await tx.execute(_END_THE_WAITING_CONNECTION)
        with pytest.raises(DBAPIError):
            await step
    assert await service.traces() == before
    await service.erasing.run()
    assert await service.traces() == set()


_END_THE_WAITING_CONNECTION = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND wait_event_type = 'Lock'"
)
