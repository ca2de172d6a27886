import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import text

from services.enrolment.rules.enrolments import Enrolment, Place
from services.enrolment.store.enrolments import enrolment_of, read
from shared.database import Row, Transaction


async def first_waiting(tx: Transaction, wanted: Mapping[UUID, tuple[int, bool]]) -> Iterable[Enrolment]:
    """``wanted`` has the number by session, and whether agents in groups count."""
    wanted = {session_id: value for session_id, value in wanted.items() if value[0]}
    if not wanted:
        return ()
    return await read(
        tx,
        _FIRST_WAITING,
        sessions=list(wanted),
        numbers=[number for number, _ in wanted.values()],
        in_groups=[in_groups for _, in_groups in wanted.values()],
    )


async def waiting_together(tx: Transaction, groups: Collection[tuple[UUID, int]]) -> Iterable[Enrolment]:
    if not groups:
        return ()
    return await read(
        tx,
        _WAITING_TOGETHER,
        sessions=[session_id for session_id, _ in groups],
        tickets=[ticket for _, ticket in groups],
    )


@dataclass(frozen=True, slots=True)
class LineSearch:
    """A search of a waiting list for the first agents who may be seated, if seats count by employer.

    It finds ``number`` enrolments of ``delegation``; if that is empty, of all delegations not in
    ``reserved``. ``room`` is how many agents of an authority may be seated, by SIRET; other authorities have
    ``quota`` (None: no limit). It looks at the first ``within`` of the ``waiting`` places.
    """

    session_id: UUID
    delegation: str
    reserved: Sequence[str]
    number: int
    quota: int | None
    room: Mapping[str, int]
    within: int
    waiting: int

    @property
    def parameters(self) -> Mapping[str, Any]:
        return {
            "session": str(self.session_id),
            "of_delegation": self.delegation,
            "reserved": dict.fromkeys(self.reserved, ""),
            "number": self.number,
            "quota": self.quota,
            "room": self.room,
            "within": self.within,
        }

    def is_cut_short(self, found: int) -> bool:
        """Return whether more agents may be found further back in the line."""
        return self.quota is not None and found < self.number and self.within < self.waiting


async def first_who_may_be_seated(tx: Transaction, searches: Sequence[LineSearch]) -> list[Enrolment]:
    found = await _search(tx, searches)
    # Rare: many agents of an authority with few seats left are first in line.
    cut_short = [
        search for search, rows in zip(searches, found, strict=True) if search.is_cut_short(len(rows))
    ]
    whole = await _search(tx, [replace(search, within=search.waiting) for search in cut_short])
    complete = [
        rows for search, rows in zip(searches, found, strict=True) if not search.is_cut_short(len(rows))
    ]
    return [enrolment_of(row) for rows in (*complete, *whole) for row in rows]


async def _search(tx: Transaction, searches: Sequence[LineSearch]) -> list[list[Row]]:
    found: list[list[Row]] = [[] for _ in searches]
    if searches:
        parameters = [{"search": number, **search.parameters} for number, search in enumerate(searches)]
        for row in await tx.execute(_FIRST_WHO_MAY_BE_SEATED, {"searches": json.dumps(parameters)}):
            found[row.search].append(row)
    return found


async def places_in_line(
    tx: Transaction, places_from: Mapping[UUID, Place]
) -> Mapping[UUID, Iterable[Place]]:
    if not places_from:
        return {}
    columns = {
        "sessions": list(places_from),
        "priorities": [-priority for priority, _ in places_from.values()],
        "tickets": [ticket for _, ticket in places_from.values()],
    }
    # Two arrays for each session: a hundred thousand rows would cost ten times as much.
    return {
        row.session_id: zip(row.priorities, row.tickets, strict=True)
        for row in await tx.execute(_PLACES_IN_LINE, columns)
    }


_FIRST_WAITING = text(
    "SELECT head.* "
    "FROM unnest(CAST(:sessions AS uuid[]), CAST(:numbers AS bigint[]), CAST(:in_groups AS boolean[])) "
    "AS wanted (id, number, in_groups), "
    "LATERAL (SELECT * FROM enrolment WHERE session_id = wanted.id AND state = 'waitlisted' "
    "AND (in_groups OR NOT waits_together) ORDER BY priority DESC, ticket LIMIT wanted.number) AS head"
)
_WAITING_TOGETHER = text(
    "SELECT enrolment.* FROM unnest(CAST(:sessions AS uuid[]), CAST(:tickets AS bigint[])) "
    "AS wanted (session_id, ticket) JOIN enrolment USING (session_id, ticket) "
    "WHERE state = 'waitlisted' AND waits_together ORDER BY session_id, ticket, enrolment_id"
)
# JSON objects, because a lookup by key is fast even in thousands of keys.
_FIRST_WHO_MAY_BE_SEATED = text(
    """
    SELECT wanted.search, enrolment.*
    FROM jsonb_to_recordset(CAST(:searches AS jsonb)) AS wanted (search integer, session uuid,
        of_delegation text, reserved jsonb, number bigint, quota bigint, room jsonb, within bigint),
    LATERAL (
        SELECT enrolment_id FROM (
            SELECT enrolment_id, priority, ticket, seats,
                row_number() OVER (PARTITION BY siret ORDER BY priority DESC, ticket) AS place
            FROM (
                SELECT enrolment_id, priority, ticket, siret, seats
                FROM enrolment,
                LATERAL (SELECT agent->'employer'->>'siret' AS siret) AS employer,
                LATERAL (
                    SELECT coalesce(CAST(wanted.room->>siret AS bigint), wanted.quota, wanted.number) AS seats
                ) AS authority
                WHERE session_id = wanted.session AND state = 'waitlisted' AND seats > 0
                AND NOT waits_together
                AND CASE wanted.of_delegation
                    WHEN '' THEN NOT jsonb_exists(wanted.reserved, agent->'employer'->>'delegation')
                    ELSE agent->'employer'->>'delegation' = wanted.of_delegation END
                ORDER BY priority DESC, ticket LIMIT wanted.within
            ) AS line
        ) AS of_authorities WHERE place <= seats ORDER BY priority DESC, ticket LIMIT wanted.number
    ) AS head JOIN enrolment USING (enrolment_id)
    """
)
# Not one comparison of rows: this way each part is a range of the index. No priority is below 0.
_PLACES_IN_LINE = text(
    "SELECT wanted.id AS session_id, priorities, tickets "
    "FROM unnest(CAST(:sessions AS uuid[]), CAST(:priorities AS integer[]), CAST(:tickets AS bigint[])) "
    "AS wanted (id, first_priority, first_ticket), "
    "LATERAL (SELECT array_agg(-priority) AS priorities, array_agg(ticket) AS tickets FROM ("
    "SELECT priority, ticket FROM enrolment WHERE session_id = wanted.id AND state = 'waitlisted' "
    "AND priority = first_priority AND ticket >= first_ticket UNION ALL "
    "SELECT priority, ticket FROM enrolment WHERE session_id = wanted.id AND state = 'waitlisted' "
    "AND priority < first_priority AND first_priority > 0) AS place) AS places WHERE tickets IS NOT NULL"
)
