"""Two deliverers of one queue in a schedule. The mail relay is in this process.

The faults are kills, lost connections to Postgres and to the mail relay, refusals, and leases that run out.
"""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import time
from typing import Any
from unittest import mock

from sqlalchemy import text

from services.notifier import handlers, jobs
from services.notifier.delivery import deliverer as claiming
from services.notifier.delivery import pool, workers
from services.notifier.delivery.deliverer import Deliverer
from services.notifier.delivery.pool import SmtpPool
from services.notifier.letters import Priority, timing
from services.notifier.settings import SmtpServer, Tls
from services.notifier.tables import MailState
from shared.database import Database, is_temporary
from shared.events.notifier import EmailSent
from tests.integration.notifier.events import enrolled, scheduled
from tests.proof.schedules import ScheduledDatabase, ScheduledWorld, fault
from tests.proof.turns import MOST_FAULTS, Act, Actor, BrokenSchedule, Choices, ScheduleStep, Turns
from tests.support.consuming import received, take
from tests.support.smtp import Drop, Reply, ScriptedRelay, SmtpAction
from tests.unit.notifier.builders import a_renderer

LETTERS = 3
CLAIM = 2
"""A deliverer claims so many letters at once. The other one gets the rest."""
RELAY = SmtpServer("mail.example", 25, Tls.NONE)
ENDED = {MailState.SENT, MailState.FAILED, MailState.AMBIGUOUS}

_PREPARE = (
    "DELETE FROM mail_attempt; DELETE FROM outbox; "
    "UPDATE mail SET state = 'pending', owner = NULL, lease_until = NULL, attempts = 0, claims = 0, "
    "due_at = now() - make_interval(secs => 9 - right(recipient, 1)::int), "
    "message_id = NULL, smtp_code = NULL, smtp_answer = NULL, settled_at = NULL"
)
_MAILS = text("SELECT recipient, state, message_id FROM mail ORDER BY recipient")
_PUBLISHED = text(
    "SELECT count(*) FROM outbox WHERE type = :type AND CAST(data AS jsonb) ->> 'message_id' = :message_id"
)
_LEASES_END = text(
    "UPDATE mail SET lease_until = now() - interval '1 second' WHERE mail_id IN "
    "(SELECT mail_id FROM mail WHERE lease_until IS NOT NULL FOR UPDATE SKIP LOCKED)"
)
_PAUSES_END = text(
    "UPDATE mail SET due_at = due_at - interval '1 day' "
    "WHERE state IN ('pending', 'retry') AND due_at > now()"
)


async def queue_letters(url: str) -> None:
    """Leave the letters of a schedule in the queue of an empty database."""
    database = Database(url, application_name="test")
    with mock.patch.multiple(timing, MORNING=time.min, NIGHT=time.max):
        await take(handlers.router, database, [received(scheduled(), issuer="iel")])
        decisions = [received(enrolled(number), issuer="iel") for number in range(LETTERS)]
        await take(handlers.router, database, decisions)
    await database.close()


class ScheduledRelay(ScriptedRelay):
    """Its replies to DATA and to the final dot wait for their turn."""

    def __init__(self, turns: Turns) -> None:
        super().__init__()
        self.actor = Actor("mail relay", list)
        self._turns = turns

    async def connect(self) -> socket.socket:
        """Return the client's end of a new connection."""
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=ours)
        self._turns.give(self.actor, self._serve(reader, writer))
        return theirs

    async def _do(self, line: Any, point: str, action: SmtpAction | None, usual: str) -> None:
        if point in {"DATA", "DOT"}:
            await self._turns.gate(f"replies to {point}")
        await super()._do(line, point, action, usual)


