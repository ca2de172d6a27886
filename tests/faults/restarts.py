"""Two processes of enrolment under load: one is replaced after the other, then one is killed.

On each broker, with a Postgres of its own. On Apache Kafka no second may pass without an answer while they
are replaced; after a kill answers come again once the group has missed the dead one and shared its work out.
The embedded broker takes longer over both, which is measured too.
"""

import asyncio
import itertools
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from local.kafka import KafkaBroker
from local.postgres import PostgresServer
from local.tansu import TansuBroker
from services.enrolment.tables import metadata
from shared import migrations
from shared.events.catalogue import SessionScheduled
from shared.events.portal import EnrolmentRequested
from shared.events.topics import Topic
from tests.conftest import Broker, create_topics, settings_of
from tests.support.builders import an_agent, as_json, enrolment_request, headers, open_now
from tests.support.kafka import KafkaPortal
from tests.support.processes import ROOT, ServiceProcess

SESSION_SECONDS = 10.0
"""When a group misses a member that is dead (``shared/messaging/faststream.py``)."""


@dataclass(frozen=True)
class Allowed:
    """The longest time without an answer, in seconds: while processes are replaced, and after a kill."""

    replaced: float
    killed: float


ON_KAFKA = Allowed(1, SESSION_SECONDS + 3)
ON_EMBEDDED = Allowed(10, 3 * SESSION_SECONDS)
"""A group of the embedded broker waits five seconds for whoever may join, each time that one does."""
EVERY_SECONDS = 0.05
"""A request is sent so often."""
SESSIONS = 24
"""So many that all partitions have requests."""
QUIET_SECONDS = 5.0
"""Between what is done."""


def play(broker: Broker, allowed: Allowed) -> list[str]:
    """Play it. Returns what went wrong; empty: nothing."""
    with TemporaryDirectory(prefix="parcours-restarts-") as folder, PostgresServer.temporary() as postgres:
        create_topics(broker)
        url = postgres.create_database("enrolment")
        migrations.upgrade(url, ROOT / "services" / "enrolment" / "migrations", metadata)
        settings = settings_of("enrolment", url, broker.bootstrap_servers)
        numbers = itertools.count(1)

        def replica() -> ServiceProcess:
            return ServiceProcess("enrolment", settings, Path(folder) / f"{next(numbers)}.log")

        return asyncio.run(_play(broker, allowed, postgres, replica))


def play_on_each(*, with_kafka: bool) -> list[str]:
    """Play it on the embedded broker, and on Apache Kafka where that can run."""
    faults = []
    if with_kafka:
        with KafkaBroker.temporary() as kafka:
            faults = [f"Apache Kafka: {fault}" for fault in play(kafka, ON_KAFKA)]
    with TansuBroker.start() as tansu:
        return faults + [f"the embedded broker: {fault}" for fault in play(tansu, ON_EMBEDDED)]


async def _play(
    broker: Broker, allowed: Allowed, postgres: PostgresServer, replica: Callable[[], ServiceProcess]
) -> list[str]:
    replicas = [replica(), replica()]
    try:
        for each in replicas:
            await asyncio.to_thread(each.start)
        async with KafkaPortal(broker.bootstrap_servers) as portal:
            load = asyncio.create_task(_ask(portal))
            try:
                await _until_answers(postgres)
                begun = time.time()
                for number in range(2):
                    newer = replica()
                    replicas.append(newer)
                    await asyncio.to_thread(newer.start)
                    await asyncio.to_thread(replicas[number].stop)
                    await asyncio.sleep(QUIET_SECONDS)
                killed = time.time()
                replicas[2].process.kill()
                newer = replica()
                replicas.append(newer)
                await asyncio.to_thread(newer.start)
                await asyncio.sleep(allowed.killed + QUIET_SECONDS)
            finally:
                load.cancel()
                with suppress(asyncio.CancelledError):
                    await load
        return [
            *_faults(postgres, "while processes are replaced", (begun, killed), allowed.replaced),
            *_faults(postgres, "after a kill", (killed, time.time()), allowed.killed),
        ]
    finally:
        for each in replicas:
            with suppress(AssertionError):  # it was stopped, or killed
                await asyncio.to_thread(each.stop)


async def _ask(portal: KafkaPortal) -> None:
    """Ask for seats, again and again."""
    sessions = [open_now(capacity=100_000) for _ in range(SESSIONS)]
    made = [
        (
            str(session.session_id),
            headers(SessionScheduled.TYPE, source="/services/catalogue"),
            session.model_dump_json().encode(),
        )
        for session in sessions
    ]
    await portal.send(Topic.CATALOGUE_SESSIONS, made)
    for session in itertools.cycle(sessions):
        key = str(session.session_id)
        request = as_json(enrolment_request(key, an_agent()))
        await portal.send_soon(Topic.PORTAL_ENROLMENTS, (key, headers(EnrolmentRequested.TYPE), request))
        await asyncio.sleep(EVERY_SECONDS)


async def _until_answers(postgres: PostgresServer) -> None:
    end = time.monotonic() + 60
    while int(await asyncio.to_thread(postgres.execute, _ANSWERED, "enrolment")) < SESSIONS:
        if time.monotonic() > end:
            raise TimeoutError("no request is answered")
        await asyncio.sleep(0.2)


def _faults(postgres: PostgresServer, what: str, between: tuple[float, float], allowed: float) -> list[str]:
    """Measure the longest time without an answer, and how long anybody waited; the first is bounded."""
    begun, ended = between
    printed = postgres.execute(_LONGEST.format(begun=begun, ended=ended), "enrolment")
    gap, waited, answers = (float(figure or 0) for figure in printed.split("|"))
    line = f"{what}: {answers:.0f} answers, {gap:.2f} s at most without one, the longest wait {waited:.2f} s"
    print(f"        {line}", flush=True)
    return [] if answers and gap <= allowed else [line]


_ANSWERED = "SELECT count(*) FROM request WHERE decided_at IS NOT NULL"
_LONGEST = """
    SELECT extract(epoch FROM max(decided_at - before)), extract(epoch FROM max(decided_at - received_at)),
           count(*)
      FROM (SELECT decided_at, received_at, lag(decided_at) OVER (ORDER BY decided_at) AS before
              FROM request WHERE decided_at IS NOT NULL) AS answered
     WHERE decided_at BETWEEN to_timestamp({begun}) AND to_timestamp({ended})"""
