"""Who speaks or teaches in a session, kept so that letters about it name them."""

from collections.abc import Sequence

from services.notifier.store import trainers
from shared.database import Transaction
from shared.events.catalogue import SessionTrainersChanged
from shared.events.cloudevents import Received


async def take_over(tx: Transaction, received: Sequence[Received[SessionTrainersChanged]]) -> None:
    """Keep the newest list of each session."""
    by_version = sorted(received, key=lambda named: named.event.session_version)
    newest = {named.event.session_id: named for named in by_version}
    await trainers.save(tx, [named.event for named in newest.values()])
