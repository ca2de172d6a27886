"""Mails per second of one process: rendered with a calendar, handed to Postfix's smtp-sink, marked sent.

From a durable Postgres, through the queue as it is. Then: how long an answer takes from its event to the
relay's 250 at 200 a second, alone and while a letter goes out to 100,000.
"""

import asyncio
import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID, uuid4

from local.ports import free_port
from local.postgres import PostgresServer
from services.notifier import jobs, store, tables
from services.notifier.app import REVISIONS
from services.notifier.delivery import Deliverer
from services.notifier.letters import Template
from services.notifier.mailer import Mailer
from services.notifier.settings import Relay
from services.notifier.tables import MailState
from shared import clock, migrations
from shared.database import Database
from shared.events.catalogue import SessionScheduled
from shared.events.enrolment import AgentEnrolled
from tests.integration.notifier.conftest import Notifier
from tests.support.smtp import ScriptedRelay
from tests.unit.notifier.builders import a_decision, a_mail, a_renderer, a_session, an_agent

MAILS = 10_000
LANES = 32
SESSIONS = 30


async def run() -> dict[str, float]:
    """Confirmations queued, rendered, and sent; nothing where smtp-sink is not installed."""
    with PostgresServer.temporary(durable=True) as postgres, _sink() as port:
        if port is None:
            print("mails are not measured: smtp-sink is missing (Debian's postfix)")
            return {}
        url = postgres.create_database("notifier")
        await asyncio.to_thread(migrations.upgrade, url, REVISIONS, tables.metadata)
        database = Database(url, application_name="bench")
        try:
            return await _measure(database, port)
        finally:
            await database.close()


async def _measure(database: Database, port: int) -> dict[str, float]:
    notifier = Notifier(database, ScriptedRelay())
    now = clock.now()  # under way: nothing is planned for later, and a change of it is still worth a letter
    under_way = {"starts_at": now - timedelta(hours=1), "ends_at": now + timedelta(days=1)}
    sessions = [a_session(session_id=uuid4(), **under_way) for _ in range(SESSIONS)]
    await notifier.hear(*(SessionScheduled.model_validate(one.model_dump()) for one in sessions))
    decisions = [
        a_decision(
            AgentEnrolled,
            enrolment_id=uuid4(),
            session_id=sessions[number % SESSIONS].session_id,
            agent=an_agent(agent_id=f"A-{number}", email=f"a{number}@ville.example"),
        )
        for number in range(MAILS)
    ]
    started = time.perf_counter()
    for first in range(0, MAILS, 500):
        await notifier.hear(*decisions[first : first + 500])
    queued = time.perf_counter() - started

    renderer = a_renderer()
    started = time.perf_counter()
    for _ in range(2_000):
        renderer.render(a_mail(Template.CONFIRMED), sessions[0])
    rendered = time.perf_counter() - started

    mailer = Mailer(Relay("127.0.0.1", port), size=LANES)
    deliverer = Deliverer(
        database, mailer, renderer, lanes=LANES, message_domain="cnfpt.example", per_domain=28
    )
    stopping = asyncio.Event()
    started = time.perf_counter()
    work = asyncio.create_task(deliverer.run(stopping))
    while await _sent(database) < MAILS:  # noqa: ASYNC110 the database is what tells
        await asyncio.sleep(0.1)
    sent = time.perf_counter() - started
    alone = await _answers(notifier, sessions[0].session_id, "alone")
    beside = await _beside_a_fan_out(notifier, sessions[0].session_id)
    stopping.set()
    await work
    return {
        "letters_queued_per_second": MAILS / queued,
        "mails_rendered_per_second": 2_000 / rendered,
        "mails_sent_per_second": MAILS / sent,
        "answer_p99_milliseconds": alone,
        "answer_beside_a_fan_out_p99_milliseconds": beside,
    }


async def _answers(notifier: Notifier, session_id: UUID, run: str) -> float:
    """The 99th percentile, in milliseconds, of answers asked for at 200 a second for five seconds."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for tick in range(100):
        await asyncio.sleep(max(0.0, begun + tick * 0.05 - loop.time()))
        await notifier.take(
            *(
                a_decision(
                    AgentEnrolled,
                    enrolment_id=uuid4(),
                    session_id=session_id,
                    agent=an_agent(agent_id=f"{run}-{tick}-{n}", email=f"{run}{tick}.{n}@ville.example"),
                )
                for n in range(10)
            )
        )
    while await notifier.rows(where=f"recipient LIKE '{run}-%' AND state <> 'sent'"):  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    (row,) = await notifier.rows(
        columns="1 AS created_at, 1 AS mail_id, percentile_cont(0.99) WITHIN GROUP "
        "(ORDER BY extract(epoch FROM settled_at - mail.created_at)) AS p99",
        where=f"recipient LIKE '{run}-%'",
    )
    return float(row.p99) * 1000


async def _beside_a_fan_out(notifier: Notifier, session_id: UUID) -> float:
    """The same while a change of a session with 100,000 enrolments is told."""
    await notifier.change(
        "INSERT INTO enrolment (enrolment_id, version, session_id, standing, agent_id, address, given_name, "
        "family_name, since) SELECT gen_random_uuid(), 1, :session_id, 'enrolled', 'F-' || n, "
        "'f' || n || '@ville.example', 'Zoé', 'Durand', now() - interval '1 day' "
        "FROM generate_series(1, 100000) AS n",
        session_id=session_id,
    )
    async with notifier.database.transaction() as tx:
        facts = {"venue_before": "Salle des fêtes"}
        await store.begin(tx, [store.FanOut(uuid4(), store.Task.CHANGE, session_id, facts, clock.now())])

    async def spread() -> None:
        while (rest := await jobs.fan_out(notifier.database)) is not None:  # noqa: ASYNC110 it says how long
            await asyncio.sleep(rest)

    spreading = asyncio.create_task(spread())
    beside = await _answers(notifier, session_id, "beside")
    if not spreading.done():
        spreading.cancel()
        await asyncio.gather(spreading, return_exceptions=True)
    return beside


async def _sent(database: Database) -> int:
    async with database.quiet_transaction() as tx:
        return (await store.counts(tx))[MailState.SENT]


@contextlib.contextmanager
def _sink() -> Iterator[int | None]:
    """The port of an smtp-sink, or None where there is none."""
    program = shutil.which("smtp-sink", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        yield None
        return
    port = free_port()
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    with subprocess.Popen([program, *user, f"127.0.0.1:{port}", "1024"]) as sink:
        try:
            yield port
        finally:
            sink.terminate()
