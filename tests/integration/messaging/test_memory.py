"""What a batch held leaves memory with it: a service collects its garbage rarely (`tune_gc`)."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import uuid4

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaError

from shared.database import Database
from shared.events.cloudevents import Envelope, Received, Record
from shared.events.enrolment import SessionOccupancyChanged
from shared.events.outcomes import RejectionCode
from shared.messaging.broker import KafkaSettings
from shared.messaging.consumer import Consumer
from shared.messaging.dead_letters import Parked
from shared.messaging.outbox import Outbox
from shared.messaging.portals.admission import Rejected, rejected
from shared.messaging.producer import OutgoingRecord
from shared.messaging.relay import Relay
from shared.messaging.sending import SendResult
from tests.integration.messaging.consumers import ConsumerHandler, deliveries
from tests.support.builders import as_json, enrolment_request
from tests.support.garbage import alive, without_collecting

KINDS = (Record, Envelope, Received, Parked, Rejected)


@pytest.mark.parametrize(
    "handler", [ConsumerHandler(), ConsumerHandler(poison="poison")], ids=["good", "poison"]
)
async def test_nothing_of_a_batch_waits_for_a_garbage_collection(
    database: Database, handler: ConsumerHandler
) -> None:
    consumer = Consumer(handler.subscription, database)
    good, poison = handler.request("good"), handler.request("poison")
    invalid = (*good[:2], as_json(enrolment_request(handler.session_id) | {"agent": 7}))

    async def take() -> None:
        read = deliveries([good, invalid, poison, (*good[:2], b"{not json")])
        refused = [
            rejected(delivery, RejectionCode.INVALID, "why")
            for delivery in deliveries([handler.request("refused")], "portal.agents")
            if isinstance(delivery, Received)
        ]
        await consumer.take([*read, *refused])

    await take()  # what is made once, by the first
    with without_collecting():
        before = len(alive(*KINDS))
        await take()
        assert len(alive(*KINDS)) == before


class LostBroker:
    """A producer whose broker has gone away."""

    transactional_id = None

    async def unusable(self, topics: Collection[str]) -> dict[str, KafkaError]:
        del topics
        return {}

    async def send(self, records: Sequence[OutgoingRecord]) -> list[BaseException | None]:
        return [KafkaConnectionError() for _ in records]

    async def close(self) -> None:
        pass


async def test_nothing_of_a_pass_that_failed_waits_for_a_garbage_collection(database: Database) -> None:
    relay = Relay(database, KafkaSettings(kafka_bootstrap_servers="nowhere:1"), "test")
    lost: Any = LostBroker()
    news = SessionOccupancyChanged(
        session_id=uuid4(), version=1, capacity=20, enrolled=1, waiting=0, offered=0
    )
    async with database.transaction() as tx:
        await Outbox("enrolment").publish(tx, [news])
    with without_collecting():
        for _ in range(3):
            relay._producer = lost
            with pytest.raises(KafkaConnectionError):
                await relay.publish_unsent()
        assert alive(KafkaConnectionError, SendResult) == []
