"""Mails per second of one process: queued from decisions, rendered with a calendar, sent, settled.

While the decisions are queued there is no relay, so that nothing is sent. Then there is one, and mails are
counted there: the first nine of ten, since the last wait for what the missing relay has put off.
"""

import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from shared.events.catalogue import SessionScheduled
from shared.events.enrolment import AgentEnrolled
from shared.events.topics import Topic
from tests.benchmarks.servers import (
    BenchmarkServers,
    Checkout,
    LoadMessage,
    held_still,
    progress,
    rate,
    rows_in,
    settings_of,
    smtp_sink,
)
from tests.support.builders import an_agent, headers, open_now
from tests.support.kafka import KafkaPortal

MAILS = 6_000
WARM_UP = 500
SESSIONS = 30
DATABASE = "NOTIFIER_DATABASE_URL"
SERVE = ("services.notifier", "serve")


async def measure(servers: BenchmarkServers, checkout: Checkout) -> dict[str, float]:
    """Letters queued a second, and mails sent."""
    await servers.renew_topics()
    settings = settings_of("notifier", kafka=servers.kafka) | {
        DATABASE: servers.fresh_database(checkout, DATABASE, "services.notifier", "migrate")
    }
    queued = await _queue(servers.kafka, checkout, settings)
    with (
        smtp_sink() as sink,
        checkout.running(*SERVE, settings=settings | {"SMTP_PORT": str(sink.port)}) as sending,
    ):
        sent = await rate(sink.taken, range(WARM_UP, (MAILS + WARM_UP) * 9 // 10), sending)
    return {"letters_queued_per_second": queued, "mails_sent_per_second": sent}


async def measure_plain() -> dict[str, float]:
    """Mails built and sent by the plain loop, a second."""
    with smtp_sink() as sink:
        settings = settings_of(kafka="", smtp_port=sink.port)
        with Checkout().running("tests.benchmarks.ceilings", "mail", settings=settings) as sending:
            return {"mails_sent_per_second": await rate(sink.taken, range(WARM_UP, MAILS), sending)}


async def _queue(kafka: str, checkout: Checkout, settings: Mapping[str, str]) -> float:
    sessions = [_under_way() for _ in range(SESSIONS)]
    async with (
        KafkaPortal(kafka) as portal,
        rows_in(settings[DATABASE], "session") as sessions_known,
        rows_in(settings[DATABASE], "mail") as letters_queued,
    ):
        await portal.send(Topic.CATALOGUE_SESSIONS, [_record(session) for session in sessions])
        with checkout.running(*SERVE, settings=settings) as queueing:
            await progress(sessions_known, SESSIONS, queueing)
            await portal.send(Topic.ENROLMENT_DECISIONS, _confirmations(sessions, WARM_UP))
            await progress(letters_queued, WARM_UP, queueing)
            records = _confirmations(sessions, MAILS)
            with held_still(queueing):
                await portal.send(Topic.ENROLMENT_DECISIONS, records)
            return await rate(letters_queued, range(WARM_UP, WARM_UP + MAILS), queueing)


def _under_way() -> SessionScheduled:
    """Nothing is planned for later, and a confirmation is still worth a letter."""
    now = datetime.now(UTC)
    session = open_now(starts_at=now - timedelta(hours=1), ends_at=now + timedelta(days=1))
    return SessionScheduled.model_validate(session.model_dump())


def _confirmations(sessions: Sequence[SessionScheduled], number: int) -> list[LoadMessage]:
    return [
        _record(
            AgentEnrolled(
                enrolment_id=uuid4(),
                version=1,
                request_id=uuid4(),
                session_id=session.session_id,
                agent=an_agent(email=f"{uuid4().hex}@ville.example"),
            )
        )
        for session in itertools.islice(itertools.cycle(sessions), number)
    ]


def _record(event: SessionScheduled | AgentEnrolled) -> LoadMessage:
    source = f"/services/{event.TOPIC.publishers[0]}"
    return event.key, headers(event.TYPE, source=source), event.model_dump_json().encode()
