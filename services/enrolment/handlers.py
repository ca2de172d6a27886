"""Kafka handlers for portal requests, catalogue sessions, outcomes and mail deliveries."""

from collections.abc import Sequence
from typing import Annotated, TypeGuard
from uuid import UUID

from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import Request, request_of
from services.enrolment.service import addresses, bespoke_tasks, corrections, outcomes, requests, sessions
from services.enrolment.service import erasure as forgetting
from services.enrolment.service import projections as comparison
from services.enrolment.service.addresses import EmailDelivery
from services.enrolment.service.order import PartitionCheck
from shared import clock
from shared.database import Transaction
from shared.events import portal
from shared.events.catalogue import BespokeRequestAnswered, SessionState
from shared.events.cloudevents import Received
from shared.events.enrolment import SessionOccupancyChanged
from shared.events.outcomes import RequestAccepted, RequestRejected
from shared.events.topics import Topic
from shared.messaging import erasure
from shared.messaging.projections import Compared, Latest, Projections
from shared.messaging.router import FromContext, Rejections, Router, Tx

EnrolmentRequest = (
    portal.EnrolmentRequested
    | portal.GroupEnrolmentRequested
    | portal.WithdrawalRequested
    | portal.ApprovalDecided
    | portal.SeatOfferAnswered
    | portal.SessionSwapRequested
)

router = Router("enrolment")

ThePolicy = Annotated[Policy, FromContext("policy")]


ThePartitionCheck = Annotated[PartitionCheck, FromContext("partition_check")]


@router.subscriber(Topic.PORTAL_ENROLMENTS, own_inbox=True, rest=0, consumers=2)
async def on_requests(
    tx: Tx,
    policy: ThePolicy,
    partition_check: ThePartitionCheck,
    rejections: Rejections,
    received: list[Received[EnrolmentRequest]],
) -> int:
    """Process a batch of portal requests in order of receipt."""
    checked = await partition_check.check(tx, received)
    rejections.extend(checked.refused)
    return await _answer(tx, policy, checked.requests)


@router.subscriber(Topic.PORTAL_BESPOKE, own_inbox=True)
async def on_nominations(
    tx: Tx, policy: ThePolicy, received: list[Received[portal.TraineesNominated]]
) -> int:
    """Seat the agents whom authorities name for their private sessions."""
    return await _answer(tx, policy, [request_of(record) for record in received])


async def _answer(tx: Transaction, policy: Policy, made: Sequence[Request]) -> int:
    answers = await requests.process(tx, made, policy, clock.now())
    return len({request.key for request in made} & answers.keys())


@router.subscriber(Topic.CATALOGUE_SESSIONS)
async def on_sessions(tx: Tx, policy: ThePolicy, received: list[Received[SessionState]]) -> None:
    """Apply the newest state of each session."""
    states = sorted((record.event for record in received), key=lambda state: state.version)
    await sessions.apply_states(tx, {state.session_id: state for state in states}, policy, clock.now())


@router.subscriber(Topic.NOTIFIER_DELIVERIES, own_inbox=True)
async def on_deliveries(tx: Tx, received: list[Received[EmailDelivery]]) -> int:
    """Mark agents whose mails bounce. Remove the mark when a mail arrives."""
    return await addresses.record_deliveries(tx, received)


@router.subscriber(Topic.REQUESTS_OUTCOMES)
async def on_outcomes(tx: Tx, received: list[Received[RequestRejected | RequestAccepted]]) -> None:
    """Pass the answers of other services on to portals."""
    await outcomes.pass_on(tx, received)


@router.subscriber(Topic.CATALOGUE_BESPOKE)
async def on_bespoke_requests(tx: Tx, received: list[Received[bespoke_tasks.BespokeEvent]]) -> None:
    """Update the tasks of organisers, and pass answers on to portals."""
    await bespoke_tasks.record_progress(tx, received)
    await outcomes.pass_on(tx, list(filter(_is_answer, received)))


def _is_answer(record: Received[bespoke_tasks.BespokeEvent]) -> TypeGuard[Received[BespokeRequestAnswered]]:
    return isinstance(record.event, BespokeRequestAnswered)


@router.subscriber(Topic.PORTAL_AGENTS, answered_elsewhere=True)
async def on_agents(
    tx: Tx, policy: ThePolicy, received: list[Received[portal.AgentCorrected | portal.AgentErasureRequested]]
) -> None:
    """Apply corrections. Withdraw agents to be erased, and queue them for the erasure job."""
    await corrections.lock_sessions(tx, received)
    await corrections.correct(tx, received, clock.now())
    await erasure.keep_requests(tx, received)
    await forgetting.withdraw(tx, received, policy)


def projections(policy: Policy) -> Projections:
    """Restore sessions from their topics. Applying a session twice changes nothing."""

    async def restore(tx: Transaction, latest: Latest) -> None:
        newest: dict[UUID, SessionState] = {
            record.event.session_id: record.event for record in latest[Topic.CATALOGUE_SESSIONS]
        }
        published: dict[UUID, SessionOccupancyChanged] = {
            record.event.session_id: record.event for record in latest[Topic.ENROLMENT_OCCUPANCY]
        }
        await sessions.restore(tx, newest, published, policy, clock.now())

    async def compare(tx: Transaction, latest: Latest) -> Sequence[Compared]:
        states = [record.event for record in latest[Topic.CATALOGUE_SESSIONS]]
        occupancies = [record.event for record in latest[Topic.ENROLMENT_OCCUPANCY]]
        return await comparison.compare(tx, states, occupancies)

    return Projections((Topic.CATALOGUE_SESSIONS, Topic.ENROLMENT_OCCUPANCY), restore, compare)
