"""How fast one process sends: ``python -m tests.integration.notifier.bench [MAILS] [LANES]``.

Mails with a calendar, rendered and handed to Postfix's smtp-sink, from a durable Postgres, one process.
"""

import asyncio
import cProfile
import os
import pstats
import shutil
import subprocess
import sys
import time
from uuid import uuid4

import uvloop

from services.notifier import store, tables
from services.notifier.app import REVISIONS
from services.notifier.delivery import Deliverer
from services.notifier.letters import Template
from services.notifier.mailer import Mailer
from services.notifier.settings import Relay
from services.notifier.tables import MailState
from shared import migrations
from shared.database import Database
from shared.events.catalogue import SessionScheduled
from shared.events.enrolment import AgentEnrolled
from shared.local.ports import free_port
from shared.local.postgres import PostgresServer
from tests.integration.notifier.conftest import Notifier
from tests.support.smtp import ScriptedRelay
from tests.unit.notifier.builders import a_decision, a_mail, a_renderer, a_session, an_agent

SESSIONS = 30


async def run(url: str, port: int, mails: int, lanes: int) -> None:
    database = Database(url, application_name="bench")
    notifier = Notifier(database, ScriptedRelay())
    sessions = [a_session(session_id=uuid4()) for _ in range(SESSIONS)]
    await notifier.hear(*(SessionScheduled.model_validate(one.model_dump()) for one in sessions))
    started = time.perf_counter()
    for first in range(0, mails, 500):
        await notifier.hear(
            *(
                a_decision(
                    AgentEnrolled,
                    enrolment_id=uuid4(),
                    session_id=sessions[n % SESSIONS].session_id,
                    agent=an_agent(agent_id=f"A-{n}", email=f"a{n}@ville.example"),
                )
                for n in range(first, min(first + 500, mails))
            )
        )
    report("decisions taken in and queued (building them included)", mails, started)

    renderer, session = a_renderer(), sessions[0]
    started = time.perf_counter()
    for _ in range(2000):
        renderer.render(a_mail(Template.CONFIRMED), session)
    report("rendered alone, with calendar", 2000, started)

    deliverer = Deliverer(
        database,
        Mailer(Relay("127.0.0.1", port), size=lanes),
        renderer,
        lanes=lanes,
        message_domain="cnfpt.example",
    )
    stopping = asyncio.Event()
    profile = cProfile.Profile() if os.environ.get("PROFILE") else None
    started = time.perf_counter()
    if profile:
        profile.enable()
    work = asyncio.create_task(deliverer.run(stopping))
    while True:
        async with database.quiet_transaction() as tx:
            if (await store.counts(tx))[MailState.SENT] == mails:
                break
        await asyncio.sleep(0.1)
    report(f"rendered, sent to smtp-sink and settled, {lanes} lanes", mails, started)
    if profile:
        profile.disable()
        pstats.Stats(profile).sort_stats("tottime").print_stats(35)
    stopping.set()
    await work
    await database.close()


def report(what: str, number: int, started: float) -> None:
    seconds = time.perf_counter() - started
    print(f"{number / seconds:>8,.0f}/s  {what} ({number:,} in {seconds:.1f} s)", flush=True)


def main() -> None:
    mails = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    lanes = int(sys.argv[2]) if len(sys.argv) > 2 else 24
    sink = shutil.which("smtp-sink", path=f"{os.environ['PATH']}:/usr/sbin")
    if sink is None:
        sys.exit("smtp-sink is missing: install postfix")
    port = free_port()
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    with PostgresServer.temporary(durable=True) as postgres:
        url = postgres.create_database("notifier")
        migrations.upgrade(url, REVISIONS, tables.metadata)
        with subprocess.Popen([sink, *user, f"127.0.0.1:{port}", "1024"]) as relay:
            try:
                uvloop.run(run(url, port, mails, lanes))
            finally:
                relay.terminate()


if __name__ == "__main__":
    main()
