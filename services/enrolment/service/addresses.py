"""Agents with a bad address, so that organisers can ask them for another."""

from collections.abc import Sequence
from datetime import datetime

from services.enrolment.store import addresses
from services.enrolment.store.addresses import Arrived
from shared.database import Transaction
from shared.events.cloudevents import Received
from shared.events.notifier import BounceKind, EmailBounced, EmailFailed, EmailSent
from shared.events.vocabulary import EARLIEST, AgentKey
from shared.messaging import inbox

EmailDelivery = EmailBounced | EmailFailed | EmailSent


async def record_deliveries(tx: Transaction, received: Sequence[Received[EmailDelivery]]) -> int:
    """Return how many deliveries were new.

    Almost every mail arrives, so an arrival has no inbox row. It only removes the marks of mails that were
    sent before it and came back, so a repeated delivery is harmless.
    """
    arrivals = [record.event for record in received if isinstance(record.event, EmailSent)]
    failures = await inbox.first_seen(
        tx, [record for record in received if isinstance(record.event, EmailBounced | EmailFailed)]
    )
    bad: dict[AgentKey, datetime] = {}
    for delivery in filter(_is_bad, (record.event for record in failures)):
        bad[_agent(delivery)] = max(_moment(delivery), bad.get(_agent(delivery), EARLIEST))
    await addresses.mark_bad(tx, bad)
    arrived = {
        _agent(sent): Arrived(sent.enrolment_id, sent.sent_at)
        for sent in sorted(arrivals, key=lambda sent: sent.sent_at)
        if sent.enrolment_id is not None
    }
    await addresses.mark_good(tx, arrived)
    return len(arrivals) + len(failures)


def _agent(delivery: EmailDelivery) -> AgentKey:
    return AgentKey(delivery.issuer, delivery.agent_id)


def _moment(delivery: EmailDelivery) -> datetime:
    match delivery:
        case EmailSent():
            return delivery.sent_at
        case EmailBounced():
            return delivery.bounced_at
    return delivery.failed_at


def _is_bad(delivery: EmailDelivery) -> bool:
    """A mail without an enrolment may go to another address, such as that of a subscription."""
    if delivery.enrolment_id is None or isinstance(delivery, EmailSent):
        return False
    is_hard = isinstance(delivery, EmailBounced) and delivery.kind is BounceKind.HARD
    return is_hard or delivery.suppressed
