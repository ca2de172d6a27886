import re
from collections.abc import AsyncIterator, Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import TextClause, text

from services.enrolment.rules.questions import KeptAnswer
from services.enrolment.rules.roster_lines import (
    PARTS,
    LineKey,
    RosterLine,
    RosterOrder,
    SortedKey,
    part_of,
    plain,
)
from services.enrolment.rules.states import SEATED, State
from services.enrolment.store.enrolments import enrolment_of
from services.enrolment.tables import BEFORE_SQL, LIVE_SQL, NAME_SQL, SOUGHT_SQL
from shared.database import Row, Transaction
from shared.events.enrolment import Attendance
from shared.events.vocabulary import EARLIEST, LATEST
from shared.statements import in_order

_BEGINNING = (-(2**31), -1, EARLIEST, UUID(int=0))
_END = (2**31 - 1, 2**63 - 1, LATEST, UUID(int=2**128 - 1))


async def page(
    tx: Transaction,
    session_id: UUID,
    after: LineKey | None,
    limit: int,
    *,
    before: LineKey | None = None,
    states: Collection[State] = (),
    sought: Collection[str] = (),
) -> list[RosterLine]:
    """Return the next lines, or the last ones before ``before``, in order.

    Each of the words ``sought`` must occur in names, address, employer or identifier, without accents.
    """
    parameters = _parameters(session_id, states, after, limit, before=before)
    patterns = [f"%{_LIKE.sub(_escaped, plain(part))}%" for part in sought] or None
    rows = await tx.execute(_PAGE if before is None else _PAGE_BEFORE, parameters | {"patterns": patterns})
    return in_order([_line(row) for row in rows], before)


async def sorted_page(
    tx: Transaction,
    session_id: UUID,
    order: RosterOrder,
    after: SortedKey | None,
    limit: int,
    *,
    before: SortedKey | None = None,
    states: Collection[State] = (),
    descending: bool,
) -> list[RosterLine]:
    key, enrolment_id = before or after or _before_first(order, descending=descending)
    parameters = {
        "id": session_id,
        "states": [state.value for state in states or State],
        "key": key,
        "enrolment": enrolment_id,
        "limit": limit,
    }
    rows = await tx.execute(_SORTED_PAGES[order, descending == (before is None)], parameters)
    return in_order([_line(row) for row in rows], before)


async def stream(
    tx: Transaction, session_id: UUID, *, states: Collection[State] = ()
) -> AsyncIterator[RosterLine]:
    async for row in tx.stream(_PAGE, _parameters(session_id, states, None, None)):
        yield _line(row)


async def line_of(tx: Transaction, session_id: UUID, enrolment_id: UUID) -> RosterLine:
    [line] = await lines_of(tx, session_id, [enrolment_id])
    return line


async def lines_of(tx: Transaction, session_id: UUID, enrolment_ids: Collection[UUID]) -> list[RosterLine]:
    parameters = _parameters(session_id, (), None, None) | {"enrolments": list(enrolment_ids)}
    return [_line(row) for row in await tx.execute(_LINES, parameters)]


async def ends_of_parts(tx: Transaction, session_id: UUID, state: State, size: int) -> list[LineKey]:
    rows = await tx.execute(_ENDS_OF_PARTS, {"session": session_id, "state": state.value, "size": size})
    return [(part_of(state), *row) for row in rows]


async def seated_between(tx: Transaction, session_id: UUID, first: UUID, last: UUID) -> list[UUID]:
    """Return at most two enrolments with a seat whose ids lie in this range."""
    parameters = {"session": session_id, "first": first, "last": last, "seated": SEATED}
    return list(await tx.scalars(_SEATED_BETWEEN, parameters))


def _parameters(
    session_id: UUID,
    states: Collection[State],
    after: LineKey | None,
    limit: int | None,
    *,
    before: LineKey | None = None,
) -> dict[str, Any]:
    part, *place = before or after or (-1, *_BEGINNING)
    parts = range(part, len(PARTS) + 1) if before is None else range(part + 1)
    wanted = [state for state in states or State if part_of(state) in parts]
    beyond = _BEGINNING if before is None else _END
    begins = [tuple(place) if part_of(state) == part else beyond for state in wanted]
    columns = zip(*begins, strict=True) if begins else ((), (), (), ())
    priorities, tickets, receipts, ids = map(list, columns)
    return {
        "id": session_id,
        "states": [state.value for state in wanted],
        "parts": [part_of(state) for state in wanted],
        "before": priorities,
        "tickets": tickets,
        "receipts": receipts,
        "ids": ids,
        "limit": limit,
        "patterns": None,
    }


