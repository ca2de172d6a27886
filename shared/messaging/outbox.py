"""An event is stored in the transaction of the change that it reports.

A row is an event for one destination: its topic, or the answers of one portal. ``relay`` publishes the rows
after the commit.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4, uuid5

from sqlalchemy import text

from shared.database import Statement, Transaction
from shared.events.catalogue import BespokeRequestAnswered
from shared.events.cloudevents import Received
from shared.events.enrolment import Decision, SessionChangedForAgent
from shared.events.outcomes import RequestAccepted, RequestRejected
from shared.events.vocabulary import Event
from shared.messaging import traces
from shared.messaging.portals.registry import Portal, Portals, PortalsFile

BUCKETS = 8
"""Parts of the outbox that can be relayed at once. A key is always in the same bucket."""

KEPT = timedelta(days=7)
"""Sent rows stay this long, to refill a broker that lost its disk."""
ANSWERS_KEPT = timedelta(days=30)

_NAMESPACE = UUID("5d4f0c6e-3c1b-4f0e-9b9a-1d1f0a6f7c52")
"""Namespace for event ids derived from the event's identity, so that publishing twice gives one id."""

REGISTRY = "registry"
"""The key of the registry of portals in a database's ``info``."""


@dataclass(frozen=True, slots=True)
class OutboxEvent:
    """An event to publish, and the attributes of its envelope.

    ``source`` is None if the service itself publishes the event, ``event_id`` is None for a new id.
    ``misrouted``: it answers a request that lay in a wrong partition.
    """

    event: Event
    traceparent: str | None = None
    source: str | None = None
    event_id: UUID | None = None
    misrouted: bool = False


class Outbox:
    """What one service publishes. The service's name becomes ``ce_source``."""

    def __init__(self, service: str) -> None:
        self.source = f"/services/{service}"

    async def publish(self, tx: Transaction, events: Sequence[Event | OutboxEvent]) -> list[UUID]:
        """Store events to be published, in this order per key, if and only if ``tx`` commits.

        Each is stored once for each destination, but its data goes to the database once. Returns the ids.
        """
        if not events:
            return []
        ids, statement = self.insertion(tx, events)
        await tx.execute(*statement)
        return ids

    def insertion(
        self, tx: Transaction, events: Sequence[Event | OutboxEvent]
    ) -> tuple[list[UUID], Statement]:
        """Return the ids of the events, and the statement of :meth:`publish`."""
        tx.publishes = True
        registry: PortalsFile | None = tx.info.get(REGISTRY)
        portals = None if registry is None else registry.portals
        outgoing = [event if isinstance(event, OutboxEvent) else OutboxEvent(event) for event in events]
        ids = [out.event_id or _new_id(out.event) for out in outgoing]
        keys = [out.event.key if portals is None else out.event.answer_key for out in outgoing]
        routes: dict[_Route, int] = {}
        columns = {
            "bucket": [zlib.crc32(key.encode()) % BUCKETS for key in keys],
            "key": keys,
            "event_id": ids,
            "traceparent": [
                traces.created(out.event, event_id, out.source or self.source, out.traceparent)
                for out, event_id in zip(outgoing, ids, strict=True)
            ],
            "data": [out.event.model_dump_json() for out in outgoing],
            "route": [routes.setdefault(self._route(out, portals), len(routes)) for out in outgoing],
        }
        return ids, Statement(_INSERT, columns | _columns_of(routes))

    async def remember(self, tx: Transaction, published: Sequence[Received[Event]]) -> None:
        """Store events that this service has published and lost, as after a restore."""
        await tx.execute(
            _REMEMBER,
            {
                "bucket": [zlib.crc32(received.event.key.encode()) % BUCKETS for received in published],
                "topic": [received.event.TOPIC.value for received in published],
                "key": [received.event.key for received in published],
                "event_id": [received.id for received in published],
                "type": [received.event.TYPE for received in published],
                "source": self.source,
                "data": [received.event.model_dump_json() for received in published],
                "at": [received.received_at for received in published],
            },
        )

    def _route(self, out: OutboxEvent, portals: Portals | None) -> "_Route":
        destinations = tuple(_destinations(out.event, portals))
        return _Route(out.event.TYPE, out.source or self.source, out.misrouted, destinations)


