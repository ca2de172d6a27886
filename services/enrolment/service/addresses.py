"""Agents with a bad address, so that organisers can ask them for another."""

from collections.abc import Sequence
from datetime import datetime

from services.enrolment.store import addresses
from shared.database import Transaction
from shared.events.notifier import BounceKind, EmailBounced, EmailFailed, EmailSent
from shared.events.vocabulary import AgentKey

EmailDelivery = EmailBounced | EmailFailed | EmailSent


async def record_deliveries(tx: Transaction, deliveries: Sequence[EmailDelivery], now: datetime) -> None:
    relevant = [delivery for delivery in deliveries if _concerns_address(delivery)]
    last = {_agent(delivery): delivery for delivery in relevant}
    arrived = {
        agent: delivery.enrolment_id for agent, delivery in last.items() if isinstance(delivery, EmailSent)
    }
    bad = {_agent(delivery) for delivery in relevant if not isinstance(delivery, EmailSent)}
    await addresses.mark_bad(tx, bad, now)
    await addresses.mark_good(tx, arrived)


def _agent(delivery: EmailDelivery) -> AgentKey:
    return AgentKey(delivery.issuer, delivery.agent_id)


def _concerns_address(delivery: EmailDelivery) -> bool:
    """Return whether a delivery says anything about an enrolment's address.

    A mail without an enrolment may go to another address, such as that of a subscription.
    """
    if delivery.enrolment_id is None:
        return False
    match delivery:
        case EmailSent():
            return True
        case EmailBounced():
            return delivery.suppressed or delivery.kind is BounceKind.HARD
    return delivery.suppressed
