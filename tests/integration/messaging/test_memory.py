"""What a batch held leaves memory with it: a service collects its garbage rarely (`tune_gc`)."""

import pytest

from shared.database import Database
from shared.events.cloudevents import Envelope, Received, Record
from shared.events.outcomes import RejectionCode
from shared.messaging.consumer import Consumer
from shared.messaging.dead_letters import Parked
from shared.messaging.portals.admission import Rejected, rejected
from tests.integration.messaging.consumers import Handler, deliveries
from tests.support.builders import as_json, enrolment_request
from tests.support.garbage import alive, without_collecting

KINDS = (Record, Envelope, Received, Parked, Rejected)


@pytest.mark.parametrize("handler", [Handler(), Handler(poison="poison")], ids=["good", "poison"])
async def test_nothing_of_a_batch_waits_for_a_garbage_collection(
    database: Database, handler: Handler
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
