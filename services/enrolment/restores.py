from datetime import datetime
from uuid import UUID

from services.enrolment.service import restores
from services.enrolment.service.restores import SLICE, LostDecision, PublishedDecision
from shared.database import Database
from shared.events.cloudevents import Received
from shared.events.enrolment import Decision
from shared.events.topics import Topic
from shared.messaging import history
from shared.messaging.broker import KafkaSettings


async def read_published(settings: KafkaSettings, since: datetime) -> dict[UUID, PublishedDecision]:
    """Raises ``KafkaError``, ``HistoryCut``."""
    newest: dict[UUID, PublishedDecision] = {}
    async for deliveries in history.read(settings, [Topic.ENROLMENT_DECISIONS], since=since):
        for delivery in deliveries:
            if isinstance(delivery, Received) and isinstance(delivery.event, Decision):
                decision = PublishedDecision.of(delivery.event)
                known = newest.get(decision.enrolment_id)
                if known is None or known.version <= decision.version:
                    newest[decision.enrolment_id] = decision
    return newest


async def reconcile(database: Database, published: dict[UUID, PublishedDecision]) -> list[LostDecision]:
    lost: list[LostDecision] = []
    decisions = list(published.values())
    for first in range(0, len(decisions), SLICE):
        async with database.transaction() as tx:
            lost += await restores.reconcile(tx, decisions[first : first + SLICE])
    return lost
