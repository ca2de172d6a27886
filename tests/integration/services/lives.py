"""One person who comes into a service by every event that it reads, and is forgotten."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text

from shared import clock
from shared.events.catalogue import SessionState
from shared.events.enrolment import AgentDetailsCorrected, AgentEnrolled
from shared.events.erasure import AgentErased
from shared.events.index import EVENTS
from shared.events.portal import AgentCorrected, AgentErasureRequested
from shared.events.topics import Topic
from shared.events.vocabulary import AgentKey, Event
from shared.messaging import dead_letters, progress
from shared.messaging.dead_letters import Parked
from shared.messaging.portals.registry import TRIAL_PORTAL
from shared.personal_data import agents_with
from shared.process import Process
from tests.contract.test_examples import examples_of
from tests.support.builders import a_question, open_now
from tests.support.consuming import received, take
from tests.support.marking import ADDRESS, PERSON, Marks
from tests.support.searching import MARK

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
QUESTIONS = [a_question("repas", "text"), a_question("attentes", "text"), a_question("train", "yes_no")]


def sessions_of_each_kind() -> list[SessionState]:
    """A plain session comes first."""
    return [
        open_now(capacity=1),
        open_now(capacity=1, waiting_list="offer"),
        open_now(approval="employer"),
        open_now(approval="selection", format="inet"),
        open_now(questions=QUESTIONS),
    ]


def events_read(process: Process) -> list[type[Event]]:
    """Return the events that bring a person in, those of portals first."""
    read = {event for subscription in process.router.subscriptions.values() for event in subscription.events}
    return [event for event in EVENTS if event in read - {AgentErasureRequested, AgentErased}]


async def hear(process: Process, event: Event) -> UUID:
    event_id = uuid4()
    names = ("policy", "organisers")
    context = {name: process.context.get(name) for name in names if process.context.get(name) is not None}
    record = replace(received(event, event_id, issuer=PERSON.issuer), traceparent=TRACEPARENT)
    await take(process.router, process.database, [record], **context)
    return event_id


async def live_by_events(process: Process, marks: Marks) -> None:
    """Hear each example of each event, requests for a seat in a session of each kind; park each, too."""
    sessions, other, enrolments = sessions_of_each_kind(), open_now(questions=QUESTIONS), list[str]()
    if Topic.CATALOGUE_SESSIONS in process.router.subscriptions:
        for session in (*sessions, other):
            await hear(process, session)
    for event in events_read(process):
        for example in examples_of(event):
            for session in sessions[:1] if event.TOPIC is not Topic.PORTAL_ENROLMENTS else sessions:
                enrolment_id = str(uuid4())
                if issubclass(event, AgentEnrolled):
                    enrolments.append(enrolment_id)
                ids = ("request_id", "mail_id", "resource_id")
                known: dict[str, Any] = {name: str(uuid4()) for name in ids} | {
                    "session_id": str(uuid4() if issubclass(event, SessionState) else session.session_id),
                    "to_session_id": str(other.session_id),
                    "enrolment_id": enrolment_id,
                    "enrolment_ids": enrolments,
                }
                heard = event.model_validate(marks.document(example, event, known))
                await hear(process, heard)
                if session is sessions[0]:
                    await park(process, heard)
    await run_jobs(process)


async def correct_address(process: Process) -> None:
    """Let the person move to another mailbox; the former address is kept for a day or longer."""
    corrected = {**PERSON._asdict(), "email": f"{MARK.lower()}-new@exemple.fr", "corrected_at": clock.now()}
    for event in events_read(process):
        if event in (AgentCorrected, AgentDetailsCorrected):
            known = {name: corrected[name] for name in event.model_fields.keys() & corrected.keys()}
            await hear(process, event.model_validate(known))
    await run_jobs(process)


async def run_jobs(process: Process) -> None:
    """Run each job often enough to do what is due."""
    for job in (*process.jobs, *process.jobs):
        for _ in range(3):
            await job.run()


async def park(process: Process, event: Event) -> None:
    """A reason may quote the record."""
    record = received(event).record
    reason = MARK if MARK.encode() in (record.value or b"") else "no reason"
    async with process.database.transaction() as tx:
        await dead_letters.park(tx, [Parked(record, event.TYPE, reason, reason)])


async def forget(process: Process) -> None:
    """Forget the person under each identifier, then by the address."""
    async with process.database.quiet_transaction() as tx:
        agents = await agents_with(tx, process.register, ADDRESS)
    for agent in (*agents, AgentKey(TRIAL_PORTAL, PERSON.agent_id)):
        await request_erasure(process, AgentErasureRequested(**agent._asdict(), requested_at=clock.now()))
    for _ in range(4):
        await let_all_leave(process)
        await process.eraser.run()
    await let_all_leave(process)
    assert await process.eraser.forget(ADDRESS, uuid4())


async def request_erasure(process: Process, request: AgentErasureRequested) -> None:
    request_id = await hear(process, request)
    if Topic.AGENTS_ERASED in process.router.subscriptions:
        answer = {"request_id": request_id, "request_source": "/tests", "service": "enrolment"}
        await hear(process, AgentErased.model_validate(answer | {"erased_at": clock.now()}))


async def let_all_leave(process: Process) -> None:
    """Mark everything as read, published and sent."""
    async with process.database.transaction() as tx:
        for topic in Topic:
            await progress.save(tx, topic, {0: clock.now() + timedelta(seconds=1)})
        await tx.execute(text("UPDATE outbox SET sent_at = now() WHERE sent_at IS NULL AND held IS NULL"))
        if process.name == "notifier":
            await tx.execute(
                text("UPDATE mail SET state = 'sent', settled_at = now() WHERE settled_at IS NULL")
            )
