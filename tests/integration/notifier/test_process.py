"""The real process: stopped or killed in the middle, it loses nothing and sends nothing twice."""

import asyncio
import signal
from collections import Counter
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from local.kafka import KafkaBroker
from services.notifier import jobs
from services.notifier.restores import read_ended
from services.notifier.service.restores import reconcile
from shared.events.enrolment import AgentEnrolled
from shared.events.vocabulary import Event
from shared.messaging.broker import KafkaSettings
from tests.conftest import Eventually, RunService
from tests.integration.notifier.conftest import Notifier
from tests.integration.notifier.events import enrolled, scheduled
from tests.support.builders import headers
from tests.support.kafka import KafkaPortal, pass_over
from tests.support.processes import ServiceProcess
from tests.support.smtp import Hang, Reply
from tests.unit.notifier.builders import an_agent

MAILS = 60
WORKERS = 2


async def publish(broker: KafkaBroker, session_id: UUID, run: str) -> None:
    """A session and its enrolments, as the other services publish them."""
    decisions = [
        enrolled(n, session_id=session_id, agent=an_agent(agent_id=f"{run}-{n}", email=f"{run}-{n}@ville.fr"))
        for n in range(MAILS)
    ]
    async with KafkaPortal(broker.bootstrap_servers) as portal:
        session = scheduled(session_id=session_id)
        await portal.send(session.TOPIC, [record(session)])
        await portal.send(AgentEnrolled.TOPIC, [record(decision) for decision in decisions])


def record(event: Event) -> tuple[str, Any, bytes]:
    return event.key, headers(event.TYPE, source="/services/tests"), event.model_dump_json().encode()


async def read_nothing_before(notifier: Notifier, kafka: KafkaBroker) -> None:
    """Pass over what other tests left on Kafka, which would all be written about first."""
    await pass_over(kafka.bootstrap_servers, f"notifier.{AgentEnrolled.TOPIC}", AgentEnrolled.TOPIC)
    settings = KafkaSettings(kafka_bootstrap_servers=kafka.bootstrap_servers)
    left = await read_ended(settings, datetime(2025, 1, 1, tzinfo=UTC))
    async with notifier.database.transaction() as tx:
        await reconcile(tx, left, {}, accept_missing=True, actor="tests")


async def test_a_notifier_stopped_and_then_killed_in_the_middle_loses_and_doubles_nothing(
    *,
    notifier: Notifier,
    notifier_url: str,
    kafka: KafkaBroker,
    run_service: RunService,
    eventually: Eventually,
) -> None:
    session_id, run = uuid4(), uuid4().hex[:8]
    ours, relay = f"session_id = '{session_id}'", notifier.relay

    async def start() -> tuple[ServiceProcess, list[Hang]]:
        """A notifier that sends ten mails and then waits for the relay with each of its connections."""
        hangs = [Hang() for _ in range(WORKERS)]
        relay.script("DOT", *[Reply("250 taken")] * 10, *hangs)
        before = sum(row.state == "sent" for row in await notifier.rows(where=ours))
        process = await asyncio.to_thread(
            run_service,
            "notifier",
            notifier_url,
            kafka.bootstrap_servers,
            KAFKA_GROUP_INSTANCE_ID="notifier-1",  # the next need not wait until it is known to be dead
            SMTP_PORT=str(relay.port),
            SMTP_CONNECTIONS=str(WORKERS),
        )

        async def is_in_the_middle() -> bool:
            rows = await notifier.rows(where=ours)
            sent = sum(row.state == "sent" for row in rows)
            waiting = len(relay.taken) == sent + WORKERS
            return len(rows) == MAILS and sent == before + 10 and waiting

        await eventually(is_in_the_middle, "all mails are queued and some are sent")
        return process, hangs

    await read_nothing_before(notifier, kafka)
    await publish(kafka, session_id, run)
    process, hangs = await start()
    process.process.send(signal.SIGTERM)
    for hang in hangs:
        hang.release.set()
    assert await asyncio.to_thread(process.process.wait, 40) == 0
    assert len(relay.taken) < MAILS - 10 - WORKERS, "it had finished before: this proves nothing"
    assert {row.state for row in await notifier.rows(where=ours)} == {"sent", "pending"}

    process, hangs = await start()
    await asyncio.to_thread(process.process.kill)
    for hang in hangs:
        hang.release.set()
    await notifier.change("UPDATE mail SET lease_until = now() WHERE lease_until IS NOT NULL")
    await jobs.expire_leases(notifier.database)
    await notifier.deliver()
    rows, counts = await notifier.rows(where=ours), relay.per_message_id()
    assert Counter(row.state for row in rows) == {"sent": MAILS - WORKERS, "ambiguous": WORKERS}
    assert {counts[row.message_id] for row in rows} == {1}
