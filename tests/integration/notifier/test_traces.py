"""One trace: from a portal's record over outbox and queue to what the relay answers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from local.tansu import TansuBroker
from services.enrolment import handlers as enrolment
from services.enrolment.rules.policy import Policy
from services.enrolment.service import sessions
from services.notifier import handlers
from services.notifier.letters import Letter, LetterType
from services.notifier.service import mails
from services.notifier.store import queue
from services.notifier.store.queue import Addressee
from shared import clock, tracing
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.cloudevents import Received
from shared.events.enrolment import AgentEnrolled, EnrolmentRefused
from shared.events.portal import EnrolmentRequested
from shared.events.vocabulary import Event
from shared.messaging.broker import KafkaSettings
from shared.messaging.consumer import read
from shared.messaging.relay import Relay
from tests.integration.notifier.conftest import Notifier
from tests.integration.notifier.events import scheduled
from tests.integration.notifier.test_messages import messaged
from tests.support.builders import an_agent, open_now
from tests.support.consuming import a_record, received, take
from tests.support.kafka import collect
from tests.support.otlp import CollectedSpan, Collector, collecting
from tests.support.searching import MARK
from tests.unit.notifier.builders import a_decision

TRACE = "0af7651916cd43dd8448eb211c80319c"
OF_PORTAL = "b7ad6b7169203331"


@contextmanager
def traced(**settings: Any) -> Iterator[Collector]:
    """Collect the spans of what is done inside. In what is sent nobody is named."""
    with collecting() as collector:
        with tracing.export(collector.settings(**settings), "test"):
            yield collector
        assert not any(MARK.lower().encode() in body.lower() for body in collector.raw)


def requested(session: SessionState, agent_id: str, flag: str | None = "01") -> Received[EnrolmentRequested]:
    """A portal's request in a trace; without a flag, in none."""
    address = f"{agent_id}@exemple.fr"
    agent = an_agent(agent_id, email=address, given_name=MARK, family_name=MARK, issuer="iel")
    event = EnrolmentRequested(session_id=session.session_id, agent=agent)
    record: Received[EnrolmentRequested] = received(event, issuer="iel")
    return replace(record, traceparent=None if flag is None else f"00-{TRACE}-{OF_PORTAL}-{flag}")


async def decide(database: Database, session: SessionState, *requests: Received[EnrolmentRequested]) -> None:
    async with database.transaction() as tx:
        await sessions.apply_states(tx, {session.session_id: session}, Policy(), clock.now())
    await take(enrolment.router, database, requests, policy=Policy())


async def published(database: Database, tansu: TansuBroker, agent_id: str) -> Received[Event]:
    """Publish the outbox; return the decision about an agent as its consumers read it."""
    settings = KafkaSettings(kafka_bootstrap_servers=tansu.bootstrap_servers)
    relay = Relay(database, settings, "enrolment")
    await relay.start()
    await relay.publish_unsent()
    await relay.close()
    topic = AgentEnrolled.TOPIC
    records = await collect(
        tansu.bootstrap_servers, topic, lambda found: any(record.key == agent_id for record in found)
    )
    (found,) = (record for record in records if record.key == agent_id)
    record = a_record(AgentEnrolled.model_validate_json(found.value), UUID(found.id))
    headers = tuple((name, value.encode()) for name, value in found.headers.items())
    decision = read(type(record)(topic, 0, 0, record.key, found.value, headers, clock.now()))
    assert isinstance(decision, Received)
    return decision


def path_of(collector: Collector) -> Sequence[CollectedSpan]:
    """The spans of the trace to the letter of the answer, each the parent of the next."""
    beside = "send portal.answers."
    on_the_way = [span for span in collector.spans if not span.name.startswith(beside)]
    below = {span.parent_id: span for span in on_the_way if span.trace_id == TRACE}
    path = [below[OF_PORTAL]]
    while path[-1].span_id in below:
        path.append(below[path[-1].span_id])
    return path


