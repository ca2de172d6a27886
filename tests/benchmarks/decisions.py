"""Decisions per second of one process, then its relay: from the portal's topic to the topic of decisions.

Requests for a hundred sessions with all rules on lie in Kafka when it begins: half get a seat, half queue.
The relay waits meanwhile, since another has the buckets of the outbox; then it publishes what has gathered:
the decisions, the occupancies, and what the trial's portal hears. Everything is seen from outside, by offsets
in Kafka.
"""

import contextlib
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import asyncpg

from shared.events.catalogue import SessionScheduled, SessionState
from shared.events.portal import EnrolmentRequested
from shared.events.topics import Topic, answers_topic
from shared.messaging.held import LOCK_SPACE
from shared.messaging.outbox import BUCKETS
from shared.messaging.portals.registry import TRIAL_PORTAL
from tests.benchmarks.servers import (
    BenchmarkServers,
    Checkout,
    LoadMessage,
    held_still,
    progress,
    rate,
    records_in,
    rows_in,
    settings_of,
)
from tests.support.builders import as_json, enrolment_request, headers, open_now
from tests.support.kafka import KafkaPortal

REQUESTS = 20_000
WARM_UP = 500
SESSIONS = 100
SEATS = REQUESTS // SESSIONS // 2
DATABASE = "ENROLMENT_DATABASE_URL"
BESIDE = (Topic.ENROLMENT_OCCUPANCY, answers_topic(TRIAL_PORTAL))
"""What is published beside the decisions; the portal of the trial hears them too."""


@dataclass(frozen=True, slots=True)
class Program:
    """The programs that decide and relay, on the tables of the service.

    ``needs_sessions``: a request waits until its session is known.
    """

    checkout: Checkout
    decide: tuple[str, ...]
    relay: tuple[str, ...]
    needs_sessions: bool

    @classmethod
    def service(cls, checkout: Checkout) -> "Program":
        """The enrolment service of a checkout."""
        serve = ("services.enrolment", "serve")
        return cls(checkout, serve, serve, needs_sessions=True)

    @classmethod
    def plain(cls) -> "Program":
        """The plain loops."""
        loops = "tests.benchmarks.ceilings"
        return cls(Checkout(), (loops, "decide"), (loops, "relay"), needs_sessions=False)


async def measure(
    servers: BenchmarkServers, program: Program, more: Mapping[str, str] = MappingProxyType({})
) -> dict[str, float]:
    """Decisions a second, records relayed a second, and decisions a second through both.

    ``more`` are settings beside the least that the program needs.
    """
    await servers.renew_topics()
    url = servers.fresh_database(program.checkout, DATABASE, "services.enrolment", "migrate")
    settings = settings_of("enrolment", kafka=servers.kafka)
    settings |= {DATABASE: url, "BENCHMARK_SEATS": str(SEATS), **more}
    async with _no_relay(url):
        decided = await _decide(servers.kafka, program, settings)
    published, relayed = await _relay(servers.kafka, program, settings)
    return {
        "decisions_per_second": decided,
        "relayed_per_second": relayed,
        "decided_and_published_per_second": 1 / (1 / decided + 1 / published),
    }


async def measure_plain_steps(servers: BenchmarkServers) -> dict[str, float]:
    """What the plain loops decide and publish a second, as the ceiling of the whole stack."""
    measured = await measure(servers, Program.plain())
    return {"answers_per_second_with_mails": measured["decided_and_published_per_second"]}


@contextlib.asynccontextmanager
async def _no_relay(url: str) -> AsyncIterator[None]:
    """Keep the buckets of an outbox, which no relay serves meanwhile."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            f"SELECT pg_advisory_lock({LOCK_SPACE}, bucket) FROM generate_series(0, {BUCKETS - 1}) AS bucket"
        )
        yield
    finally:
        await connection.close()


async def _decide(kafka: str, program: Program, settings: Mapping[str, str]) -> float:
    sessions = [a_session_with_all_rules() for _ in range(SESSIONS)]
    async with (
        KafkaPortal(kafka) as portal,
        rows_in(settings[DATABASE], "session") as sessions_known,
        rows_in(settings[DATABASE], "enrolment") as requests_decided,
    ):
        await portal.send(Topic.CATALOGUE_SESSIONS, [_scheduled(session) for session in sessions])
        with program.checkout.running(*program.decide, settings=settings) as deciding:
            if program.needs_sessions:
                await progress(sessions_known, SESSIONS, deciding)
            await portal.send(Topic.PORTAL_ENROLMENTS, _requests(sessions, WARM_UP))
            await progress(requests_decided, WARM_UP, deciding)
            records = _requests(sessions, REQUESTS)
            with held_still(deciding):  # so that producing them takes no time of deciding them
                await portal.send(Topic.PORTAL_ENROLMENTS, records)
            measured = await rate(requests_decided, range(WARM_UP, WARM_UP + REQUESTS), deciding)
            deciding.kill()
    return measured


async def _relay(kafka: str, program: Program, settings: Mapping[str, str]) -> tuple[float, float]:
    """Decisions published a second, and records of all topics."""
    async with (
        records_in(kafka, Topic.ENROLMENT_DECISIONS) as decisions,
        records_in(kafka, *BESIDE) as others,
    ):
        beside = 0

        async def published_decisions() -> int:
            nonlocal beside
            beside = await others()
            return await decisions()

        with program.checkout.running(*program.relay, settings=settings) as relaying:
            first = await progress(published_decisions, 1, relaying)
            beside_first = beside
            last = await progress(published_decisions, WARM_UP + REQUESTS, relaying)
    seconds, published = last.at - first.at, last.count - first.count
    return published / seconds, (published + beside - beside_first) / seconds


def a_session_with_all_rules() -> SessionState:
    """Half its requests get a seat and half queue; nothing of the rules is left out on the way."""
    release_at = datetime.now(UTC) + timedelta(days=5)
    return open_now(
        capacity=SEATS,
        waiting_list="offer",
        approval="employer",
        audience={"functions": ["agent", "encadrant"], "delegations": ["bretagne", "normandie"]},
        reserved_seats=[{"delegation": "bretagne", "seats": SEATS // 2, "release_at": release_at}],
        quota_per_authority=2 * SEATS,
    )


def _scheduled(session: SessionState) -> LoadMessage:
    content = session.model_dump_json().encode()
    return str(session.session_id), headers(SessionScheduled.TYPE, source="/services/catalogue"), content


def _requests(sessions: Sequence[SessionState], number: int) -> list[LoadMessage]:
    approval = {"approved_by": "Anne Conseil", "approved_at": datetime.now(UTC).isoformat()}
    session_ids = itertools.islice(itertools.cycle(str(session.session_id) for session in sessions), number)
    return [
        (
            session_id,
            headers(EnrolmentRequested.TYPE),
            as_json(enrolment_request(session_id, approval=approval)),
        )
        for session_id in session_ids
    ]
