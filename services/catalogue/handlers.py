"""Kafka in: how full the sessions are, and what authorities request."""

from collections.abc import Sequence

from services.catalogue.rules.bespoke import BespokeRequest
from services.catalogue.service import bespoke, occupancy
from shared.database import Transaction
from shared.events.enrolment import SessionOccupancyChanged
from shared.events.portal import BespokeTrainingRequested
from shared.events.topics import Topic
from shared.messaging.consumer import Subscriptions
from shared.messaging.decoding import Received
from shared.messaging.projections import Compared, Projections, Words

subscriptions = Subscriptions("catalogue")


@subscriptions.on(Topic.PORTAL_BESPOKE, BespokeTrainingRequested)
async def on_bespoke_requests(
    tx: Transaction, received: Sequence[Received[BespokeTrainingRequested]]
) -> None:
    """Keep what authorities request, for their delegation to answer. Nominations concern enrolment alone."""
    await bespoke.receive(
        tx,
        [
            BespokeRequest(
                request_id=request.id,
                siret=request.event.siret,
                authority=request.event.authority,
                delegation=request.event.delegation,
                theme=request.event.theme,
                trainees=request.event.trainees,
                received_at=request.record.received_at,
                requester=request.event.requested_by,
                message=request.event.message,
                wished_from=request.event.wished_from,
                wished_until=request.event.wished_until,
            )
            for request in received
        ],
    )


@subscriptions.on(Topic.ENROLMENT_OCCUPANCY, SessionOccupancyChanged)
async def on_occupancy(tx: Transaction, received: Sequence[Received[SessionOccupancyChanged]]) -> None:
    """Remember how full each session is; what is older than what is known is dropped."""
    await occupancy.record(tx, [record.event for record in received])


async def _restore(tx: Transaction, words: Words) -> None:
    await occupancy.record(tx, [record.event for record in words[Topic.ENROLMENT_OCCUPANCY]])


async def _compare(tx: Transaction, words: Words) -> list[Compared]:
    return await occupancy.compare(tx, [record.event for record in words[Topic.ENROLMENT_OCCUPANCY]])


projections = Projections((Topic.ENROLMENT_OCCUPANCY,), _restore, _compare)