async def test_a_trace_leads_from_the_record_of_a_portal_to_the_answer_of_the_relay(
    notifier: Notifier, enrolment_database: Database, tansu: TansuBroker
) -> None:
    session, agent_id = open_now(capacity=5), f"{MARK}-{uuid4().hex[:8]}"
    request = requested(session, agent_id)
    with traced() as collector:
        await decide(enrolment_database, session, request, requested(session, "B-1", None))
        decision = await published(enrolment_database, tansu, agent_id)
        await notifier.hear(scheduled(**session.model_dump()))
        await take(handlers.router, notifier.database, [decision])
        await notifier.deliver()

    way = path_of(collector)
    assert [span.name for span in way] == [
        "process portal.enrolments",
        "create AgentEnrolled",
        "send enrolment.decisions",
        "process enrolment.decisions",
        "queue enrolment-confirmed",
        "smtp enrolment-confirmed",
    ]
    assert not any(span.failed for span in way)
    first, created, *_, sent = way
    assert first.attributes["parcours.request_id"] == str(request.id)
    assert created.attributes["parcours.enrolment_id"] == sent.attributes["parcours.enrolment_id"]
    assert (sent.attributes["smtp.code"], sent.attributes["parcours.outcome"]) == (250, "sent")
    assert decision.traceparent == f"00-{TRACE}-{way[2].span_id}-01"
    for span in way[0], way[3]:
        (batch,) = collector.named(span.name.replace("process", "batch"))
        assert ((TRACE, span.span_id) in batch.links, batch.trace_id == TRACE) == (True, False)


@pytest.mark.parametrize(("flag", "reasons"), [("01", ["session_full"]), ("00", [])])
async def test_a_refusal_says_its_code_and_what_a_portal_does_not_trace_is_not_traced(
    enrolment_database: Database, flag: str, reasons: Sequence[str]
) -> None:
    session = open_now(capacity=0, waiting_list="none")
    with traced() as collector:
        await decide(enrolment_database, session, requested(session, "A-1", flag))
    created = collector.named(f"create {EnrolmentRefused.__name__}")
    assert [span.attributes["parcours.reason"] for span in created] == reasons
    assert bool(collector.spans) == bool(reasons)


async def write_to(notifier: Notifier, agents: int) -> None:
    """Have an organiser write to so many, whose decisions are in no trace, and deliver all."""
    for number in range(agents):
        agent = an_agent(f"{MARK}-{number}", email=f"{number}@exemple.fr")
        await notifier.hear(a_decision(AgentEnrolled, enrolment_id=uuid4(), agent=agent))
    await take(handlers.router, notifier.database, [received(messaged(text=MARK))], organisers={})
    await notifier.fan_out()
    await notifier.deliver()


async def test_each_letter_of_a_fan_out_is_a_trace_of_its_own_that_the_fan_out_is_linked_to(
    known: Notifier,
) -> None:
    with traced() as collector:
        await write_to(known, 3)
    queued, sent = collector.named("queue organiser-message"), collector.named("smtp organiser-message")
    (together,) = collector.named("fan-out message")
    assert len({span.trace_id for span in (*queued, together)}) == 4
    assert sorted(together.links) == sorted((span.trace_id, span.span_id) for span in queued)
    assert sorted((span.trace_id, span.parent_id) for span in sent) == sorted(together.links)
    assert together.attributes["parcours.letters"] == 3
    assert [span.attributes["parcours.outcome"] for span in sent] == ["sent"] * 3


async def test_of_letters_that_no_decision_calls_for_no_more_are_traced_than_is_allowed(
    known: Notifier,
) -> None:
    with traced(ratio=0) as collector:
        await write_to(known, 3)
    assert collector.spans == []


async def test_a_letter_that_is_about_no_enrolment_is_a_trace_too(notifier: Notifier) -> None:
    to = Addressee("digest", f"{MARK}@exemple.fr", MARK, MARK)
    with traced() as collector:
        async with notifier.database.transaction() as tx:
            await queue.add_letter(tx, uuid4(), Letter(LetterType.DIGEST), to)
    (queued,) = collector.named("queue digest")
    [(kept,)] = await notifier.query("SELECT traceparent FROM mail")
    assert kept.startswith(f"00-{queued.trace_id}-{queued.span_id}-")
    assert tracing.is_sampled(kept)


async def test_a_letter_that_is_sent_again_is_in_the_trace_of_the_first(known: Notifier) -> None:
    decision = received(a_decision(AgentEnrolled)).within(f"00-{TRACE}-{OF_PORTAL}-01")
    with traced() as collector:
        await take(handlers.router, known.database, [decision])
        await known.deliver()
        first = await known.row()
        async with known.database.transaction() as tx:
            again = await mails.resend(tx, first.mail_id, actor="op")
        await known.deliver()
    sent = collector.named("smtp enrolment-confirmed")
    assert ({span.trace_id for span in sent}, len({span.parent_id for span in sent})) == ({TRACE}, 1)
    assert [span.attributes["parcours.mail_id"] for span in sent] == [str(first.mail_id), str(again)]
