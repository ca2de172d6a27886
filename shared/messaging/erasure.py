"""Erasure: a service forgets an agent, by its register, in one transaction.

A request is stored as soon as it is read, and a job processes it. First the service reads the events on their
way, ends the agent's enrolments and subscriptions, and publishes that. Then all rows are erased at once.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from prometheus_client import Counter
from sqlalchemy import text, tuple_
from sqlmodel import col, select

from shared import clock, security_log
from shared.database import Database, Transaction, is_temporary
from shared.events.cloudevents import Received
from shared.events.erasure import AgentErased
from shared.events.portal import AgentErasureRequested
from shared.events.topics import Topic
from shared.events.vocabulary import AgentKey, Event
from shared.messaging import dead_letters, dead_letters_of_people, progress
from shared.messaging.dead_letters import DeadLetter
from shared.messaging.giving_up import give_up
from shared.messaging.mentions import as_read_by
from shared.messaging.outbox import Outbox
from shared.messaging.personal_data import EVENTS
from shared.messaging.portals.registry import PortalsFile
from shared.messaging.router import Router
from shared.messaging.session_names import FindSessions, add_sessions
from shared.messaging.tables import DeadLetterRow, ErasureRow, OutboxRow
from shared.personal_data import Register, Subject, addresses_of, erase_rows, rows_of
from shared.security_log import SecurityEvent, SecurityOutcome
from shared.statements import insert_many

log = logging.getLogger(__name__)

FAILURES = Counter("parcours_erasure_failures_total", "Times that an agent could not be forgotten.")

BY_COMMAND = "/commands/person"
"""The source of a command-line request for a person who is no agent."""
EVERY_SECONDS = 2.0
REQUESTS_AT_ONCE = 5


@dataclass(frozen=True, slots=True)
class Erasure:
    """An open request to forget an agent."""

    request_id: UUID
    request_source: str
    agent: AgentKey
    received_at: datetime


Ready = Callable[[Transaction, Erasure], Awaitable[datetime | None]]
"""Does what must precede an erasure.

