"""What is known of sessions from the catalogue alone, beside what the catalogue and the enrolments say."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from services.enrolment.rules import counts_by_employer
from services.enrolment.store import facts
from shared.database import Transaction
from shared.events.catalogue import SessionState
from shared.events.enrolment import SessionOccupancyChanged
from shared.events.topics import Topic
from shared.messaging.projections import Compared, Latest


async def compare(tx: Transaction, latest: Latest) -> list[Compared]:
    """Each session as it should be by its last word, by its enrolments and by what was told of it last."""
    told = {one.event.session_id: one.event for one in latest[Topic.ENROLMENT_OCCUPANCY]}
    rows = {row.session_id: row for row in await tx.execute(_SESSIONS)}
    counted = {row.session_id: row for row in await tx.execute(_COUNTED)}
    taken = await _seats_by_employer(tx, rows)
    said = {}
    for one in latest[Topic.CATALOGUE_SESSIONS]:
        state: SessionState = one.event
        counts = counted.get(state.session_id)
        said[str(state.session_id)] = {
            **state.model_dump(),
            "closes_for_the_clock": state.enrolment_closes_at,
            **_counts(state, counts),
            "seats_by_employer": taken.get(state.session_id, _NOBODY) if counts_by_employer(state) else None,
        } | _last_told(told.get(state.session_id), rows.get(state.session_id))
    kept = {
        str(row.session_id): {
            **facts.session_of(row).model_dump(),
            "closes_for_the_clock": row.enrolment_closes_at,
            "enrolled": row.enrolled,
            "offered": row.offered,
            "waiting": row.waiting,
            "seat_ceiling": row.seat_ceiling,
            "seats_by_employer": row.seats_by_employer,
            "occupancy_version": row.occupancy_version,
            "told": _numbers(row),
        }
        for row in rows.values()
    }
    return [Compared("session", said, kept)]


async def unsent_occupancy(tx: Transaction) -> dict[UUID, SessionOccupancyChanged]:
    """The last of each session that no topic has yet: it is further than what others have heard."""
    unsent = (
        SessionOccupancyChanged.model_validate_json(row.data)
        for row in await tx.execute(_UNSENT, {"topic": Topic.ENROLMENT_OCCUPANCY.value})
    )
    return {one.session_id: one for one in unsent}


def _counts(state: SessionState, counts: Row[Any] | None) -> dict[str, int | None]:
    enrolled, offered = (counts.enrolled, counts.offered) if counts is not None else (0, 0)
    return {
        "enrolled": enrolled,
        "offered": offered,
        "waiting": counts.waiting if counts is not None else 0,
        "seat_ceiling": None if state.capacity is None else max(state.capacity, enrolled + offered),
    }


def _last_told(last: SessionOccupancyChanged | None, row: Row[Any] | None) -> dict[str, Any]:
    """What a row must not have fallen behind; it may be further, by what is on its way."""
    if last is None or row is None or row.occupancy_version > last.version:
        return {}
    return {"occupancy_version": last.version, "told": _numbers(last)}


def _numbers(of: Any) -> tuple[int | None, ...]:
    capacity = of.state["capacity"] if isinstance(of, Row) else of.capacity
    return capacity, of.enrolled, of.waiting, of.offered


async def _seats_by_employer(
    tx: Transaction, rows: Mapping[UUID, Row[Any]]
) -> dict[UUID, dict[str, dict[str, int]]]:
    wanted = [session_id for session_id, row in rows.items() if counts_by_employer(facts.session_of(row))]
    taken: dict[UUID, dict[str, dict[str, int]]] = {}
    for session_id, employer, number in await facts.seats_by_employer(tx, wanted):
        seats = taken.setdefault(session_id, {"delegation": {}, "siret": {}})
        for by, name in (("delegation", employer.delegation), ("siret", employer.siret)):
            seats[by][name] = seats[by].get(name, 0) + number
    return taken


_NOBODY: dict[str, dict[str, int]] = {"delegation": {}, "siret": {}}
_SESSIONS = text("SELECT * FROM session")
_COUNTED = text(f"{facts.COUNTED} GROUP BY session_id")
_UNSENT = text("SELECT data FROM outbox WHERE sent_at IS NULL AND topic = :topic ORDER BY id")
