"""Bespoke training: the answer is written to the officer who requested it."""

from collections.abc import Sequence

from services.notifier import letters
from services.notifier.store import queue
from services.notifier.store.queue import Addressee
from shared.database import Transaction
from shared.events.catalogue import BespokeRequestAnswered
from shared.events.cloudevents import Received


async def answer(tx: Transaction, received: Sequence[Received[BespokeRequestAnswered]]) -> None:
    """Write to the officers, who are no agents: their recipient is named after the request."""
    for answered in received:
        officer = answered.event.requested_by
        await queue.add_letter(
            tx,
            answered.id,
            letters.bespoke_letter(answered.event),
            Addressee(f"demandeur-{answered.event.request_id}", officer.email, "", officer.name),
            called_for_at=answered.received_at,
            session_id=answered.event.session_id,
        )
