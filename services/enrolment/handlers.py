"""Kafka in: what portals ask, what the catalogue says of its sessions, and whose mails come back."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from faststream import Context

from services.enrolment import desk, store
from services.enrolment.rules import Policy
from services.enrolment.store import PortalRequest
from shared import clock
from shared.database import Transaction
from shared.events import portal
from shared.events.catalogue import SessionState
from shared.events.cloudevents import Received
from shared.events.notifier import BounceKind, EmailBounced, EmailFailed, EmailSent
from shared.events.topics import Topic
from shared.messaging.projections import Latest, Projections
from shared.messaging.router import Router, Tx

EnrolmentRequest = (
    portal.EnrolmentRequested
    | portal.GroupEnrolmentRequested
    | portal.WithdrawalRequested
    | portal.ApprovalDecided
    | portal.SeatOfferAnswered
)
EmailDelivery = EmailBounced | EmailFailed | EmailSent


router = Router("enrolment")

ThePolicy = Annotated[Policy, Context("policy")]
"""A handler's parameter: what the settings say, which ``app.py`` puts into FastStream's context."""


@router.subscriber(Topic.PORTAL_ENROLMENTS, own_inbox=True, awaited=True)
async def on_requests(tx: Tx, policy: ThePolicy, requests: list[Received[EnrolmentRequest]]) -> int:
    """Answer a batch of portal requests, in the order the broker received them."""
    return await _answer(tx, policy, requests)


@router.subscriber(Topic.PORTAL_BESPOKE, own_inbox=True)
async def on_nominations(
    tx: Tx, policy: ThePolicy, nominations: list[Received[portal.TraineesNominated]]
) -> int:
    """Seat the agents whom authorities name for their private sessions."""
    return await _answer(tx, policy, nominations)


async def _answer(tx: Transaction, policy: Policy, requests: Sequence[Received[PortalRequest]]) -> int:
    answers = await desk.answer(tx, [store.request_of(request) for request in requests], policy, clock.now())
    return len({request.id for request in requests} & answers.keys())


@router.subscriber(Topic.CATALOGUE_SESSIONS)
async def on_sessions(tx: Tx, policy: ThePolicy, states: list[Received[SessionState]]) -> None:
    """Take over the newest state of each session."""
    ordered = sorted((state.event for state in states), key=lambda event: event.version)
    await desk.take_over(tx, {event.session_id: event for event in ordered}, policy, clock.now())


@router.subscriber(Topic.NOTIFIER_DELIVERIES)
async def on_deliveries(tx: Tx, deliveries: list[Received[EmailDelivery]]) -> None:
    """Keep whose address is bad, so that organisers see it, and forget it when a mail arrives again."""
    told = [delivery.event for delivery in deliveries if _tells_of_an_address(delivery.event)]
    last = {event.agent_id: event for event in told}
    arrived = {agent: event.enrolment_id for agent, event in last.items() if isinstance(event, EmailSent)}
    bad = {event.agent_id for event in told if not isinstance(event, EmailSent)}
    await store.mark_addresses(tx, bad, clock.now())
    await store.clear_addresses(tx, arrived)


router.park(Topic.PORTAL_AGENTS, portal.AgentErasureRequested)


def _tells_of_an_address(event: EmailDelivery) -> bool:
    """Whether it says that the address of an enrolment is bad, or good.

    A mail about no enrolment may go to another address, of a subscription, or to who is no agent at all.
    """
    if event.enrolment_id is None:
        return False
    match event:
        case EmailSent():
            return True
        case EmailBounced():
            return event.suppressed or event.kind is BounceKind.HARD
    return event.suppressed


def projections(policy: Policy) -> Projections:
    """The sessions. Taken over once more they cause nothing: what follows is decided by how things stand."""

    async def restore(tx: Transaction, latest: Latest) -> None:
        newest: dict[UUID, SessionState] = {
            state.event.session_id: state.event for state in latest[Topic.CATALOGUE_SESSIONS]
        }
        told = {
            occupancy.event.session_id: occupancy.event for occupancy in latest[Topic.ENROLMENT_OCCUPANCY]
        }
        told |= await store.unsent_occupancy(tx)
        await desk.take_over(tx, newest, policy, clock.now(), told)

    return Projections((Topic.CATALOGUE_SESSIONS, Topic.ENROLMENT_OCCUPANCY), restore, store.compare)
