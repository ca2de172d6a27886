"""A run: the whole stack on Apache Kafka, clients by a plan, faults, quiet, then the evidence."""

import asyncio
import os
import resource
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from local.clock import MovedClock
from local.observing import all_is_read, reading
from local.running import OFFER_DAY
from local.services import SERVICES
from local.stack import Stack, StackOptions
from tests.proof.actors import Actors
from tests.proof.bad_records import BadRecords
from tests.proof.clients import (
    AnswerReader,
    HttpSender,
    KafkaSender,
    Organiser,
    Web,
    token_of,
    write_registry,
)
from tests.proof.evidence import Evidence, Sources, collect_evidence
from tests.proof.faults import FaultInjector, draw_faults
from tests.proof.history import History
from tests.proof.plan import draw_plan
from tests.proof.proxied_stack import ProxiedStack, say
from tests.proof.sink import MailSink

PORTALS = {"nord": "nord", "nord-web": "nord", "sud": "sud", "sud-web": "sud"}
"""The issuer of each portal. The first of an issuer sends by Kafka, the second by HTTP. All read the feed."""
SCALE = {"catalogue": 2, "enrolment": 2, "notifier": 2}
QUIET_SECONDS = 1_200.0
"""In which all must come to rest after the last fault. A letter counts as in doubt after 15 minutes."""
LOOK_SECONDS = 1.0
SETTINGS = {
    "ENROLMENT_PENDING_SESSION_SECONDS": "20",
    "ENROLMENT_LONGEST_HOLD_SECONDS": "45",
    **dict.fromkeys(("LINK_RATE", "LOG_IN_RATE", "REFUSED_RATE", "READ_RATE"), "1000000/minute"),
}


@dataclass(frozen=True)
class RunOptions:
    """``requests``: steps of the plan, ``rate`` of them per second. ``in_bulk``: requests beside them.

    ``moves_clock``: the clock of the stack jumps ahead, which takes libfaketime.
    """

    seed: int
    requests: int
    in_bulk: int
    faults: int
    rate: float
    directory: Path
    moves_clock: bool = False


@dataclass(frozen=True)
class RunResult:
    """``quiet_after``: seconds from the last step until everything was at rest.

    ``cpu``: seconds of the processor for clients and mail sink, for the reading of the evidence, and for the
    stack.
    """

    evidence: Evidence
    faults: Counter[str]
    seconds: float
    quiet_after: float
    cpu: Mapping[str, float]


def play(options: RunOptions) -> RunResult:
    """Raises ``TimeoutError`` if the stack does not come to rest. Logs and books stay in the directory."""
    books = options.directory / "books"
    shutil.rmtree(books, ignore_errors=True)
    books.mkdir(parents=True)
    before = _cpu_of_children()
    with MovedClock.lend(datetime.now(UTC)) if options.moves_clock else nullcontext() as clock:
        result = asyncio.run(_play(options, books, clock))
    return replace(result, cpu={**result.cpu, "stack": _cpu_of_children() - before})


