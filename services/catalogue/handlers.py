"""Kafka in: how full the sessions are, and what authorities ask."""

from collections.abc import Sequence

from services.catalogue.store import sessions
from shared.database import Transaction
from shared.events.enrolment import SessionOccupancyChanged
from shared.events.portal import BespokeTrainingRequested, TraineesNominated
from shared.events.topics import Topic
from shared.messaging.consumer import Subscriptions
from shared.messaging.decoding import Received

subscriptions = Subscriptions("catalogue")

# Asked for by authorities and to be answered by a later version: kept whole until then.
subscriptions.park(Topic.PORTAL_BESPOKE, BespokeTrainingRequested, TraineesNominated)


@subscriptions.on(Topic.ENROLMENT_OCCUPANCY, SessionOccupancyChanged)
async def on_occupancy(tx: Transaction, received: Sequence[Received[SessionOccupancyChanged]]) -> None:
    """Remember how full each session is; older news than what is known is dropped."""
    await sessions.record_occupancy(tx, [one.event for one in received])
