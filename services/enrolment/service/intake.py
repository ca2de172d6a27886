"""Requests that portals send by HTTP, each published once, however often it is sent."""

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from services.enrolment.store import accepted_events
from services.enrolment.store.outbox import OUTBOX
from shared.database import Transaction
from shared.events.cloudevents import Received
from shared.events.vocabulary import Event
from shared.messaging import traces
from shared.messaging.outbox import OutboxEvent
from shared.messaging.portals.registry import Portal


async def accept(tx: Transaction, portal: Portal, received: Sequence[Received[Event]]) -> list[bool]:
    """Accept the events of a portal in this order. Returns which are accepted.

    A repeated event is accepted without effect. Another event with a known id is not accepted.
    """
    if not received:
        return []
    digests = await asyncio.to_thread(_digests, received)
    new = await accepted_events.claim(tx, portal.portal, digests)
    await OUTBOX.publish(
        tx,
        [
            OutboxEvent(event.event, traces.accepted(event), source=portal.source, event_id=event.id)
            for event, is_new in zip(received, new, strict=True)
            if is_new
        ],
    )
    if all(new):
        return new
    known = await accepted_events.digests_of(tx, portal.portal, [event.id for event in received])
    return [known[event_id] == digest for event_id, digest in digests]


async def accepted_at(tx: Transaction, event_id: UUID) -> datetime | None:
    return await accepted_events.accepted_at(tx, event_id, None)


def _digests(received: Sequence[Received[Event]]) -> list[tuple[UUID, bytes]]:
    return [(event.id, _digest(event.event)) for event in received]


def _digest(event: Event) -> bytes:
    """Default values are left out, so that a field added by a later version changes nothing."""
    return hashlib.sha256(f"{event.TYPE}\n{event.model_dump_json(exclude_defaults=True)}".encode()).digest()
