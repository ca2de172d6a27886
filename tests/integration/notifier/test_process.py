"""The real process: stopped or killed in the middle, it loses nothing and sends nothing twice."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from local.kafka import KafkaBroker
from services.notifier import jobs
from services.notifier.restores import read_ended
from services.notifier.service.restores import reconcile
from shared.events import Event
from shared.events.enrolment import AgentEnrolled
from shared.messaging.broker import KafkaSettings
from tests.conftest import Eventually, RunService
from tests.integration.notifier.conftest import Notifier
from tests.integration.notifier.events import enrolled, scheduled
from tests.support.builders import headers
from tests.support.kafka import KafkaPortal, pass_over
from tests.support.processes import ServiceProcess
from tests.unit.notifier.builders import an_agent

MAILS = 600
WORKERS = 8


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
    ours = f"session_id = '{session_id}'"

    async def start() -> ServiceProcess:
        return await asyncio.to_thread(
            run_service,
            "notifier",
            notifier_url,
            kafka.bootstrap_servers,
            KAFKA_GROUP_INSTANCE_ID="notifier-1",  # the next need not wait until it is known to be dead
            SMTP_PORT=str(notifier.relay.port),
            SMTP_CONNECTIONS=str(WORKERS),
        )

    def taken() -> int:
        return sum(mail.recipient.startswith(run) for mail in notifier.relay.taken)

    async def some_more_are_sent() -> bool:
        return taken() > before + 20

    async def none_is_left() -> bool:
        rows = await notifier.rows(where=ours)
        return len(rows) == MAILS and all(row.state in ("sent", "ambiguous") for row in rows)

    await read_nothing_before(notifier, kafka)
    process, before = await start(), 0
    await publish(kafka, session_id, run)
    await eventually(some_more_are_sent, "the first mails sent")
    assert await asyncio.to_thread(process.terminate) == 0
    assert taken() < MAILS, "it had finished before: this proves nothing"
    assert {row.state for row in await notifier.rows(where=ours)} <= {"sent", "pending"}

    process, before = await start(), taken()
    await eventually(some_more_are_sent, "more mails sent")
    await asyncio.to_thread(process.process.kill)
    assert taken() < MAILS, "it had finished before: this proves nothing"
    await notifier.change(
        "UPDATE mail SET lease_until = now() - interval '1 second' WHERE lease_until IS NOT NULL"
    )
    await jobs.expire_leases(notifier.database)

    await start()
    await eventually(none_is_left, "every mail sent, or known to be ambiguous", seconds=90)
    rows, counts = await notifier.rows(where=ours), notifier.relay.per_message_id()
    assert {counts[row.message_id] for row in rows if row.state == "sent"} == {1}
    ambiguous = [row for row in rows if row.state == "ambiguous"]
    assert all(counts[row.message_id] <= 1 for row in ambiguous)
    assert len(ambiguous) <= 2 * WORKERS
