"""A notifier whose database is lost, and restored from a backup that is older: each letter leaves once.

Its process is killed while mails leave, its database is dropped, and restored by ``pg_restore`` from a dump
that was made while others left; then an operator does what docs/operations.md says. On an Apache Kafka and a
Postgres of their own, and a relay that counts.
"""

import asyncio
import subprocess
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from local.kafka import KafkaBroker
from local.postgres import PostgresServer
from local.unprivileged import installation
from services.notifier import app, tables
from shared import clock, migrations
from shared.events import Event
from shared.events.catalogue import SessionScheduled
from shared.events.enrolment import AgentEnrolled
from tests.conftest import create_topics, settings_of
from tests.support.builders import headers
from tests.support.kafka import KafkaMessage, KafkaPortal
from tests.support.processes import ServiceProcess, run_cli
from tests.support.smtp import ScriptedRelay, scripted_relay
from tests.unit.notifier.builders import a_decision, a_session, an_agent

LETTERS = 400
WAIT_SECONDS = 60.0


def play() -> list[str]:
    """Play it. Returns what went wrong; empty: nothing."""
    with (
        TemporaryDirectory() as folder,
        PostgresServer.temporary() as postgres,
        KafkaBroker.temporary() as kafka,
    ):
        create_topics(kafka)
        url = postgres.create_database("notifier")
        migrations.upgrade(url, app.REVISIONS, tables.metadata)
        return asyncio.run(_play(postgres, kafka, url, Path(folder)))


async def _play(postgres: PostgresServer, kafka: KafkaBroker, url: str, folder: Path) -> list[str]:
    dump = folder / "notifier.dump"
    async with scripted_relay() as relay, KafkaPortal(kafka.bootstrap_servers) as portal:
        settings = settings_of("notifier", url, kafka.bootstrap_servers) | {
            "SMTP_PORT": str(relay.port),
            "SMTP_CONNECTIONS": "4",
        }
        service = ServiceProcess("notifier", settings, folder / "notifier.log")
        await asyncio.to_thread(service.start)
        session = SessionScheduled.model_validate(a_session().model_dump())
        await portal.send(session.TOPIC, [_record(session)])
        decided = [_a_decision(number) for number in range(LETTERS)]
        backup_at = clock.now()
        await portal.send(AgentEnrolled.TOPIC, [_record(decision) for decision in decided[: LETTERS // 2]])
        await _until(lambda: len(relay.taken) > LETTERS // 8, "the first letters")
        await asyncio.to_thread(_pg, "pg_dump", "--format=custom", f"--file={dump}", url)
        await portal.send(AgentEnrolled.TOPIC, [_record(decision) for decision in decided[LETTERS // 2 :]])
        await _until(lambda: len(relay.taken) > LETTERS * 3 // 4, "most letters")
        await asyncio.to_thread(service.process.kill)
        left = len(relay.taken)
        log = folder / "relay.log"
        log.write_text("".join(f"cleanup: message-id={mail.message_id}\n" for mail in relay.taken))
        postgres.execute("DROP DATABASE notifier")
        postgres.create_database("notifier")
        await asyncio.to_thread(_pg, "pg_restore", "--no-owner", f"--dbname={url}", str(dump))

        since = (backup_at - timedelta(minutes=1)).isoformat()
        faults: list[str] = []
        while fault := await _command(settings, "topics", "rewind", "--since", since):
            if "has members" not in fault:
                return [fault]
        await asyncio.to_thread(service.start)
        await _until_queued(postgres)
        if len(relay.taken) != left:
            faults.append(f"{len(relay.taken) - left} letters left before the reconciliation")
        faults.append(
            await _command(settings, "mails", "reconcile", "--since", since, "--relay-log", str(log))
        )
        try:
            await _until(lambda: len(relay.taken) >= LETTERS, "all letters")
        finally:
            await asyncio.sleep(1)
            await asyncio.to_thread(service.stop)
        faults += _counted(relay)
        if faults := [fault for fault in faults if fault]:
            print((folder / "notifier.log").read_text()[-4000:], flush=True)
        print(f"        {left} letters had left, {len(relay.taken)} in the end", flush=True)
        return faults


def _a_decision(number: int) -> AgentEnrolled:
    agent = an_agent(agent_id=f"A-{number}", email=f"a{number}@ville.example")
    decision: AgentEnrolled = a_decision(AgentEnrolled, enrolment_id=uuid4(), agent=agent)
    return decision


def _record(event: Event) -> KafkaMessage:
    return event.key, headers(event.TYPE, source="/services/tests"), event.model_dump_json().encode()


def _pg(program: str, *arguments: str) -> None:
    subprocess.run([installation(None) / "bin" / program, *arguments], check=True)


async def _command(settings: dict[str, str], *arguments: str) -> str:
    """Run a command as an operator does. Returns what it complains of, nothing if it is content."""
    done = await asyncio.to_thread(run_cli, "notifier", *arguments, environment=settings)
    print("".join(f"        {line}\n" for line in done.stdout.splitlines()), end="")
    return "" if done.returncode == 0 else f"{' '.join(arguments[:2])}: {done.stdout}{done.stderr}"


async def _until(condition: Callable[[], bool], what: str) -> None:
    async def holds() -> bool:
        return condition()

    await _until_true(holds, what)


async def _until_queued(postgres: PostgresServer) -> None:
    async def is_queued() -> bool:
        found = await asyncio.to_thread(postgres.execute, "SELECT count(*) FROM mail", "notifier")
        return found.strip() == str(LETTERS)

    await _until_true(is_queued, "all letters in the queue")


async def _until_true(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not await condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {WAIT_SECONDS:.0f} s: {what}")
        await asyncio.sleep(0.02)


def _counted(relay: ScriptedRelay) -> list[str]:
    number = dict.fromkeys((f"a{n}@ville.example" for n in range(LETTERS)), 0)
    for mail in relay.taken:
        number[mail.recipient] += 1
    return [f"{address} got {times} letters" for address, times in number.items() if times != 1]