_LIKE = re.compile(r"[%_\\]")


def _escaped(sign: re.Match[str]) -> str:
    return f"\\{sign[0]}"


def _line(row: Row) -> RosterLine:
    return RosterLine(
        enrolment=enrolment_of(row),
        updated_at=row.updated_at,
        position=row.position,
        address_is_bad=row.address_is_bad,
        attendance={int(module): Attendance(mark) for module, mark in (row.attendance or {}).items()},
        answers={answer["question_id"]: KeptAnswer(**answer) for answer in row.answers or ()},
        same_person=tuple(row.same_person or ()),
        above_capacity=row.above_capacity,
        sorted_by=getattr(row, "sorted_by", ""),
    )


_SEATED_BETWEEN = text(
    "SELECT enrolment_id FROM enrolment WHERE session_id = :session "
    "AND enrolment_id BETWEEN CAST(:first AS uuid) AND CAST(:last AS uuid) "
    "AND state = ANY(CAST(:seated AS text[])) LIMIT 2"
)
_ENDS_OF_PARTS = text(
    "SELECT before, ticket, received_at, enrolment_id FROM ("  # noqa: S608 our own words
    f"SELECT {BEFORE_SQL} AS before, coalesce(ticket, 0) AS ticket, received_at, enrolment_id, "
    f"row_number() OVER (ORDER BY {BEFORE_SQL}, coalesce(ticket, 0), received_at, enrolment_id) AS number "
    "FROM enrolment WHERE session_id = :session AND state = :state) AS line "
    "WHERE number % CAST(:size AS integer) = 0 ORDER BY number"
)
_PLACE_COLUMNS = (BEFORE_SQL, "coalesce(ticket, 0)", "received_at", "enrolment_id")
_PLACE = ", ".join(_PLACE_COLUMNS)
# These columns are computed only for the lines of the page. A group is one place in line. Places come in the
# order of the waiting list's index and are counted once: without ON Postgres would sort them, without
# MATERIALIZED it might count them for each line. Equal names are found by the index of names, state by state:
# without OFFSET 0 Postgres would read the whole session.
_DETAILS = f"""
    waiting (of_priority, of_ticket, position) AS MATERIALIZED (
    SELECT priority, ticket, row_number() OVER (ORDER BY priority DESC, ticket)
      FROM (SELECT DISTINCT ON (priority, ticket) priority, ticket FROM enrolment
             WHERE session_id = :id AND state = 'waitlisted'
               AND (SELECT bool_or(state = 'waitlisted') FROM page)
             ORDER BY priority DESC, ticket) AS place),
    shown AS (
    SELECT enrolment_id, issuer, lower(agent ->> 'email') AS address, lower(agent ->> 'given_name') AS given,
           lower(agent ->> 'family_name') AS family, {NAME_SQL} AS name
      FROM page WHERE state IN ({LIVE_SQL})),
    pairs AS (
    SELECT enrolment_id, array_agg(other ORDER BY other) AS same_person
      FROM (SELECT shown.enrolment_id, other.enrolment_id AS other
              FROM shown JOIN enrolment AS other ON lower(agent ->> 'email') = address
             WHERE session_id = :id AND state IN ({LIVE_SQL}) AND other.issuer <> shown.issuer
             UNION
            SELECT shown.enrolment_id, other.enrolment_id
              FROM shown, unnest(ARRAY[{LIVE_SQL}]) AS of_state, LATERAL (
                   SELECT enrolment_id FROM enrolment AS other
                    WHERE session_id = :id AND state = of_state AND {NAME_SQL} = name
                      AND lower(agent ->> 'family_name') = family AND lower(agent ->> 'given_name') = given
                      AND other.issuer <> shown.issuer OFFSET 0) AS other) AS pair
     GROUP BY enrolment_id)
    SELECT page.*, position, same_person, bad_address.agent_id IS NOT NULL AS address_is_bad,
           (SELECT jsonb_object_agg(module, attendance) FROM attendance
             WHERE attendance.enrolment_id = page.enrolment_id) AS attendance,
           (SELECT jsonb_agg(to_jsonb(question_answer) - 'enrolment_id' ORDER BY question_id)
              FROM question_answer WHERE question_answer.enrolment_id = page.enrolment_id) AS answers,
           (SELECT facts ->> 'above_capacity' FROM request WHERE request.request_id = page.request_id
               AND request.source = page.request_source) AS above_capacity
      FROM page
           LEFT JOIN waiting ON state = 'waitlisted' AND of_priority = priority AND of_ticket = ticket
           LEFT JOIN pairs USING (enrolment_id)
           LEFT JOIN bad_address
                ON bad_address.issuer = page.issuer AND bad_address.agent_id = page.agent_id"""  # noqa: S608 our own words


