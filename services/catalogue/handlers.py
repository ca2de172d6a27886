"""Kafka handlers for occupancies and requests of authorities."""

from services.catalogue.rules.bespoke import BespokeRequest
from services.catalogue.service import bespoke, occupancy, published
from shared import clock
from shared.database import Transaction
from shared.events.catalogue import ResourceEvent, SessionState
from shared.events.cloudevents import Received
from shared.events.enrolment import SessionOccupancyChanged
from shared.events.portal import AgentErasureRequested, BespokeTrainingRequested
from shared.events.topics import Topic
from shared.messaging import erasure
from shared.messaging.projections import Compared, Latest, Projections
from shared.messaging.router import Router, Tx

router = Router("catalogue")


@router.subscriber(Topic.PORTAL_BESPOKE, accepts=True)
async def on_bespoke_requests(tx: Tx, requests: list[Received[BespokeTrainingRequested]]) -> None:
    """Store requests of authorities for their delegation. Nominations concern enrolment alone."""
    await bespoke.receive(
        tx,
        [
            BespokeRequest(
                bespoke_id=request.id,
                request_id=request.id,
                source=request.source,
                portal=request.portal,
                siret=request.event.siret,
                authority=request.event.authority,
                delegation=request.event.delegation,
                theme=request.event.theme,
                trainees=request.event.trainees,
                received_at=request.received_at,
                requester=request.event.requested_by,
                message=request.event.message,
                wished_from=request.event.wished_from,
                wished_until=request.event.wished_until,
            )
            for request in requests
        ],
    )


@router.subscriber(Topic.PORTAL_AGENTS, answered_elsewhere=True)
async def on_agents(tx: Tx, received: list[Received[AgentErasureRequested]]) -> None:
    """Queue erasure requests for the job."""
    await erasure.keep_requests(tx, received)


@router.subscriber(Topic.ENROLMENT_OCCUPANCY)
async def on_occupancy(tx: Tx, received: list[Received[SessionOccupancyChanged]]) -> None:
    """Store how full each session is. Events older than the stored one are dropped."""
    await occupancy.record(tx, [record.event for record in received])


async def _restore(tx: Transaction, latest: Latest) -> None:
    await occupancy.record(tx, [record.event for record in latest[Topic.ENROLMENT_OCCUPANCY]])
    await published.resume(tx, *_own(latest))


async def _compare(tx: Transaction, latest: Latest) -> list[Compared]:
    occupancies = [record.event for record in latest[Topic.ENROLMENT_OCCUPANCY]]
    return await occupancy.compare(tx, occupancies) + await published.compare(tx, *_own(latest), clock.now())


def _own(latest: Latest) -> tuple[list[SessionState], list[ResourceEvent]]:
    return (
        [record.event for record in latest[Topic.CATALOGUE_SESSIONS]],
        [record.event for record in latest[Topic.CATALOGUE_RESOURCES]],
    )


projections = Projections(
    (Topic.ENROLMENT_OCCUPANCY, Topic.CATALOGUE_SESSIONS, Topic.CATALOGUE_RESOURCES), _restore, _compare
)
