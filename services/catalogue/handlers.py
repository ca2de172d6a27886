"""Kafka in: how full the sessions are, and what authorities ask."""

from collections.abc import Sequence

from services.catalogue.rules import BespokeRequest
from services.catalogue.store import bespoke, sessions
from shared.database import Transaction
from shared.events.enrolment import SessionOccupancyChanged
from shared.events.portal import BespokeTrainingRequested
from shared.events.topics import Topic
from shared.messaging.consumer import Subscriptions
from shared.messaging.decoding import Received
from shared.messaging.projections import Projections, Words

subscriptions = Subscriptions("catalogue")


@subscriptions.on(Topic.PORTAL_BESPOKE, BespokeTrainingRequested)
async def on_bespoke_requests(
    tx: Transaction, received: Sequence[Received[BespokeTrainingRequested]]
) -> None:
    """Keep what authorities ask, for their delegation to answer. Nominations concern enrolment alone."""
    await bespoke.receive(
        tx,
        [
            BespokeRequest(
                request_id=one.id,
                siret=one.event.siret,
                authority=one.event.authority,
                delegation=one.event.delegation,
                theme=one.event.theme,
                trainees=one.event.trainees,
                received_at=one.record.received_at,
                requester=one.event.requested_by,
                message=one.event.message,
                wished_from=one.event.wished_from,
                wished_until=one.event.wished_until,
            )
            for one in received
        ],
    )


@subscriptions.on(Topic.ENROLMENT_OCCUPANCY, SessionOccupancyChanged)
async def on_occupancy(tx: Transaction, received: Sequence[Received[SessionOccupancyChanged]]) -> None:
    """Remember how full each session is; older news than what is known is dropped."""
    await sessions.record_occupancy(tx, [one.event for one in received])


async def _restore(tx: Transaction, words: Words) -> None:
    await sessions.record_occupancy(tx, [one.event for one in words[Topic.ENROLMENT_OCCUPANCY]])


projections = Projections((Topic.ENROLMENT_OCCUPANCY,), _restore, sessions.compare_occupancy)
