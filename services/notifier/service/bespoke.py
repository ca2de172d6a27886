from collections.abc import Sequence

from services.notifier import letters
from services.notifier.store import queue
from services.notifier.store.queue import Addressee
from shared.database import Transaction
from shared.events.catalogue import BespokeRequestAnswered, BespokeRequestReceived
from shared.events.cloudevents import Received

BespokeNews = BespokeRequestReceived | BespokeRequestAnswered


async def process(tx: Transaction, received: Sequence[Received[BespokeNews]]) -> None:
    """The officer is not an agent: the recipient is named after the request."""
    for record in received:
        event = record.event
        officer = event.requested_by
        if isinstance(event, BespokeRequestReceived):
            letter, called_for_at, session_id = letters.bespoke_receipt(event), event.received_at, None
        else:
            letter, called_for_at, session_id = (
                letters.bespoke_letter(event),
                record.received_at,
                event.session_id,
            )
        await queue.add_letter(
            tx,
            record.id,
            letter,
            Addressee(queue.OFFICER.format(event.request_id), officer.email, "", officer.name),
            called_for_at=called_for_at,
            session_id=session_id,
        )
