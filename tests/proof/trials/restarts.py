"""Two processes of enrolment under load: one is replaced after the other, then one is killed.

On each broker, with a Postgres of its own. On Apache Kafka no second may pass without an answer while they
are replaced; after a kill answers come again once the group has missed the dead one and shared its work out.
Meanwhile the other process answers what lies in its own partitions: so it is also bounded how long a request
waits, whichever partition it lies in, and in the end each must have its answer.
The embedded broker takes longer over all of it, which is measured too.
"""

import asyncio
import itertools
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple
from uuid import uuid4

from local.kafka import KafkaBroker
from local.postgres import PostgresServer
from local.tansu import TansuBroker
from shared.events.catalogue import SessionScheduled
from shared.events.portal import EnrolmentRequested
from shared.events.topics import Topic
from tests.proof.trials.installation import Installation, TrialResult, an_installation
from tests.support.builders import an_agent, as_json, enrolment_request, headers, open_now
from tests.support.kafka import KafkaPortal
from tests.support.processes import ServiceProcess

SESSION_SECONDS = 10.0
"""When a group misses a member that is dead (``shared/messaging/faststream.py``)."""


@dataclass(frozen=True)
class Allowed:
    """The longest time without an answer, and the longest wait of a request, in seconds."""

    without: float
    wait: float


@dataclass(frozen=True)
class RestartLimits:
    """What is allowed while processes are replaced, and after a kill; seconds of quiet between them."""

    replaced: Allowed
    killed: Allowed
    quiet: float


ON_KAFKA = RestartLimits(
    Allowed(1, SESSION_SECONDS), Allowed(SESSION_SECONDS + 3, SESSION_SECONDS + 3), quiet=5
)
"""Nobody who leaves is taken for dead: what moves waits for less time than that takes."""
ON_EMBEDDED = RestartLimits(
    Allowed(10, 2 * SESSION_SECONDS), Allowed(3 * SESSION_SECONDS, 3 * SESSION_SECONDS), quiet=20
)
"""A group of the embedded broker waits five seconds for whoever may join, each time that one does. Where the
process is killed in the middle of that, nobody of its group reads for up to a minute.
"""
EVERY_SECONDS = 0.05
"""A request is sent so often."""
SESSIONS = 24
"""So many that all partitions have requests."""


def play() -> TrialResult:
    result = TrialResult()
    for title, broker, limits in (
        ("Apache Kafka", KafkaBroker.temporary(), ON_KAFKA),
        ("the embedded broker", TansuBroker.temporary(), ON_EMBEDDED),
    ):
        with an_installation("enrolment", broker=broker) as installation:
            asyncio.run(_play(installation, title, limits, result))
    return result


async def _play(installation: Installation, title: str, limits: RestartLimits, result: TrialResult) -> None:
    numbers, postgres = itertools.count(1), installation.postgres

    def replica() -> ServiceProcess:
        log = installation.folder / f"{next(numbers)}.log"
        return ServiceProcess("enrolment", installation.settings("enrolment"), log)

    replicas = [replica(), replica()]
    try:
        for each in replicas:
            await asyncio.to_thread(each.start)
        sent: dict[str, float] = {}
        async with KafkaPortal(installation.kafka.bootstrap_servers) as portal:
            load = asyncio.create_task(_ask(portal, sent))
            try:
                if await _answered(postgres, SESSIONS, 60):
                    raise TimeoutError("no request is answered")
                begun = time.time()
                for number in range(2):
                    newer = replica()
                    replicas.append(newer)
                    await asyncio.to_thread(newer.start)
                    await asyncio.to_thread(replicas[number].stop)
                    await asyncio.sleep(limits.quiet)
                killed = time.time()
                replicas[2].process.kill()
                newer = replica()
                replicas.append(newer)
                await asyncio.to_thread(newer.start)
                await asyncio.sleep(limits.killed.without + limits.quiet)
            finally:
                load.cancel()
                with suppress(asyncio.CancelledError):
                    await load
        left = await _answered(postgres, len(sent), limits.killed.wait)
        answers = _answers(postgres, sent)
        if left:
            result.faults.append(f"{title}: {left} of {len(sent)} requests have no answer")
        for what, between, allowed in (
            ("while processes are replaced", (begun, killed), limits.replaced),
            ("after a kill", (killed, time.time()), limits.killed),
        ):
            _judge(f"{title}, {what}", answers, between, allowed, result)
    finally:
        for each in replicas:
            with suppress(AssertionError):  # it was stopped, or killed
                await asyncio.to_thread(each.stop)


async def _ask(portal: KafkaPortal, sent: dict[str, float]) -> None:
    """Ask for seats, again and again; ``sent`` has when, by the ids of the requests."""
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
        request_id = uuid4()
        record = (key, headers(EnrolmentRequested.TYPE, event_id=request_id), request)
        begun = time.time()
        await portal.send_soon(Topic.PORTAL_ENROLMENTS, record)
        sent[str(request_id)] = begun
        await asyncio.sleep(EVERY_SECONDS)


async def _answered(postgres: PostgresServer, number: int, seconds: float) -> int:
    """Wait until so many requests are answered. Returns how many of them are not after so many seconds."""
    end = time.monotonic() + seconds
    while (left := number - int(await asyncio.to_thread(postgres.execute, _ANSWERED, "enrolment"))) > 0:
        if time.monotonic() > end:
            return left
        await asyncio.sleep(0.2)
    return 0


class TimedAnswer(NamedTuple):
    """When a request was answered, and for how many seconds it had waited since it was sent."""

    at: float
    waited: float


def _answers(postgres: PostgresServer, sent: Mapping[str, float]) -> list[TimedAnswer]:
    """Return the answers in their order. When a record was received the embedded broker does not say."""
    lines = [line.split("|") for line in postgres.execute(_DECIDED, "enrolment").splitlines()]
    return sorted(
        TimedAnswer(float(at), float(at) - sent[request]) for request, at in lines if request in sent
    )


def _judge(
    what: str,
    answers: Sequence[TimedAnswer],
    between: tuple[float, float],
    allowed: Allowed,
    result: TrialResult,
) -> None:
    """Measure the longest time without an answer, and how long anybody waited."""
    begun, ended = between
    found = [(later, later.at - earlier.at) for earlier, later in itertools.pairwise(answers)]
    found = [(answer, gap) for answer, gap in found if begun <= answer.at <= ended]
    gap = max((gap for _, gap in found), default=0)
    waits = [answer.waited for answer, _ in found]
    waited = max(waits, default=0)
    line = f"{what}: {len(found)} answers, {gap:.2f} s at most without one, the longest wait {waited:.2f} s"
    print(f"        {line}", flush=True)
    result.waits[what] = waits
    if not found or gap > allowed.without or waited > allowed.wait:
        result.faults.append(line)


_ANSWERED = "SELECT count(*) FROM request WHERE decided_at IS NOT NULL"
_DECIDED = "SELECT request_id, extract(epoch FROM decided_at) FROM request WHERE decided_at IS NOT NULL"
