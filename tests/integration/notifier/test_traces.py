"""One trace: from a portal's record over outbox and queue to what the relay answers."""

from collections.abc import Sequence
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
from shared.events import Event
from shared.events.catalogue import SessionScheduled, SessionState
from shared.events.cloudevents import Received
from shared.events.enrolment import AgentEnrolled, EnrolmentRefused, MessageAudience, ParticipantsMessaged
from shared.events.portal import EnrolmentRequested
from shared.messaging.broker import KafkaSettings
from shared.messaging.consumer import read
from shared.messaging.relay import Relay
from tests.integration.notifier.conftest import Notifier
from tests.support.builders import an_agent, open_now
from tests.support.consuming import a_record, received, take
from tests.support.kafka import collect
from tests.support.otlp import CollectedSpan, Collector, collecting
from tests.support.searching import MARK
from tests.unit.notifier.builders import a_decision

TRACE = "0af7651916cd43dd8448eb211c80319c"
OF_PORTAL = "b7ad6b7169203331"


def requested(session: SessionState, agent_id: str, traceparent: str | None) -> Received[EnrolmentRequested]:
    agent = an_agent(
        agent_id, email=f"{agent_id}@exemple.fr", given_name=MARK, family_name=MARK, issuer="iel"
    )
    event = EnrolmentRequested(session_id=session.session_id, agent=agent)
    record = received(event, issuer="iel")
    return Received(event, record.id, record.source, record.record, None, traceparent, record.sender)


async def decide(
    database: Database, session: SessionState, requests: Sequence[Received[EnrolmentRequested]]
) -> None:
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
    event = AgentEnrolled.model_validate_json(found.value)
    record = a_record(event, UUID(found.id))
    headers = tuple((name, value.encode()) for name, value in found.headers.items())
    decision = read(type(record)(topic, 0, 0, record.key, found.value, headers, clock.now()))
    assert isinstance(decision, Received)
    return decision


async def test_a_trace_leads_from_the_record_of_a_portal_to_the_answer_of_the_relay(
    notifier: Notifier, enrolment_database: Database, tansu: TansuBroker
) -> None:
    session, agent_id = open_now(capacity=5), f"{MARK}-{uuid4().hex[:8]}"
    request = requested(session, agent_id, f"00-{TRACE}-{OF_PORTAL}-01")
    with collecting() as collector:
        with tracing.export(collector.settings(), "test"):
            await decide(enrolment_database, session, [request, requested(session, "B-1", None)])
            decision = await published(enrolment_database, tansu, agent_id)
            await notifier.hear(SessionScheduled.model_validate(session.model_dump()))
            await take(handlers.router, notifier.database, [decision])
            await notifier.deliver()

        way = path_of(collector, TRACE, OF_PORTAL)
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
        for topic in ("portal.enrolments", "enrolment.decisions"):
            (batch,) = collector.named(f"batch {topic}")
            assert (TRACE, span_named(way, f"process {topic}").span_id) in batch.links
            assert batch.trace_id != TRACE
        # Nobody is named, in what is sent as it is sent.
        assert not any(MARK.lower().encode() in body.lower() for body in collector.raw)


def path_of(collector: Collector, trace_id: str, parent_id: str) -> list[CollectedSpan]:
    """The spans of a trace to the letter of the answer, each the parent of the next."""
    path = []
    below = {span.parent_id: span for span in collector.spans if span.trace_id == trace_id and main(span)}
    while parent_id in below:
        path.append(below[parent_id])
        parent_id = path[-1].span_id
    return path


def main(span: CollectedSpan) -> bool:
    """Whether it is on the way to the letter, and not beside it."""
    return not span.name.startswith("send portal.answers.")


def span_named(spans: Sequence[CollectedSpan], name: str) -> CollectedSpan:
    (found,) = (span for span in spans if span.name == name)
    return found