class LetterWorld(ScheduledWorld):
    def __init__(self, database: ScheduledDatabase, choices: Choices) -> None:
        super().__init__(database, choices)
        self.relay = ScheduledRelay(self.turns)
        self.mortals = [Actor(f"deliverer {number}", lambda: [self._deliver()]) for number in range(2)]
        self.leases_have_ended = False
        self.actors = [*self.mortals, self.relay.actor, Actor("job", lambda: [self._expire_leases()])]

    async def prepare(self) -> None:
        async with Database.autocommit(self.database) as tx:
            await tx.driver.execute(_PREPARE)

    @contextmanager
    def patched(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        create_connection = loop.create_connection

        async def connect(*arguments: Any, **options: Any) -> Any:
            if options.get("host") != RELAY.host:
                return await create_connection(*arguments, **options)
            return await create_connection(arguments[0], sock=await self.relay.connect())

        async def wait(seconds: float) -> None:
            await self.turns.gate(f"waits {seconds} s")

        with (
            mock.patch.object(loop, "create_connection", connect),
            mock.patch.object(claiming, "CLAIM", CLAIM),
            # No step may depend on the time.
            mock.patch.object(asyncio, "sleep", wait),
            mock.patch.object(pool.Outage, "pause", return_value=0.0),
            mock.patch.object(workers, "SETTLE_LINGER_SECONDS", 0),
        ):
            yield

    def others(self) -> list[ScheduleStep]:
        return []

    def faults(self) -> list[ScheduleStep]:
        return [
            *self.kills(),
            *self.lost_connections(),
            *self.lost_commits(),
            fault("leases run out", self._end_leases),
            fault("the mail relay ends its connections", self.relay.drop_all),
            fault("the mail relay will not reply to a letter", self._script("DOT", Drop())),
            fault("the mail relay will refuse a letter", self._script("DOT", Reply("451 later"))),
            fault("the mail relay will refuse a connection", self._script("MAIL", Reply("421 too busy"))),
        ]

    def _script(self, point: str, action: SmtpAction) -> Act:
        async def script() -> None:
            self.relay.script(point, action)

        return script

    async def _end_leases(self) -> bool:
        async with Database.autocommit(self.database) as tx:
            ended = await tx.execute(_LEASES_END)
        self.leases_have_ended = ended.rowcount > 0
        return self.leases_have_ended

    async def _expire_leases(self) -> None:
        while True:
            await self.turns.gate("looks for leases", lambda: self.leases_have_ended)
            self.leases_have_ended = False
            try:
                await jobs.expire_leases(self.database)
            except Exception as error:
                if not is_temporary(error):
                    raise
                self.leases_have_ended = True
            self.database.ended += 1

    async def pass_time(self) -> bool:
        has_ended = await self._end_leases()
        async with Database.autocommit(self.database) as tx:
            has_ended |= (await tx.execute(_PAUSES_END)).rowcount > 0
        self.database.ended += 1
        return has_ended

    async def _deliver(self) -> None:
        """Do what a deliverer does until its stop. The pauses between two looks are steps."""
        deliverer = Deliverer(
            self.database,
            SmtpPool(RELAY, size=1),
            a_renderer(),
            workers=1,
            message_domain="cnfpt.example",
        )
        deliverer._workers.open()
        try:
            while True:
                if await deliverer._any_due():
                    try:
                        claimed, _ = await deliverer._claim(list(Priority))
                    except Exception as error:
                        if not is_temporary(error):
                            raise
                        claimed = []
                    deliverer._workers.submit(claimed)
                await self.news("waits for letters")
                assert not deliverer._workers.have_died()
        finally:
            await _end(deliverer)

    async def is_done(self) -> bool:
        async with Database.autocommit(self.database) as tx:
            return {row.state for row in await tx.execute(_MAILS)} <= ENDED

    def state(self) -> list[str]:
        return [f"taken by the mail relay: {dict(self.relay.per_message_id())}"]

    async def check(self) -> None:
        taken = self.relay.per_message_id()
        async with Database.autocommit(self.database) as tx:
            for mail in await tx.execute(_MAILS):
                times = taken[mail.message_id]
                sent = {"type": EmailSent.TYPE, "message_id": mail.message_id}
                published = await tx.scalar(_PUBLISHED, sent)
                if times > 1:
                    raise BrokenSchedule(f"the letter to {mail.recipient} was taken {times} times")
                if times == 0 and mail.state == MailState.SENT:
                    raise BrokenSchedule(f"the letter to {mail.recipient} counts as sent and was not taken")
                if times == 1 and mail.state == MailState.FAILED:
                    raise BrokenSchedule(f"the letter to {mail.recipient} counts as failed and was taken")
                if mail.state == MailState.AMBIGUOUS and self.turns.faults_left == MOST_FAULTS:
                    raise BrokenSchedule(f"the letter to {mail.recipient} is in doubt without a fault")
                if published != int(mail.state == MailState.SENT):
                    raise BrokenSchedule(f"the letter to {mail.recipient}: {mail.state}, {published} events")


async def _end(deliverer: Deliverer) -> None:
    """A killed process closes its connections and does nothing more."""
    work = deliverer._workers
    writing = (work._marks._writing, work._settlements._writing)
    tasks = [*work._tasks, *(task for task in writing if task is not None)]
    for task in tasks:
        if not task.cancelling():
            task.cancel()
    await asyncio.wait(tasks)
    deliverer._pool._drop_idle()
