"""A consumer to look at: its handler, the records it is given, what it did with them."""

import uuid
from typing import Any

from sqlalchemy import text

from shared import clock
from shared.database import Database
from shared.events.cloudevents import Received, Record
from shared.events.portal import EnrolmentRequested, GroupEnrolmentRequested
from shared.events.topics import Topic
from shared.messaging import dead_letters
from shared.messaging.consumer import Delivery, read
from shared.messaging.dead_letters import DeadLetter
from shared.messaging.router import Router, Subscription, Tx
from tests.support.builders import an_agent, as_json, enrolment_request, headers
from tests.support.kafka import RecordHeaders

Sent = tuple[str | None, RecordHeaders, bytes | None]


ReceivedRequest = Received[EnrolmentRequested]


def router_with(handler: Any) -> Router:
    """That of a service of its own, which takes requests and keeps groups for later."""
    router = Router(f"test-{uuid.uuid4()}")
    router.subscriber(Topic.PORTAL_ENROLMENTS, for_later=[GroupEnrolmentRequested])(handler)
    return router


class ConsumerHandler:
    """Takes requests of one session, and keeps their agents in order; ``poison`` always fails."""

    def __init__(self, *, poison: str | None = None) -> None:
        self.session_id = uuid.uuid4()
        self.poison = poison
        self.calls = 0
        self.committed: list[str] = []
        self.router = router_with(self.take)

    @property
    def subscription(self) -> Subscription:
        return self.router.subscriptions[Topic.PORTAL_ENROLMENTS]

    async def take(self, tx: Tx, received: list[ReceivedRequest]) -> None:
        mine = [request.event for request in received if request.event.session_id == self.session_id]
        self.calls += 1
        for event in mine:
            if event.agent.agent_id == self.poison:
                raise ZeroDivisionError(f"{event.agent.agent_id} divides by zero")
        await tx.execute(
            text("CREATE TABLE IF NOT EXISTS effect (id bigint generated always as identity, agent_id text)")
        )
        for event in mine:
            await tx.execute(text("INSERT INTO effect (agent_id) VALUES (:id)"), {"id": event.agent.agent_id})

    def request(self, agent_id: str, **changes: bytes | None) -> Sent:
        """A record that asks for this agent; ``changes`` replace headers."""
        document = enrolment_request(self.session_id, an_agent(agent_id))
        record_headers = headers(EnrolmentRequested.TYPE)
        return (
            str(self.session_id),
            [(name, changes.get(name, value)) for name, value in record_headers],
            as_json(document),
        )


async def effects(database: Database) -> list[str]:
    """The agents that had their effect, in its order."""
    async with database.quiet_transaction() as tx:
        if await tx.scalar(text("SELECT to_regclass('effect')")) is None:
            return []
        return list(await tx.scalars(text("SELECT agent_id FROM effect ORDER BY id")))


async def parked(database: Database, key: uuid.UUID | None = None) -> list[DeadLetter]:
    """Dead letters of one key: on a broker shared by the run, other tests' records are parked as well."""
    async with database.quiet_transaction() as tx:
        found = await dead_letters.find(tx, limit=100_000)
    return [record for record in found if key is None or record.record.key == str(key).encode()]


def a_record(
    key: str | None,
    record_headers: RecordHeaders,
    value: bytes | None,
    *,
    offset: int = 0,
    topic: str = "portal.enrolments",
) -> Record:
    """As the broker keeps it, in one partition."""
    return Record(
        topic=topic,
        partition=0,
        offset=offset,
        key=key.encode() if key else None,
        value=value,
        headers=tuple(record_headers),
        received_at=clock.now(),
    )


def deliveries(records: list[Sent], topic: str = "portal.enrolments") -> list[Delivery]:
    """As the decoder gives them, from one partition."""
    return [read(a_record(*sent, offset=offset, topic=topic)) for offset, sent in enumerate(records)]
