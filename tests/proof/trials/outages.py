"""A service whose topics are made again or grow, whose servers hang or die: does it say so, and heal?

Each time ``/health/consuming`` must turn 503, or not, as the contract says, pages must stay up, and once the
cause has ended a new request must be answered within so many seconds (DESIGN, "Deaf is not healthy"). On an
Apache Kafka and a Postgres of their own; the service runs as a process.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

import httpx
import psutil
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic

from local.kafka import KafkaBroker
from local.postgres import PostgresServer
from local.server import LocalServer
from shared.events.catalogue import SessionScheduled
from shared.events.portal import EnrolmentRequested
from shared.events.topics import TOPICS, Topic
from shared.messaging.watchdog import LOOK_SECONDS
from tests.proof.trials.installation import TrialResult, an_installation
from tests.support.builders import an_agent, as_json, enrolment_request, headers, open_now
from tests.support.kafka import KafkaPortal
from tests.support.processes import ServiceProcess

AFTER_TOPICS_SECONDS = 60.0
"""In which a new request is answered after topics were made again."""
HEALED_SECONDS = 15.0
"""In which it is answered after any other cause has ended."""
KNOWN_SECONDS = 30.0
"""In which ``/health/consuming`` knows."""
HUNG_SECONDS = 70.0
"""For how long a server hangs: longer than every timeout of a connection that is asked something."""


@dataclass
class Trial:
    """A service on its own servers."""

    kafka: KafkaBroker
    postgres: PostgresServer
    service: ServiceProcess
    result: TrialResult = field(default_factory=TrialResult)
    agents: int = 0

    def fails(self, fault: str) -> None:
        self.result.faults.append(fault)

    async def status(self, path: str) -> int:
        """The status of a health endpoint; 0 where nothing answers."""
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
                return (await client.get(self.service.url + path)).status_code
        except httpx.HTTPError:
            return 0

    async def metrics(self) -> str:
        async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
            return (await client.get(f"{self.service.url}/metrics")).text

    async def becomes(self, path: str, status: int, what: str, seconds: float = KNOWN_SECONDS) -> None:
        """Wait until a health endpoint has this status; a fault if it takes longer."""
        begun = time.monotonic()
        while await self.status(path) != status:
            if time.monotonic() - begun > seconds:
                self.fails(f"{what}: {path} is not {status} after {seconds:.0f} s")
                return
            await asyncio.sleep(0.2)
        print(f"        {what}: {path} is {status} after {time.monotonic() - begun:.1f} s", flush=True)

    async def stays(self, statuses: Mapping[str, int], what: str, seconds: float) -> None:
        """Look at health endpoints for so long; a fault where one has not this status at each look."""
        end, wrong = time.monotonic() + seconds, set[str]()
        while time.monotonic() < end:
            for path, status in statuses.items():
                if path not in wrong and (found := await self.status(path)) != status:
                    wrong.add(path)
                    self.fails(f"{what}: {path} is {found}, not {status}")
            await asyncio.sleep(1)

    async def begins(self) -> None:
        await self.becomes("/health/consuming", 200, "at the start")
        await self.answers("at the start", HEALED_SECONDS)

    async def without_kafka(self, what: str, away: AbstractAsyncContextManager[None]) -> None:
        """Be without Kafka for a while: the service says so, lives, and its pages stay up."""
        async with away:
            await self.becomes("/health/consuming", 503, what)
            await self.says_so(what)
            await self.stays({"/health/live": 200, "/health/ready": 200}, what, HUNG_SECONDS)
        await self.heals(what)

    async def without_postgres(self, what: str, away: AbstractAsyncContextManager[None]) -> None:
        """Be without Postgres for a while: the service says so, also to who sends it visitors, and lives."""
        async with away:
            await self.becomes("/health/ready", 503, what)
            await self.becomes("/health/consuming", 503, what)
            await self.says_so(what)
            await self.stays({"/health/live": 200, "/health/ready": 503}, what, HUNG_SECONDS)
        await self.heals(what)

    async def says_so(self, what: str) -> None:
        """Look whether Prometheus is told what the health endpoint says: the alert is made of that."""
        if "\nparcours_consuming 0.0\n" not in await self.metrics():
            self.fails(f"{what}: parcours_consuming is not 0")

    async def heals(self, what: str) -> None:
        await self.answers(what, HEALED_SECONDS)
        await self.becomes("/health/consuming", 200, f"{what}, after it")

    async def answers(self, what: str, seconds: float) -> None:
        """Request a seat, and wait until it is answered; a fault if it takes longer."""
        begun = time.monotonic()
        session = open_now(capacity=10)
        key = str(session.session_id)
        self.agents += 1
        async with KafkaPortal(self.kafka.bootstrap_servers) as portal:
            made = headers(SessionScheduled.TYPE, source="/services/catalogue")
            await portal.send(Topic.CATALOGUE_SESSIONS, [(key, made, session.model_dump_json().encode())])
            asked = headers(EnrolmentRequested.TYPE)
            request = enrolment_request(key, an_agent(f"agent-{self.agents}"))
            await portal.send(Topic.PORTAL_ENROLMENTS, [(key, asked, as_json(request))])
        request_id = dict(asked)["ce_id"]
        assert request_id is not None
        while not await self._is_answered(request_id.decode()):
            if time.monotonic() - begun > seconds:
                self.fails(f"{what}: a request is not answered within {seconds:.0f} s")
                return
            await asyncio.sleep(0.1)
        seconds = time.monotonic() - begun
        self.result.waits.setdefault(what, []).append(seconds)
        print(f"        {what}: answered after {seconds:.1f} s", flush=True)

    async def _is_answered(self, request_id: str) -> bool:
        query = f"SELECT count(*) FROM request WHERE request_id = '{request_id}' AND decided_at IS NOT NULL"
        return (await asyncio.to_thread(self.postgres.execute, query, "enrolment")).strip() == "1"


def play() -> TrialResult:
    with an_installation("enrolment") as installation:
        service = installation.service("enrolment").start()
        trial = Trial(installation.kafka, installation.postgres, service)
        try:
            asyncio.run(_play(trial))
        finally:
            service.stop()
            if trial.result.faults:
                print(service.log.read_text()[-6000:], flush=True)
        return trial.result


async def _play(trial: Trial) -> None:
    await trial.begins()
    for what, cause in _CAUSES.items():
        print(f"        --- {what}", flush=True)
        await cause(trial, what)
        await trial.becomes("/health/consuming", 200, f"{what}, after it")


async def _topics_made_again(trial: Trial, what: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=trial.kafka.bootstrap_servers)
    await admin.start()
    try:
        names = [Topic.PORTAL_ENROLMENTS.value, Topic.CATALOGUE_SESSIONS.value]
        await admin.delete_topics(names)
        await trial.becomes("/health/consuming", 503, what)
        if await trial.status("/health/ready") != 200:
            trial.fails(f"{what}: the pages are away")
        await admin.create_topics([NewTopic(name, TOPICS[Topic(name)].partitions, 1) for name in names])
    finally:
        await admin.close()
    await trial.answers(what, AFTER_TOPICS_SECONDS)


async def _more_partitions(trial: Trial, what: str) -> None:
    """To the number of which operations.md speaks; two readers are in the process."""
    twice = 2 * TOPICS[Topic.PORTAL_ENROLMENTS].partitions
    misrouted = _misrouted(await trial.metrics())
    for number in (twice, 2 * twice, 4 * twice):  # it may read them before its watchdog has looked
        if await _tells_of_partitions(trial, what, number):
            break
    else:
        trial.fails(f"{what}: nobody is told that partitions are read by nobody")
    for _ in range(4):  # sessions that belong elsewhere now, half of them
        await trial.answers(what, HEALED_SECONDS)
    if _misrouted(await trial.metrics()) != misrouted:
        trial.fails(f"{what}: requests count as misrouted")


async def _tells_of_partitions(trial: Trial, what: str, number: int) -> bool:
    """Let the topic of requests have so many partitions, and wait until all are read.

    Returns whether the service said meanwhile that some are not.
    """
    topic = Topic.PORTAL_ENROLMENTS.value
    admin = AIOKafkaAdminClient(bootstrap_servers=trial.kafka.bootstrap_servers)
    await admin.start()
    try:
        await admin.create_partitions({topic: NewPartitions(total_count=number)})
    finally:
        await admin.close()
    begun = time.monotonic()
    owned = f'parcours_consumer_owned_partitions{{topic="{topic}"}} {number:.1f}\n'
    all_owned = f'parcours_consumer_unowned_partitions{{topic="{topic}"}} 0.0\n'
    is_told = False
    while owned not in (metrics := await trial.metrics()):
        if time.monotonic() - begun > HEALED_SECONDS + LOOK_SECONDS:
            trial.fails(f"{what}: nobody reads the new ones")
            break
        is_told |= all_owned not in metrics and await trial.status("/health/consuming") == 503
        await asyncio.sleep(0.2)
    print(f"        {what}: {number} are read after {time.monotonic() - begun:.1f} s", flush=True)
    return is_told


def _misrouted(metrics: str) -> list[str]:
    return [line for line in metrics.splitlines() if line.startswith("parcours_requests_misrouted_total")]


async def _kafka_hangs(trial: Trial, what: str) -> None:
    await trial.without_kafka(what, _stopped(trial.kafka))


async def _postgres_hangs(trial: Trial, what: str) -> None:
    await trial.without_postgres(what, _stopped(trial.postgres))


async def _kafka_dies(trial: Trial, what: str) -> None:
    trial.kafka.kill()
    await trial.becomes("/health/consuming", 503, what)
    await asyncio.to_thread(trial.kafka.restart)
    await trial.answers(what, HEALED_SECONDS)


async def _postgres_dies(trial: Trial, what: str) -> None:
    trial.postgres.kill()
    await trial.becomes("/health/ready", 503, what)
    await asyncio.to_thread(trial.postgres.restart)
    await trial.answers(what, HEALED_SECONDS)


@asynccontextmanager
async def _stopped(server: LocalServer) -> AsyncIterator[None]:
    """Stop a server and its processes: connections stay open, and nothing comes."""
    leader = psutil.Process(server.pid)
    processes = [leader, *leader.children(recursive=True)]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


_CAUSES: dict[str, Callable[[Trial, str], Awaitable[None]]] = {
    "topics made again": _topics_made_again,
    "partitions added": _more_partitions,
    "Kafka hangs": _kafka_hangs,
    "Postgres hangs": _postgres_hangs,
    "Kafka dies": _kafka_dies,
    "Postgres dies": _postgres_dies,
}