@pytest.mark.parametrize(("flag", "is_traced"), [("01", True), ("00", False)])
async def test_a_refusal_says_its_code_and_what_a_portal_does_not_trace_is_not_traced(
    enrolment_database: Database, flag: str, is_traced: bool
) -> None:
    session = open_now(capacity=0, waiting_list="none")
    with collecting() as collector:
        with tracing.export(collector.settings(), "test"):
            request = requested(session, "A-1", f"00-{TRACE}-{OF_PORTAL}-{flag}")
            await decide(enrolment_database, session, [request])
        created = collector.named(f"create {EnrolmentRefused.__name__}")
        assert [span.attributes["parcours.reason"] for span in created] == ["session_full"] * is_traced
        assert bool(collector.spans) == is_traced


async def messaged(notifier: Notifier, agents: int) -> None:
    """Have an organiser write to so many, whose decisions are in no trace, and deliver all."""
    session = open_now(capacity=agents)
    await notifier.hear(SessionScheduled.model_validate(session.model_dump()))
    await notifier.hear(
        *(
            a_decision(
                AgentEnrolled,
                enrolment_id=uuid4(),
                session_id=session.session_id,
                agent=an_agent(f"{MARK}-{number}", email=f"{number}@exemple.fr"),
            )
            for number in range(agents)
        )
    )
    message = ParticipantsMessaged(
        message_id=uuid4(),
        session_id=session.session_id,
        session_version=session.version,
        text=MARK,
        audience=(MessageAudience.ENROLLED,),
    )
    await take(handlers.router, notifier.database, [received(message)], organisers={})
    await notifier.fan_out()
    await notifier.deliver()


async def test_each_letter_of_a_fan_out_is_a_trace_of_its_own_that_the_fan_out_is_linked_to(
    notifier: Notifier,
) -> None:
    with collecting() as collector:
        with tracing.export(collector.settings(), "test"):
            await messaged(notifier, 3)
        queued = collector.named("queue organiser-message")
        sent = collector.named("smtp organiser-message")
        (together,) = collector.named("fan-out message")
        assert len({span.trace_id for span in (*queued, together)}) == 4
        assert sorted(together.links) == sorted((span.trace_id, span.span_id) for span in queued)
        assert sorted((span.trace_id, span.parent_id) for span in sent) == sorted(together.links)
        assert together.attributes["parcours.letters"] == 3
        assert [span.attributes["parcours.outcome"] for span in sent] == ["sent"] * 3
        assert not any(MARK.lower().encode() in body.lower() for body in collector.raw)


async def test_of_letters_that_no_decision_calls_for_no_more_are_traced_than_is_allowed(
    notifier: Notifier,
) -> None:
    with collecting() as collector:
        with tracing.export(collector.settings(ratio=0), "test"):
            await messaged(notifier, 3)
        assert collector.spans == []


async def test_a_letter_that_is_about_no_enrolment_is_a_trace_too(notifier: Notifier) -> None:
    to = Addressee("digest", f"{MARK}@exemple.fr", MARK, MARK)
    with collecting() as collector:
        with tracing.export(collector.settings(), "test"):
            async with notifier.database.transaction() as tx:
                await queue.add_letter(tx, uuid4(), Letter(LetterType.DIGEST), to)
        (queued,) = collector.named("queue digest")
        [(kept,)] = await notifier.query("SELECT traceparent FROM mail")
        assert kept.startswith(f"00-{queued.trace_id}-{queued.span_id}-")
        assert tracing.is_sampled(kept)
        assert not any(MARK.lower().encode() in body.lower() for body in collector.raw)


async def test_a_letter_that_is_sent_again_is_in_the_trace_of_the_first(notifier: Notifier) -> None:
    session = open_now(capacity=5)
    await notifier.hear(SessionScheduled.model_validate(session.model_dump()))
    decision = received(a_decision(AgentEnrolled, session_id=session.session_id))
    with collecting() as collector:
        with tracing.export(collector.settings(), "test"):
            traced = decision.within(f"00-{TRACE}-{OF_PORTAL}-01")
            await take(handlers.router, notifier.database, [traced])
            await notifier.deliver()
            first = await notifier.row()
            async with notifier.database.transaction() as tx:
                again = await mails.resend(tx, first.mail_id, actor="op")
            await notifier.deliver()
        sent = collector.named("smtp enrolment-confirmed")
        assert {span.trace_id for span in sent} == {TRACE}
        assert len({span.parent_id for span in sent}) == 1
        assert [span.attributes["parcours.mail_id"] for span in sent] == [str(first.mail_id), str(again)]
