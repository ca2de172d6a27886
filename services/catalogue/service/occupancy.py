"""How full each session is, as the enrolment service says."""

from collections.abc import Sequence

from services.catalogue.store import occupancy
from shared.database import Transaction
from shared.events.enrolment import SessionOccupancyChanged
from shared.messaging.projections import Compared


async def record(tx: Transaction, events: Sequence[SessionOccupancyChanged]) -> None:
    """Remember how full sessions are; what is older than what is known is dropped."""
    await occupancy.save(tx, events)


async def compare(tx: Transaction, events: Sequence[SessionOccupancyChanged]) -> list[Compared]:
    """How full each session is, by the last event of each and by what is stored."""
    published = {str(event.session_id): event.model_dump(include=occupancy.FIELDS) for event in events}
    return [Compared("occupancy", published, await occupancy.every(tx))]
