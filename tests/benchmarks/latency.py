"""From a portal's request to the agent's mailbox: real processes, a real broker, a relay that stamps.

The clock starts before the portal hands the request to its producer, so what is measured is longer than what
is promised, which begins at the broker; it stops when the relay has the final dot. Requests come at 200 a
second for ten seconds; then again while 100,000 who are enrolled are written to about a change.
"""

import asyncio
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Integer, String, func, insert, literal, select
from sqlalchemy import cast as cast_to

from local.kafka import KafkaBroker
from local.postgres import PostgresServer
from local.tansu import TansuBroker
from services.enrolment.definition import DEFINITION as ENROLMENT
from services.notifier.definition import DEFINITION as NOTIFIER
from services.notifier.tables import EnrolmentRow
from shared import migrations
from shared.database import Database
from shared.events.catalogue import SessionChanged, SessionScheduled, SessionState
from shared.events.portal import EnrolmentRequested
from shared.events.topics import Topic
from tests.conftest import create_topics, settings_of
from tests.support.builders import an_agent, as_json, enrolment_request, headers, open_now
from tests.support.kafka import KafkaPortal
from tests.support.processes import ServiceProcess

RATE = 200
SECONDS = 10
SESSIONS = 100
ENROLLED = 100_000
DOMAINS = 500


async def run(*, on_kafka: bool = False) -> dict[str, float]:
    """Milliseconds, alone and beside the fan-out; on the embedded broker, or on Apache Kafka."""
    relay = StampingRelay()
    port = await relay.start()
    with (
        PostgresServer.temporary(durable=True) as postgres,
        KafkaBroker.temporary() if on_kafka else TansuBroker.temporary() as broker,
        TemporaryDirectory() as logs,
    ):
        # Migrations have a loop of their own.
        await asyncio.to_thread(create_topics, broker)
        urls = {name: postgres.create_database(name) for name in ("enrolment", "notifier")}
        for definition in (ENROLMENT, NOTIFIER):
            await asyncio.to_thread(migrations.upgrade, urls[definition.name], definition.revisions)
        with (
            _service("enrolment", urls["enrolment"], broker.bootstrap_servers, Path(logs)),
            _service("notifier", urls["notifier"], broker.bootstrap_servers, Path(logs), SMTP_PORT=str(port)),
        ):
            async with KafkaPortal(broker.bootstrap_servers) as portal:
                return await Requests(portal, relay).measure(urls["notifier"])


@contextmanager
def _service(name: str, url: str, kafka: str, logs: Path, **environment: str) -> Iterator[None]:
    settings = settings_of(name, url, kafka) | {"LOG_LEVEL": "WARNING"} | environment
    process = ServiceProcess(name, settings, logs / f"{name}.log").start()
    try:
        yield
    finally:
        process.stop()
        print((logs / f"{name}.log").read_text(), end="")


class Requests:
    """Requests seats at a steady rate, and measures when each letter arrives."""

    def __init__(self, portal: KafkaPortal, relay: "StampingRelay") -> None:
        self._portal = portal
        self._relay = relay
        self._sessions = [open_now(capacity=1_000) for _ in range(SESSIONS)]

    async def measure(self, notifier_url: str) -> dict[str, float]:
        for session in self._sessions:
            await self._publish(session, SessionScheduled.TYPE)
        await self._request("warm", seconds=2)
        alone = await self._request("alone", seconds=SECONDS)
        crowded = open_now()
        await self._publish(crowded, SessionScheduled.TYPE)
        await _enrol_many(notifier_url, crowded.session_id)
        moved = crowded.model_copy(update={"version": 2, "venue": "Rennes, 3 rue du Test"})
        before = self._relay.taken
        await self._publish(moved, SessionChanged.TYPE)
        beside = await self._request("beside", seconds=SECONDS)
        fanned_out = self._relay.taken - before - RATE * SECONDS
        if not 0 < fanned_out < ENROLLED:
            raise RuntimeError(f"{fanned_out} mails of the fan-out left beside the requests")
        return {
            **_figures("confirmation", alone),
            **_figures("confirmation_beside_a_fan_out", beside),
            "fan_out_mails_per_second_meanwhile": fanned_out / SECONDS,
            "load_average": os.getloadavg()[0],
        }

    async def _request(self, run: str, *, seconds: int) -> list[float]:
        """How long each request took, in milliseconds, until its letter arrived."""
        sent_at: dict[str, float] = {}
        begun = time.monotonic()
        for number in range(RATE * seconds):
            await asyncio.sleep(max(0.0, begun + number / RATE - time.monotonic()))
            agent = an_agent(f"{run}-{number}", email=f"{run}-{number}@ville-{number % DOMAINS}.example")
            session_id = str(self._sessions[number % SESSIONS].session_id)
            record = (
                session_id,
                headers(EnrolmentRequested.TYPE),
                as_json(enrolment_request(session_id, agent)),
            )
            sent_at[agent.email] = time.monotonic()
            await self._portal.send_soon(Topic.PORTAL_ENROLMENTS, record)
        async with asyncio.timeout(60):
            while not sent_at.keys() <= self._relay.arrived.keys():  # noqa: ASYNC110 the relay has no event for it
                await asyncio.sleep(0.1)
        return [(self._relay.arrived[address] - at) * 1_000 for address, at in sent_at.items()]

    async def _publish(self, session: SessionState, event_type: str) -> None:
        value = session.model_dump_json().encode()
        record = (str(session.session_id), headers(event_type, source="/services/catalogue"), value)
        await self._portal.send(Topic.CATALOGUE_SESSIONS, [record])


