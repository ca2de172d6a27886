"""Events as a consumer takes them, without a broker."""

import asyncio
import copy
import functools
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from services.enrolment.service.order import PartitionCheck
from shared import clock
from shared.database import Database
from shared.events.cloudevents import Received, Record
from shared.events.topics import Topic
from shared.events.vocabulary import Event, SendingPortal
from shared.messaging.consumer import Consumer
from shared.messaging.failure_limit import FailureLimit
from shared.messaging.portals.admission import Admission
from shared.messaging.portals.registry import PortalsFile
from shared.messaging.router import Router, Subscription
from tests.support.builders import headers
from tests.support.guards import NOWHERE


def a_record(
    event: Event,
    event_id: UUID | None = None,
    received_at: datetime | None = None,
    *,
    source: str = "/tests",
) -> Record:
    """The record that carries an event."""
    return Record(
        topic=event.TOPIC,
        partition=0,
        offset=0,
        key=event.key.encode(),
        value=event.model_dump_json().encode(),
        headers=tuple(headers(event.TYPE, event_id=event_id, source=source)),
        received_at=received_at or clock.now(),
    )


def received(
    event: Event,
    event_id: UUID | None = None,
    received_at: datetime | None = None,
    issuer: str | None = None,
) -> Received[Any]:
    """An event as it was read from its record; ``issuer`` is that of the portal that sent it."""
    event_id = event_id or uuid4()
    record = a_record(event, event_id, received_at)
    return Received(
        event, event_id, "/tests", record, sender=None if issuer is None else SendingPortal("tests", issuer)
    )


admit = Admission(PortalsFile(None, trial=True), intake_keys=[])
"""Reads portals' records as a service on trial does, which knows the portal of the trial alone."""


def a_partition_check(number: int = 1) -> PartitionCheck:
    """Of a topic with so many partitions; with one, every request lies right."""

    async def broker() -> int:
        return number

    return PartitionCheck(broker)


async def take(
    router: Router, database: Database, deliveries: Sequence[Received[Any]], **context: object
) -> None:
    """Have events of one topic taken in, in one batch, by the service whose ``router`` it is."""
    (topic,) = {delivery.topic for delivery in deliveries}
    consumer = copy.copy(_consumer(router.subscriptions[Topic(topic)]))
    consumer.database = database
    # Neither the failures of an earlier test nor its event loop.
    consumer._limit, consumer.stopping = FailureLimit(), asyncio.Event()
    with ExitStack() as scopes:
        for name, value in {"partition_check": a_partition_check(), **context}.items():
            scopes.enter_context(consumer.context.scope(name, value))
        await consumer.take(deliveries)


@functools.cache
def _consumer(subscription: Subscription) -> Consumer:
    """Made once: FastStream takes five milliseconds to understand the parameters of a handler."""
    return Consumer(subscription, NOWHERE)