def _cpu_of_children() -> float:
    """Return the seconds of those that have ended."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


async def _play(options: RunOptions, books: Path, clock: MovedClock | None) -> RunResult:
    began, cpu_before = time.monotonic(), time.process_time()
    registry = write_registry(books / "portals.json", PORTALS)
    history = History(books / "history.jsonl")
    stack_options = _stack_options(options.directory / "stack", registry)
    async with (
        MailSink.listen(books / "letters.jsonl") as sink,
        ProxiedStack.prepare(stack_options, sink.relay.port) as stack,
    ):
        await asyncio.to_thread(stack.start)
        try:
            async with (
                AIOKafkaProducer(
                    **stack.kafka_client("proof-portal"), acks="all", enable_idempotence=True, linger_ms=5
                ) as producer,
                _actors(stack, options, history, sink, producer) as actors,
            ):
                bad_records = BadRecords(producer, history, actors.some_session)
                injector = FaultInjector(stack, sink.relay, bad_records, clock)
                faults, quiet_after = await _run(options, stack, actors, sink, injector)
            history.close()
            cpu_played = time.process_time()
            evidence = await collect_evidence(
                Sources(
                    history=books / "history.jsonl",
                    letters=books / "letters.jsonl",
                    kafka=stack.kafka_client("proof"),
                    databases={service: stack.database_url(service) for service in SERVICES},
                    issuers=PORTALS,
                )
            )
            evidence = replace(evidence, ends=injector.ends())
            cpu = {"clients": cpu_played - cpu_before, "evidence": time.process_time() - cpu_played}
            return RunResult(evidence, faults, time.monotonic() - began, quiet_after, cpu)
        finally:
            await asyncio.to_thread(stack.stop)


async def _run(
    options: RunOptions, stack: Stack, actors: Actors, sink: MailSink, injector: FaultInjector
) -> tuple[Counter[str], float]:
    await actors.draft_sessions()
    seconds = len(actors.plan.steps) / options.rate
    causing = asyncio.create_task(_cause_faults(options, injector, seconds))
    try:
        await actors.take_steps(options.rate)
        faults = await causing
    finally:
        causing.cancel()
        await injector.heal()
    ended = time.monotonic()
    await actors.end()
    await _until_quiet(stack)
    await actors.read_the_rest()
    sink.write_down()
    return faults, time.monotonic() - ended


async def _cause_faults(options: RunOptions, injector: FaultInjector, seconds: float) -> Counter[str]:
    """A fault is left out if its process is just being started again."""
    caused: Counter[str] = Counter()
    faults = draw_faults(options.seed, options.faults)
    for fault in faults:
        await asyncio.sleep(seconds / (len(faults) + 1))
        if await injector.cause(fault):
            caused[str(fault)] += 1
            say(f"fault {caused.total()} of {len(faults)}: {fault}")
    return caused


async def _until_quiet(stack: Stack) -> None:
    """Wait until nothing is on its way: no request, no event, no offer, no letter."""
    end = time.monotonic() + QUIET_SECONDS
    busy = await _on_the_way(stack)
    while busy:
        if time.monotonic() > end:
            raise TimeoutError(f"not at rest after {QUIET_SECONDS:.0f} s: {busy}")
        await asyncio.sleep(LOOK_SECONDS)
        busy = await _on_the_way(stack)


async def _on_the_way(stack: Stack) -> str:
    """Return what is still on its way, or that a server does not answer yet."""
    found: dict[str, int] = defaultdict(int)
    try:
        for service, counts in _ON_THE_WAY.items():
            async with reading(stack.database_url(service)) as database:
                for what, statement in counts.items():
                    found[what] += await database.fetchval(statement)
        if not any(found.values()) and not await all_is_read(stack.kafka_client("proof")):
            return "records that a service has not read"
    except (OSError, asyncpg.PostgresError, KafkaError) as error:
        return repr(error)
    return ", ".join(f"{count} {what}" for what, count in found.items() if count)


@asynccontextmanager
async def _actors(
    stack: Stack,
    options: RunOptions,
    history: History,
    sink: MailSink,
    producer: AIOKafkaProducer,
) -> AsyncIterator[Actors]:
    def web(service: str, token: str) -> Any:
        def urls() -> list[str]:
            return [
                process.url for process in stack.services if process.service == service and process.running()
            ]

        return Web.connect(urls, token, Random(f"{service} {token} {options.seed}"))

    async with AsyncExitStack() as connections:
        enter = connections.enter_async_context
        webs = {portal: await enter(web("enrolment", token_of(portal))) for portal in PORTALS}
        actors = Actors(
            draw_plan(options.seed, options.requests, options.in_bulk),
            history,
            sink,
            options.seed,
            issuers=PORTALS,
            senders={
                portal: HttpSender(portal, history, webs[portal])
                if portal.endswith("-web")
                else KafkaSender(portal, history, producer)
                for portal in PORTALS
            },
            organiser=Organiser(
                history,
                await enter(web("catalogue", stack.token)),
                await enter(web("enrolment", stack.token)),
                stack.token,
            ),
            links=webs["nord"].urls,
        )
        async with actors.listening(
            [AnswerReader(portal, history, webs[portal], actors.hear) for portal in PORTALS]
        ):
            yield actors


def _stack_options(directory: Path, registry: Path) -> StackOptions:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KAFKA_", "SMTP_"))}
    own = {"SMTP_SENDER": "Parcours <formations@cnfpt.example>", "PORTALS_FILE": str(registry.absolute())}
    return StackOptions(
        broker="kafka",
        scale=SCALE,
        directory=directory,
        data=directory / "data",
        fresh=True,
        offer_day=lambda _: OFFER_DAY,
        environment={**kept, **SETTINGS, **own},
    )


_OF_EACH = {
    "events to publish": "SELECT count(*) FROM outbox WHERE sent_at IS NULL AND held IS NULL",
    "agents to erase": "SELECT count(*) FROM erasure WHERE done_at IS NULL",
}
_ON_THE_WAY = {
    "catalogue": _OF_EACH,
    "enrolment": _OF_EACH
    | {
        "requests to decide": "SELECT count(*) FROM request WHERE decided_at IS NULL",
        "messages to send": "SELECT count(*) FROM message JOIN session USING (session_id) "
        "WHERE published_at IS NULL AND cancelled_at IS NULL",
        "offers without a reply": "SELECT count(*) FROM enrolment WHERE state = 'offered'",
    },
    "notifier": _OF_EACH
    | {
        "letters to many": "SELECT count(*) FROM fan_out WHERE begun_at IS NOT NULL AND done_at IS NULL",
        "letters to send": "SELECT count(*) FROM mail "
        "WHERE state IN ('claimed', 'data_started', 'retry') OR state = 'pending' AND due_at <= now()",
    },
}