def _new_id(event: Event) -> UUID:
    return uuid4() if event.identity is None else uuid5(_NAMESPACE, f"{event.TYPE} {event.identity}")


class _Destination(NamedTuple):
    """A topic, or the answers of a portal. The topic is None for a portal that only reads by HTTP."""

    topic: str | None
    portal: str | None = None


class _Route(NamedTuple):
    type: str
    source: str
    misrouted: bool
    destinations: tuple[_Destination, ...]


def _destinations(event: Event, portals: Portals | None) -> list[_Destination]:
    """``portals`` is None if another service answers portals."""
    own = [_Destination(event.TOPIC.value)]
    if portals is None:
        return own
    match event:
        case Decision():
            return own + [_answers(portal) for portal in portals.of_agent(event.agent)]
        case SessionChangedForAgent():
            return [_answers(portal) for portal in portals.of_agent(event.agent)]
        case RequestRejected() | RequestAccepted() | BespokeRequestAnswered():
            sender = portals.of_source(event.request_source or "")
            return [] if sender is None else [_answers(sender)]
    return own


def _answers(portal: Portal) -> _Destination:
    return _Destination(portal.answers_topic, portal.portal)


def _columns_of(routes: Mapping[_Route, int]) -> dict[str, list[Any]]:
    rows = [
        (number, route, destination) for route, number in routes.items() for destination in route.destinations
    ]
    return {
        "routes": [number for number, _, _ in rows],
        "types": [route.type for _, route, _ in rows],
        "sources": [route.source for _, route, _ in rows],
        "misrouted": [route.misrouted for _, route, _ in rows],
        "topics": [destination.topic for _, _, destination in rows],
        "portals": [destination.portal for _, _, destination in rows],
    }


async def replay(tx: Transaction, since: datetime) -> int:
    """Publish again all events created since then. Returns how many.

    They keep their ids, so consumers drop known events, and their numbers in the feeds. Events about an agent
    erased since are left out, because their data is gone.
    """
    return (await tx.execute(_REPLAY, {"since": since})).rowcount


async def unsent(tx: Transaction) -> tuple[int, float]:
    """Return how many events wait to be published, and the seconds since the oldest was stored.

    Held events do not count.
    """
    count, age = (await tx.execute(_UNSENT)).one()
    return int(count), float(age)


# In the order of the events: the relay publishes each key in the order of ids.
_INSERT = text(
    """
    INSERT INTO outbox (bucket, topic, key, event_id, type, source, traceparent, data, misrouted, portal)
    SELECT bucket, topic, key, event_id, type, source, traceparent, data, misrouted, portal
      FROM unnest(CAST(:bucket AS smallint[]), CAST(:key AS varchar[]), CAST(:event_id AS uuid[]),
                  CAST(:traceparent AS varchar[]), CAST(:data AS varchar[]), CAST(:route AS smallint[]))
           WITH ORDINALITY AS event (bucket, key, event_id, traceparent, data, route, number)
      JOIN unnest(CAST(:routes AS smallint[]), CAST(:types AS varchar[]), CAST(:sources AS varchar[]),
                  CAST(:misrouted AS boolean[]), CAST(:topics AS varchar[]), CAST(:portals AS varchar[]))
           AS destination (route, type, source, misrouted, topic, portal) USING (route)
     ORDER BY number, portal NULLS FIRST"""
)
_REMEMBER = text(
    """
    INSERT INTO outbox (bucket, topic, key, event_id, type, source, data, created_at, sent_at)
    SELECT bucket, topic, key, event_id, type, :source, data, at, at
      FROM unnest(CAST(:bucket AS smallint[]), CAST(:topic AS varchar[]), CAST(:key AS varchar[]),
                  CAST(:event_id AS uuid[]), CAST(:type AS varchar[]), CAST(:data AS varchar[]),
                  CAST(:at AS timestamptz[])) AS event (bucket, topic, key, event_id, type, data, at)"""
)
_REPLAY = text(
    "UPDATE outbox SET sent_at = NULL "
    "WHERE created_at >= :since AND sent_at IS NOT NULL AND held IS NULL AND topic IS NOT NULL AND key <> ''"
)
_UNSENT = text(
    "SELECT count(*), coalesce(extract(epoch FROM now() - min(created_at)), 0) FROM outbox "
    "WHERE sent_at IS NULL AND held IS NULL"
)
