from collections.abc import Sequence
from typing import Any

from services.catalogue.store import occupancy
from services.catalogue.tables import OccupancyRow
from shared.database import Transaction
from shared.events.enrolment import SessionOccupancyChanged
from shared.messaging.projections import Compared


async def record(tx: Transaction, events: Sequence[SessionOccupancyChanged]) -> None:
    await occupancy.save(tx, events)


async def compare(tx: Transaction, events: Sequence[SessionOccupancyChanged]) -> list[Compared]:
    published, stored = _by_session(events), _by_session(await occupancy.all_rows(tx))
    return [Compared("occupancy", published, stored)]


def _by_session(known: Sequence[SessionOccupancyChanged | OccupancyRow]) -> dict[str, dict[str, Any]]:
    return {str(state.session_id): state.model_dump(include=occupancy.FIELDS) for state in known}