Returns the moment until which events are erased, or None if it is too early.
"""


async def _at_once(_tx: Transaction, erasure: Erasure) -> datetime:
    return erasure.received_at


async def _nothing(_tx: Transaction, _agent: AgentKey, _until: datetime) -> None:
    pass


async def _no_part(_tx: Transaction, _subject: Subject) -> None:
    pass


async def _never(_tx: Transaction, _subject: Subject) -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Eraser:
    """How a service forgets an agent.

    - ``reads``: topics to be read up to the request, because they may still bring events about the agent.
    - ``ready``: called next. ``keep``: called last before the rows end; it may keep a number.
    - ``digest`` makes the digest that is kept where addresses are not.
    - ``writes`` returns whether a letter to a person who is no agent is just being sent, or will be.
    - ``leave`` closes the open requests of a person who is no agent.
    - ``sessions`` finds the sessions to name in an export.
    """

    database: Database
    router: Router
    register: Register
    portals: PortalsFile
    reads: Sequence[Topic]
    ready: Ready = _at_once
    keep: Callable[[Transaction, AgentKey, datetime], Awaitable[None]] = _nothing
    writes: Callable[[Transaction, Subject], Awaitable[bool]] = _never
    leave: Callable[[Transaction, Subject], Awaitable[None]] = _no_part
    digest: Callable[[str], bytes] | None = None
    sessions: FindSessions | None = None
    _last: dict[str, tuple[datetime, UUID]] = field(init=False, default_factory=dict)
    """The last processed request of each source that has later ones."""

    @property
    def outbox(self) -> Outbox:
        return Outbox(self.router.service)

    async def run(self) -> float | None:
        """Advance some open requests of each source by one step. Returns 0 if a source has more.

        A request that fails does not stop the others. At the end it raises a temporary error, so that the job
        runs again.
        """
        temporary: Exception | None = None
        for source in await self._sources():
            for request_id in await self._next_requests(source):
                temporary = await self._try(request_id, source) or temporary
        if temporary is not None:
            try:
                raise temporary
            finally:
                del temporary  # a cycle of error and frame would keep the step's objects in memory
        return 0 if self._last else None

    async def _try(self, request_id: UUID, source: str) -> Exception | None:
        """Return the error if it is temporary."""
        try:
            await self._step(request_id, source)
        except Exception as error:
            if is_temporary(error):
                return error
            FAILURES.inc()
            self._record(SecurityOutcome.FAILED)
            log.exception(
                "The agent of the request %s cannot be forgotten",
                request_id,
                extra={"request_id": str(request_id)},
            )
        return None

    async def subject(self, tx: Transaction, who: AgentKey | str, until: datetime) -> Subject:
        if isinstance(who, str):
            subject, addresses = Subject(agent=None, until=until), frozenset((who.strip().lower(),))
        else:
            others = self.portals.portals.sources_of_others(who.issuer)
            subject = Subject(agent=who, until=until, sources_of_others=others)
            addresses = await addresses_of(tx, self.register, subject)
        digests = frozenset() if self.digest is None else frozenset(map(self.digest, addresses))
        return replace(subject, addresses=addresses, digests=digests)

    async def export(self, tx: Transaction, who: AgentKey | str) -> dict[str, list[dict[str, Any]]]:
        """Return all rows about a person, by table. A row about a known session has its title and dates."""
        subject = await self.subject(tx, who, clock.now())
        found: dict[str, list[dict[str, Any]]] = {}
        for held in self.register.personal_data:
            if held.condition(subject):
                rows = await rows_of(tx, held, subject)
                if held is EVENTS:  # an event about several agents, sent by HTTP
                    rows = [row | {"data": as_read_by(row["data"], subject, None)} for row in rows]
                found.setdefault(str(held.table.__tablename__), []).extend(rows)
        found[DeadLetterRow.__tablename__] = await dead_letters_of_people.readable(
            tx, subject, self.issuer_of
        )
        kept = {table: rows for table, rows in found.items() if rows}
        if self.sessions is not None:
            await add_sessions(tx, kept, self.sessions)
        return kept

    async def forget(self, address: str, request_id: UUID) -> bool:
        """Forget a person who is known by address alone. Returns whether it is done.

        Returns False while an event or a mail about the person is on its way. :attr:`leave` has its effect
        even then.
        """
        async with self.database.transaction() as tx:
            now = clock.now()
            subject = await self.subject(tx, address, now)
            await self.leave(tx, subject)
            letters = await self._letters_about(tx, subject)
            if not await dead_letters.hold(tx, letters):
                return False
            if await self.writes(tx, subject) or await self._publishes(tx, subject):
                return False
            await self._erase(tx, subject, letters)
            row = {"request_id": request_id, "request_source": BY_COMMAND, "received_at": now}
            await insert_many(tx, ErasureRow, [row])
            await self._say_done(tx, request_id, BY_COMMAND, now)
        return True

    async def _sources(self) -> list[str]:
        async with self.database.quiet_transaction() as tx:
            sources = list(await tx.scalars(_SOURCES))
        for source in self._last.keys() - set(sources):
            del self._last[source]
        return sources

    async def _next_requests(self, source: str) -> list[UUID]:
        """Return the oldest first. After the last request it begins again."""
        place = (col(ErasureRow.received_at), col(ErasureRow.request_id))
        open_requests = select(*place).where(
            col(ErasureRow.done_at).is_(None), col(ErasureRow.request_source) == source
        )
        if source in self._last:
            open_requests = open_requests.where(tuple_(*place) > self._last.pop(source))
        async with self.database.quiet_transaction() as tx:
            found = [
                (row[0], row[1])
                for row in await tx.execute(open_requests.order_by(*place).limit(REQUESTS_AT_ONCE))
            ]
        if len(found) == REQUESTS_AT_ONCE:
            self._last[source] = found[-1]
        return [request_id for _, request_id in found]

    async def _step(self, request_id: UUID, source: str) -> None:
        async with self.database.transaction() as tx:
            row = await tx.get(ErasureRow, (request_id, source), with_for_update={"skip_locked": True})
            if row is None or row.issuer is None or row.agent_id is None:
                return  # another process has the request, or has finished it
            erasure = Erasure(request_id, source, AgentKey(row.issuer, row.agent_id), row.received_at)
            until = await self.ready(tx, erasure) if await self._is_read(tx, erasure.received_at) else None
            if until is None:
                return
            subject = await self.subject(tx, erasure.agent, until)
            letters = await self._letters_about(tx, subject)
            # From here on no letter is redriven. Check again that nothing is left to end, publish or send.
            if not await dead_letters.hold(tx, letters) or await self.ready(tx, erasure) != until:
                return
            if await self._publishes(tx, subject):
                return
            await self.keep(tx, erasure.agent, until)
            await self._erase(tx, subject, letters)
            await self._say_done(tx, request_id, source, clock.now())
        log.info(
            "The agent of the request %s is forgotten", request_id, extra={"request_id": str(request_id)}
        )
        self._record(SecurityOutcome.OK)

    def _record(self, outcome: SecurityOutcome) -> None:
        security_log.record(SecurityEvent.ERASURE, outcome, where=Topic.AGENTS_ERASED)

    async def _letters_about(self, tx: Transaction, subject: Subject) -> list[DeadLetter]:
        return [
            letter.without_content()
            async for letter in dead_letters_of_people.about(tx, subject, self.issuer_of)
        ]

    async def _is_read(self, tx: Transaction, moment: datetime) -> bool:
        if not self.reads:
            return True
        until = await progress.read_until(tx, self.reads)
        return until is not None and until >= moment

    async def _publishes(self, tx: Transaction, subject: Subject) -> bool:
        of_outbox = (held for held in self.register.personal_data if held.table is OutboxRow)
        for condition in filter(None, (held.condition(subject) for held in of_outbox)):
            unsent = _UNSENT.format(condition)
            if await tx.scalar(text(unsent), subject.parameters_of(unsent)):
                return True
        return False

    async def _erase(self, tx: Transaction, subject: Subject, letters: Sequence[DeadLetter] = ()) -> None:
        for held in self.register.personal_data:
            if held.condition(subject) and not held.proof:
                await erase_rows(tx, held, subject)
        await give_up(tx, self.router, letters)

    def issuer_of(self, portal: str) -> str | None:
        return self.portals.portals.issuer_of(portal)

    async def _say_done(self, tx: Transaction, request_id: UUID, source: str, now: datetime) -> None:
        await tx.execute(_DONE, {"id": request_id, "source": source, "now": now})
        done = AgentErased(
            request_id=request_id,
            request_source=source,
            service=self.router.service,
            erased_at=now,
        )
        await self.outbox.publish(tx, [done])


async def request(tx: Transaction, outbox: Outbox, agent: AgentKey, now: datetime) -> UUID:
    """Ask all services to forget an agent. Returns the id of the request.

    The relay signs it: without ``INTAKE_SIGNING_KEY`` the services would reject it.
    """
    event = AgentErasureRequested(issuer=agent.issuer, agent_id=agent.agent_id, requested_at=now)
    [request_id] = await outbox.publish(tx, [event])
    return request_id


def agent_of(request: Received[Event]) -> AgentKey | None:
    """Return the agent to be forgotten, or None if the event asks for no erasure."""
    if not isinstance(request.event, AgentErasureRequested):
        return None
    return request.event.agent_of(request.issuer)


async def keep_requests(tx: Transaction, received: Sequence[Received[Event]]) -> None:
    """Store the erasure requests among these, for the job."""
    rows = [
        {
            "request_id": request.id,
            "request_source": request.source,
            **agent._asdict(),
            "received_at": request.received_at,
        }
        for request in received
        if (agent := agent_of(request)) is not None
    ]
    if rows:
        await insert_many(tx, ErasureRow, rows, then="ON CONFLICT DO NOTHING")


# Locked in the order in which the relay marks them, where a replay comes first.
_UNSENT = (
    "SELECT count(*) FILTER (WHERE sent_at IS NULL AND held IS NULL) FROM "
    "(SELECT sent_at, held FROM outbox WHERE {} ORDER BY id FOR UPDATE) AS of_person"
)
_SOURCES = text("SELECT DISTINCT request_source FROM erasure WHERE done_at IS NULL ORDER BY request_source")
_DONE = text(
    "UPDATE erasure SET issuer = NULL, agent_id = NULL, done_at = :now "
    "WHERE request_id = :id AND request_source = :source"
)
