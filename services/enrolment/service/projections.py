from collections.abc import Sequence
from typing import Any
from uuid import UUID

from services.enrolment.rules.seats import counts_by_employer
from services.enrolment.store import sessions
from services.enrolment.store.sessions import EnrolmentCounts, session_of
from services.enrolment.tables import SessionRow
from shared.database import Transaction
from shared.events.catalogue import SessionState
from shared.events.enrolment import SessionOccupancyChanged
from shared.messaging.projections import Compared


async def compare(
    tx: Transaction, states: Sequence[SessionState], occupancies: Sequence[SessionOccupancyChanged]
) -> list[Compared]:
    published = {occupancy.session_id: occupancy for occupancy in occupancies}
    rows = {row.session_id: row for row in await sessions.all_rows(tx)}
    counts = await sessions.counts(tx)
    seats = await _seats_by_employer(tx, list(rows.values()))
    expected = {
        str(state.session_id): {
            **state.model_dump(),
            "closes_for_the_clock": state.enrolment_closes_at,
            **_counted(state, counts.get(state.session_id, EnrolmentCounts())),
            "seats_by_employer": seats.get(state.session_id, _NO_SEATS)
            if counts_by_employer(state)
            else None,
        }
        | _published(published.get(state.session_id), rows.get(state.session_id))
        for state in states
    }
    stored = {
        str(row.session_id): {
            **session_of(row).model_dump(),
            "closes_for_the_clock": row.enrolment_closes_at,
            "enrolled": row.enrolled,
            "offered": row.offered,
            "waiting": row.waiting,
            "seat_ceiling": row.seat_ceiling,
            "seats_by_employer": row.seats_by_employer,
            "occupancy_version": row.occupancy_version,
            "occupancy": (row.state["capacity"], row.enrolled, row.waiting, row.offered),
        }
        for row in rows.values()
    }
    return [Compared("session", expected, stored)]


def _counted(state: SessionState, counts: EnrolmentCounts) -> dict[str, int | None]:
    taken = counts.enrolled + counts.offered
    return {
        "enrolled": counts.enrolled,
        "offered": counts.offered,
        "waiting": counts.waiting,
        "seat_ceiling": None if state.capacity is None else max(state.capacity, taken),
    }


def _published(last: SessionOccupancyChanged | None, row: SessionRow | None) -> dict[str, Any]:
    """Return the occupancy expected in a row, or nothing if the row has a newer one, still unpublished."""
    if last is None or row is None or row.occupancy_version > last.version:
        return {}
    return {
        "occupancy_version": last.version,
        "occupancy": (last.capacity, last.enrolled, last.waiting, last.offered),
    }


async def _seats_by_employer(
    tx: Transaction, rows: Sequence[SessionRow]
) -> dict[UUID, dict[str, dict[str, int]]]:
    wanted = [row.session_id for row in rows if counts_by_employer(session_of(row))]
    counted: dict[UUID, dict[str, dict[str, int]]] = {}
    for seats in await sessions.seats_by_employer(tx, wanted):
        of_session = counted.setdefault(seats.session_id, {"delegation": {}, "siret": {}})
        for by, name in (("delegation", seats.employer.delegation), ("siret", seats.employer.siret)):
            of_session[by][name] = of_session[by].get(name, 0) + seats.number
    return counted


_NO_SEATS: dict[str, dict[str, int]] = {"delegation": {}, "siret": {}}
