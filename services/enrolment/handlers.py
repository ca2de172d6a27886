"""Kafka in: what portals ask, what the catalogue says of its sessions, and whose mails come back."""

from collections.abc import Sequence
from uuid import UUID

from services.enrolment import desk, store
from services.enrolment.rules import Policy
from services.enrolment.store import PortalRequest
from shared import clock
from shared.database import Transaction
from shared.events import portal
from shared.events.catalogue import SESSION_EVENTS, SessionState
from shared.events.notifier import BounceKind, EmailBounced, EmailFailed, EmailSent
from shared.events.topics import Topic
from shared.messaging.consumer import Subscriptions
from shared.messaging.decoding import Received
from shared.messaging.projections import Projections, Words

EmailDelivery = EmailBounced | EmailFailed | EmailSent


def listening(policy: Policy) -> Subscriptions:
    """Everything that the service listens to, decided by ``policy``."""
    subscriptions = Subscriptions("enrolment")

    async def answer(tx: Transaction, received: Sequence[Received[PortalRequest]]) -> int:
        answers = await desk.answer(tx, [store.request_of(one) for one in received], policy, clock.now())
        return len({one.id for one in received} & answers.keys())

    @subscriptions.on(
        Topic.PORTAL_ENROLMENTS,
        portal.EnrolmentRequested,
        portal.GroupEnrolmentRequested,
        portal.WithdrawalRequested,
        portal.ApprovalDecided,
        portal.SeatOfferAnswered,
        knows_its_events=True,
        awaited=True,
    )
    async def on_requests(tx: Transaction, received: list[Received[PortalRequest]]) -> int:
        """Answer a batch of portal requests, in the order the broker received them."""
        return await answer(tx, received)

    @subscriptions.on(Topic.PORTAL_BESPOKE, portal.TraineesNominated, knows_its_events=True)
    async def on_nominations(tx: Transaction, received: list[Received[portal.TraineesNominated]]) -> int:
        """Seat the agents whom authorities name for their private sessions."""
        return await answer(tx, received)

    @subscriptions.on(Topic.CATALOGUE_SESSIONS, *SESSION_EVENTS)
    async def on_sessions(tx: Transaction, received: list[Received[SessionState]]) -> None:
        """Take over the newest state of each session."""
        ordered = sorted((one.event for one in received), key=lambda event: event.version)
        await desk.take_over(tx, {event.session_id: event for event in ordered}, policy, clock.now())

    @subscriptions.on(Topic.NOTIFIER_DELIVERIES, EmailBounced, EmailFailed, EmailSent)
    async def on_deliveries(tx: Transaction, received: list[Received[EmailDelivery]]) -> None:
        """Keep whose address is bad, so that organisers see it, and forget it when a mail arrives again."""
        told = [one.event for one in received if _tells_of_an_address(one.event)]
        last = {event.agent_id: event for event in told}
        arrived = {agent: event.enrolment_id for agent, event in last.items() if isinstance(event, EmailSent)}
        bad = {event.agent_id for event in told if not isinstance(event, EmailSent)}
        await store.mark_addresses(tx, bad, clock.now())
        await store.clear_addresses(tx, arrived)

    subscriptions.park(Topic.PORTAL_AGENTS, portal.AgentErasureRequested)
    return subscriptions


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

    async def restore(tx: Transaction, words: Words) -> None:
        newest: dict[UUID, SessionState] = {
            one.event.session_id: one.event for one in words[Topic.CATALOGUE_SESSIONS]
        }
        told = {one.event.session_id: one.event for one in words[Topic.ENROLMENT_OCCUPANCY]}
        told |= await store.unsent_occupancy(tx)
        await desk.take_over(tx, newest, policy, clock.now(), told)

    return Projections((Topic.CATALOGUE_SESSIONS, Topic.ENROLMENT_OCCUPANCY), restore, store.compare)


subscriptions = listening(Policy())
"""With the usual choices, for whoever only wants to know what is listened to."""
