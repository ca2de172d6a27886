"""The story of an agent over all services: what happened is kept as its events are heard."""

from collections.abc import Sequence

from services.notifier.letters.happenings import happening_of
from services.notifier.store import timeline
from shared.database import Transaction
from shared.events import Event
from shared.events.cloudevents import Received


async def keep(tx: Transaction, received: Sequence[Received[Event]]) -> None:
    """Keep what these events say happened to agents: codes and ids, no name and no address."""
    happened = [(record, happening_of(record.event)) for record in received]
    await timeline.add(tx, [(record, *known) for record, known in happened if known is not None])
