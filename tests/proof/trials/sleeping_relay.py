"""A relay that is stopped within a pass for 75 s, longer than Postgres keeps its transaction, then wakes.

Another replica publishes on meanwhile. Awake, the first must publish nothing of what it had read: each key's
records are on the topic in order, each once, and the last one is the newest.
"""

import asyncio
import os
import signal
import time
import uuid
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

from shared.database import Database
from shared.events.enrolment import SessionOccupancyChanged
from shared.messaging.broker import KafkaSettings
from shared.messaging.outbox import Outbox
from shared.messaging.producer import OutgoingRecord, Producer
from shared.messaging.relay import Relay
from tests.proof.trials.installation import TrialResult, an_installation
from tests.support.kafka import collect
from tests.support.processes import Forked

SLEEP_SECONDS = 75.0
AWAKE_SECONDS = 5.0
KEYS = 20


def play(seconds: float = SLEEP_SECONDS) -> TrialResult:
    with an_installation("enrolment") as installation:
        servers = installation.kafka.bootstrap_servers
        return TrialResult(asyncio.run(_play(installation.urls["enrolment"], servers, seconds)))


async def _play(url: str, bootstrap_servers: str, seconds: float) -> list[str]:
    keys = [uuid.uuid4() for _ in range(KEYS)]
    database = Database(url, application_name="awake")
    await _write(database, keys, 1)
    sleeper = Forked(_sleep_and_go_on, url, bootstrap_servers)
    try:
        async with asyncio.timeout(30):
            while not _is_stopped(sleeper.pid):  # noqa: ASYNC110 the kernel tells nobody
                await asyncio.sleep(0.05)
        relay = _relay(database, bootstrap_servers)
        await relay.start()
        running = asyncio.create_task(relay.run())
        version, wakes_at = 1, time.monotonic() + seconds
        is_asleep = True
        while time.monotonic() < wakes_at + AWAKE_SECONDS:
            version += 1
            await _write(database, keys, version)
            await asyncio.sleep(0.5)
            if is_asleep and time.monotonic() >= wakes_at:
                sleeper.send(signal.SIGCONT)
                is_asleep = False
        await relay.stop()
        await running
        await relay.close()
        return await _faults(bootstrap_servers, keys, version)
    finally:
        sleeper.clear_away()
        await database.close()


async def _faults(bootstrap_servers: str, keys: Sequence[uuid.UUID], last: int) -> list[str]:
    await asyncio.sleep(1)  # what must not come would have come by now
    topic = SessionOccupancyChanged.TOPIC.value
    found = await collect(bootstrap_servers, topic, lambda records: len(records) >= KEYS * last)
    versions: dict[str, list[int]] = defaultdict(list)
    for record in found:
        versions[record.key].append(record.data["version"])
    expected = list(range(1, last + 1))
    return [
        f"{key}: {len(versions[str(key)])} records, the last of version {versions[str(key)][-1]} of {last}"
        for key in keys
        if versions[str(key)] != expected
    ]


async def _write(database: Database, keys: Sequence[uuid.UUID], version: int) -> None:
    events = [
        SessionOccupancyChanged(
            session_id=key, version=version, capacity=20, enrolled=0, waiting=0, offered=0
        )
        for key in keys
    ]
    async with database.transaction() as tx:
        await Outbox("enrolment").publish(tx, events)


def _relay(database: Database, bootstrap_servers: str) -> Relay:
    return Relay(database, KafkaSettings(kafka_bootstrap_servers=bootstrap_servers), "enrolment")


def _is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def _sleep_and_go_on(url: str, bootstrap_servers: str) -> None:
    """In a process of its own: a relay that stops between reading and sending, once, and then works on."""
    send = Producer.send
    has_slept = False

    async def sleep_and_send(
        producer: Producer, records: Sequence[OutgoingRecord]
    ) -> list[BaseException | None]:
        nonlocal has_slept
        if not has_slept:
            has_slept = True
            os.kill(os.getpid(), signal.SIGSTOP)
        return await send(producer, records)

    async def run() -> None:
        relay = _relay(Database(url, application_name="sleeper"), bootstrap_servers)
        await relay.start()
        await relay.run()

    with patch.object(Producer, "send", sleep_and_send):
        asyncio.run(run())