def _own_page(*, backwards: bool) -> TextClause:
    """Read the first lines of each state by the roster index, then take the first of all."""
    place, part, beyond = _PLACE, "part", ">"
    if backwards:
        place, part, beyond = ", ".join(f"{column} DESC" for column in _PLACE_COLUMNS), "part DESC", "<"
    found = f"""
    SELECT found.*, part
      FROM unnest(CAST(:states AS text[]), CAST(:parts AS integer[]), CAST(:before AS integer[]),
               CAST(:tickets AS bigint[]), CAST(:receipts AS timestamptz[]), CAST(:ids AS uuid[]))
           AS wanted (of_state, part, after_before, after_ticket, after_receipt, after_id),
           LATERAL (
           SELECT * FROM enrolment
            WHERE session_id = :id AND state = of_state
              AND ({_PLACE}) {beyond} (after_before, after_ticket, after_receipt, after_id)
              AND (CAST(:patterns AS text[]) IS NULL OR {SOUGHT_SQL} LIKE ALL(CAST(:patterns AS text[])))
            ORDER BY {place} LIMIT :limit) AS found
     ORDER BY {part}, {place} LIMIT :limit"""  # noqa: S608 our own words
    return text(f"WITH page AS MATERIALIZED ({found}), {_DETAILS} ORDER BY {part}, {place}")


_PAGE, _PAGE_BEFORE = _own_page(backwards=False), _own_page(backwards=True)
_LINES = text(
    "WITH page AS MATERIALIZED (SELECT enrolment.*, part FROM enrolment "  # noqa: S608 our own words
    "JOIN unnest(CAST(:states AS text[]), CAST(:parts AS integer[])) AS of_part (of_state, part) "
    "ON state = of_state WHERE session_id = :id AND enrolment_id = ANY(CAST(:enrolments AS uuid[]))), "
    f"{_DETAILS} ORDER BY part, {_PLACE}"
)
_SORTED_BY = {
    RosterOrder.NAME: NAME_SQL,
    RosterOrder.EMPLOYER: f'split_part({SOUGHT_SQL} COLLATE "C", chr(10), 1)',
    RosterOrder.SINCE: "updated_at",
}
_KEY_TYPES = {RosterOrder.NAME: "text", RosterOrder.EMPLOYER: "text", RosterOrder.SINCE: "timestamptz"}
_ENDS: dict[str, tuple[str | datetime, str | datetime]] = {
    "text": ("", "\U0010ffff"),
    "timestamptz": (EARLIEST, LATEST),
}


def _before_first(order: RosterOrder, *, descending: bool) -> SortedKey:
    before, after = _ENDS[_KEY_TYPES[order]]
    return (after, UUID(int=2**128 - 1)) if descending else (before, UUID(int=0))


def _sorted_page(order: RosterOrder, *, descending: bool) -> TextClause:
    """By name, an index gives the first lines of each state. Other orders read all lines once."""
    key, way, beyond = _SORTED_BY[order], *(("DESC", "<") if descending else ("ASC", ">"))
    first = f"ORDER BY sorted_by {way}, enrolment_id {way} LIMIT :limit"
    by_index = order is RosterOrder.NAME
    of_states = "of_state" if by_index else "ANY(CAST(:states AS text[])) OFFSET 0"
    place = f"""
    SELECT * FROM (
        SELECT enrolment_id, {key} AS sorted_by FROM enrolment
         WHERE session_id = :id AND state = {of_states}) AS keyed
     WHERE (sorted_by, enrolment_id) {beyond}
           (CAST(:key AS {_KEY_TYPES[order]}), CAST(:enrolment AS uuid))
     {first}"""  # noqa: S608 our own words
    if by_index:
        place = f"""
    SELECT found.*
      FROM unnest(CAST(:states AS text[])) AS wanted (of_state), LATERAL ({place}) AS found
     {first}"""  # noqa: S608 our own words
    return text(f"""
    WITH place AS ({place}),
    page AS MATERIALIZED (SELECT enrolment.*, sorted_by FROM place JOIN enrolment USING (enrolment_id)),
    {_DETAILS} ORDER BY sorted_by {way}, enrolment_id {way}""")  # noqa: S608 our own words


_SORTED_PAGES = {
    (order, descending): _sorted_page(order, descending=descending)
    for order in _SORTED_BY
    for descending in (False, True)
}