async def _enrol_many(notifier_url: str, session_id: UUID) -> None:
    """As if their decisions had been taken in long ago."""
    number = func.generate_series(1, ENROLLED, type_=Integer).column_valued("n")
    digits = cast_to(number, String)
    row = EnrolmentRow
    columns: dict[Any, Any] = {
        row.enrolment_id: func.gen_random_uuid(),
        row.version: literal(1),
        row.session_id: literal(session_id),
        row.standing: literal("enrolled"),
        row.issuer: literal("bench"),
        row.agent_id: literal("F-") + digits,
        row.address: literal("f") + digits + "@ville-" + cast_to(number % DOMAINS, String) + ".example",
        row.given_name: literal("Zoé"),
        row.family_name: literal("Durand"),
        row.since: func.now() - timedelta(days=1),
        row.event_id: func.gen_random_uuid(),
    }
    database = Database(notifier_url, application_name="bench")
    try:
        async with database.quiet_transaction() as tx:
            await tx.execute(insert(row).from_select([*columns], select(*columns.values())))
    finally:
        await database.close()


def _figures(name: str, milliseconds: list[float]) -> dict[str, float]:
    percentiles = statistics.quantiles(milliseconds, n=100)
    return {
        f"{name}_p50_milliseconds": percentiles[49],
        f"{name}_p99_milliseconds": percentiles[98],
        f"{name}_max_milliseconds": max(milliseconds),
    }


class StampingRelay:
    """Takes every mail, and knows when each address had its first; it says yes and keeps nothing else."""

    def __init__(self) -> None:
        self.arrived: dict[str, float] = {}
        self.taken = 0

    async def start(self) -> int:
        """Listen; returns the port. It ends with the loop."""
        server = await asyncio.get_running_loop().create_server(lambda: _Dialogue(self), "127.0.0.1", 0)
        port: int = server.sockets[0].getsockname()[1]
        return port

    def take(self, recipient: str) -> None:
        self.taken += 1
        self.arrived.setdefault(recipient, time.monotonic())


class _Dialogue(asyncio.Protocol):
    """One connection. A client that does not pipeline sends a command, or a message and its dot, at once."""

    def __init__(self, relay: StampingRelay) -> None:
        self._relay = relay
        self._received = bytearray()
        self._in_data = False
        self._recipient = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's does not inherit from it
        self._transport.write(b"220 relay.example ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._received.endswith(b"\r\n.\r\n" if self._in_data else b"\r\n"):
            return
        command = bytes(self._received[:200])
        self._received.clear()
        if self._in_data:
            self._in_data = False
            self._relay.take(self._recipient)
            self._transport.write(b"250 taken\r\n")
        elif command.startswith(b"DATA"):
            self._in_data = True
            self._transport.write(b"354 go on\r\n")
        else:
            if command.startswith(b"RCPT"):
                self._recipient = command[len(b"RCPT TO:<") :].partition(b">")[0].decode()
            self._transport.write(b"250 ok\r\n")
