"""Agents with a bad address, so that organisers can ask them for another."""

from collections.abc import Sequence

from services.enrolment.store import addresses
from services.enrolment.store.addresses import Arrived
from shared.database import Transaction
from shared.events.cloudevents import Received
from shared.events.notifier import BounceKind, EmailBounced, EmailFailed, EmailSent
from shared.events.vocabulary import AgentKey
from shared.messaging import inbox

EmailDelivery = EmailBounced | EmailFailed | EmailSent


async def record_deliveries(tx: Transaction, received: Sequence[Received[EmailDelivery]]) -> int:
    """Return how many deliveries had an effect now.

    Almost every mail arrives, so an arrival has no inbox row. It removes older marks alone, so it may be
    delivered again.
    """
    arrivals = [record for record in received if isinstance(record.event, EmailSent)]
    failures = await inbox.first_seen(
        tx, [record for record in received if isinstance(record.event, EmailBounced | EmailFailed)]
    )
    bad = {_agent(record.event): record.received_at for record in failures if _is_bad(record.event)}
    await addresses.mark_bad(tx, bad)
    arrived = {
        _agent(record.event): Arrived(record.event.enrolment_id, record.received_at)
        for record in arrivals
        if record.event.enrolment_id is not None
    }
    await addresses.mark_good(tx, arrived)
    return len(arrivals) + len(failures)


def _agent(delivery: EmailDelivery) -> AgentKey:
    return AgentKey(delivery.issuer, delivery.agent_id)


def _is_bad(delivery: EmailDelivery) -> bool:
    """Return whether the address of an enrolment is bad.

    A mail without an enrolment may go to another address, such as that of a subscription.
    """
    if delivery.enrolment_id is None or isinstance(delivery, EmailSent):
        return False
    is_hard = isinstance(delivery, EmailBounced) and delivery.kind is BounceKind.HARD
    return is_hard or delivery.suppressed
