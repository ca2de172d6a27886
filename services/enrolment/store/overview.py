from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from services.enrolment.rules.overview import SessionNumbers
from services.enrolment.store.sessions import session_of
from services.enrolment.tables import BEFORE_SQL, LIVE_SQL
from shared.database import Row, Transaction


async def list_numbers(
    tx: Transaction,
    organiser: str | None,
    limit: int,
    *,
    since: datetime,
    unrecorded_since: datetime,
    now: datetime,
) -> Sequence[SessionNumbers]:
    """Older sessions that lack an attendance come last. MOOCs record none."""
    parameters = {
        "organiser": organiser,
        "since": since,
        "unrecorded_since": unrecorded_since,
        "limit": limit,
        "now": now,
    }
    return [_numbers(row) for row in await tx.execute(_LIST, parameters)]


async def find_numbers(tx: Transaction, session_id: UUID, now: datetime) -> SessionNumbers | None:
    row = (await tx.execute(_SINGLE, {"id": session_id, "now": now})).one_or_none()
    return None if row is None else _numbers(row)


def _numbers(row: Row) -> SessionNumbers:
    return SessionNumbers(
        session=session_of(row),
        enrolled=row.enrolled,
        offered=row.offered,
        waiting=row.waiting,
        pending_approval=row.pending_approval,
        pending_selection=row.pending_selection,
        bad_addresses=row.bad_addresses,
        next_lapse=row.next_lapse,
        unrecorded=row.unrecorded,
    )


# An agent who attended some modules is 'attended' until the others are known. The query follows the order of
# each state's index: in a session without such agents it would otherwise read the whole table.
_UNRECORDED = (
    "CAST(session.state->>'starts_at' AS timestamptz) <= :now AND EXISTS (SELECT FROM "  # noqa: S608 our own words
    "unnest(ARRAY['enrolled', 'attended']) AS of_state, LATERAL (SELECT FROM enrolment "
    "WHERE enrolment.session_id = session.session_id AND enrolment.state = of_state "
    f"ORDER BY {BEFORE_SQL}, coalesce(ticket, 0) LIMIT 1) AS line)"
)
# A small index serves each count. Agents with a seat are searched only in sessions that have begun.
_NUMBERS = (
    "SELECT session.session_id, session.version, session.state, enrolled, offered, waiting, "  # noqa: S608 our own words
    "(SELECT count(*) FROM enrolment WHERE enrolment.session_id = session.session_id "
    "AND enrolment.state = 'pending_approval') AS pending_approval, "
    "(SELECT count(*) FROM enrolment WHERE enrolment.session_id = session.session_id "
    "AND enrolment.state = 'pending_selection') AS pending_selection, "
    "(SELECT count(*) FROM bad_address JOIN enrolment USING (issuer, agent_id) "
    "WHERE enrolment.session_id = session.session_id "
    f"AND enrolment.state IN ({LIVE_SQL})) AS bad_addresses, "
    "CASE WHEN offered > 0 THEN (SELECT min(hold_until) FROM enrolment "
    "WHERE enrolment.session_id = session.session_id AND enrolment.state = 'offered') END AS next_lapse, "
    f"{_UNRECORDED} AS unrecorded "
    "FROM session "
)
_LIST = text(
    f"{_NUMBERS} WHERE (CAST(:organiser AS text) IS NULL OR session.state->>'organiser' = :organiser) "
    "AND session.state->>'status' <> 'cancelled' "
    "AND (CAST(session.state->>'ends_at' AS timestamptz) > :since "
    "OR CAST(session.state->>'ends_at' AS timestamptz) > :unrecorded_since "
    f"AND session.state->>'format' <> 'mooc' AND {_UNRECORDED}) "
    "ORDER BY CAST(session.state->>'ends_at' AS timestamptz) <= :since, "
    "CAST(session.state->>'starts_at' AS timestamptz), session.session_id LIMIT :limit"
)
_SINGLE = text(f"{_NUMBERS} WHERE session.session_id = :id")
