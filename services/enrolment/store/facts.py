"""Facts of sessions, as the rules want them: seats, lines, enrolments, offers, where agents are expected."""

import functools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from services.enrolment.rules import Diary, Enrolment, State
from shared.database import Transaction
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Agent, Employer, Reason

LIVE = [state.value for state in State if state.is_live]
HOLDING = [state.value for state in State if state.holds_seat]


@dataclass(slots=True)
class Needs:
    """What of a session a book must hold, beside the enrolments that its requests are about.

    ``heads``: how many seats may become free, so how many of the line may be next. ``offers_until``: the
    offers that end by then. ``pending``: who waits for an approval that is overdue.
    """

    heads: int = 0
    whole_line: bool = False
    everybody: bool = False
    offers_until: datetime | None = None
    pending: bool = False


@functools.lru_cache(maxsize=4096)
def _session(_session_id: UUID, _version: int, state: "_Uncompared") -> SessionState:
    return SessionState.model_validate(state.value)


@dataclass(frozen=True, slots=True)
class _Uncompared:
    """What a cache should not look at: the id and the version say it all."""

    value: Any = field(compare=False)


def session_of(row: Row[Any]) -> SessionState:
    """The state in a row of ``session``."""
    if row.version == 0:  # begun in this transaction, which may yet come to nothing
        return SessionState.model_validate(row.state)
    return _session(row.session_id, row.version, _Uncompared(row.state))


async def lines(
    tx: Transaction, needs: Mapping[UUID, Needs], by_employer: Collection[UUID]
) -> dict[UUID, list[Enrolment]]:
    """Of each waiting list those that may be next.

    Where it matters for whom somebody works, the first of a line may have to wait for the second: then as
    many of each employer as seats may become free.
    """
    found: dict[UUID, list[Enrolment]] = {}
    plain = {key: one.heads for key, one in needs.items() if key not in by_employer and not one.whole_line}
    mixed = {key: one.heads for key, one in needs.items() if key in by_employer and not one.whole_line}
    whole = dict.fromkeys((key for key, one in needs.items() if one.whole_line), 2**31)
    for statement, wanted in ((_LINE, plain | whole), (_LINE_BY_EMPLOYER, mixed)):
        heads = {session_id: number for session_id, number in wanted.items() if number}
        if heads:
            result = await tx.execute(statement, {"sessions": list(heads), "heads": list(heads.values())})
            for row in result:
                found.setdefault(row.session_id, []).append(enrolment_from(row))
    return found


async def seats_by_employer(
    tx: Transaction, session_ids: Sequence[UUID]
) -> Iterator[tuple[UUID, Employer, int]]:
    """How many seats of each session the agents of each authority have, or are offered."""
    if not session_ids:
        return iter(())
    result = await tx.execute(_SEATS_BY_EMPLOYER, {"ids": list(session_ids), "holding": HOLDING})
    return (
        (
            row.session_id,
            Employer.model_construct(siret=row.siret, name="", delegation=row.delegation),
            row.number,
        )
        for row in result
    )


async def latest(tx: Transaction, pairs: Collection[tuple[UUID, str]]) -> list[Enrolment]:
    """Of each session and agent the live enrolment, or else the last that ended."""
    if not pairs:
        return []
    session_ids, agent_ids = zip(*pairs, strict=True)
    result = await tx.execute(
        _LATEST, {"sessions": list(session_ids), "agents": list(agent_ids), "live": LIVE}
    )
    return [enrolment_from(row) for row in result]


async def more(tx: Transaction, needs: Mapping[UUID, Needs]) -> list[Enrolment]:
    """Live enrolments that no request is about: of everybody, or offers that may be over."""
    everybody = [session_id for session_id, one in needs.items() if one.everybody]
    pending = [session_id for session_id, one in needs.items() if one.pending and not one.everybody]
    offers = {
        session_id: one.offers_until
        for session_id, one in needs.items()
        if one.offers_until is not None and not one.everybody
    }
    found: list[Enrolment] = []
    if everybody:
        result = await tx.execute(_LIVE, {"ids": everybody, "live": LIVE})
        found += [enrolment_from(row) for row in result]
    if pending:
        result = await tx.execute(_PENDING, {"ids": pending})
        found += [enrolment_from(row) for row in result]
    if offers:
        result = await tx.execute(_OFFERS, {"ids": list(offers), "until": list(offers.values())})
        found += [enrolment_from(row) for row in result]
    return found


async def marks(tx: Transaction, enrolment_ids: Sequence[UUID]) -> Sequence[Row[Any]]:
    """What was seen of the agents of these enrolments: enrolment, module, attendance."""
    if not enrolment_ids:
        return []
    result = await tx.execute(_MARKS, {"ids": list(enrolment_ids)})
    return result.all()


async def diary(tx: Transaction, agent_ids: Collection[str]) -> Diary:
    """Where these agents are expected. They are locked, so that no other session enrols them meanwhile."""
    await tx.execute(_LOCK_AGENTS, {"agents": sorted(agent_ids)})
    result = await tx.execute(_EXPECTED, {"agents": list(agent_ids), "live": LIVE})
    expected = Diary()
    for row in result:
        expected.write(row.agent_id, session_of(row))
    return expected


def enrolment_from(row: Row[Any]) -> Enrolment:
    """An enrolment from its row."""
    return Enrolment(
        enrolment_id=row.enrolment_id,
        version=row.version,
        session_id=row.session_id,
        agent=Agent.model_validate(row.agent),
        state=State(row.state),
        reason=Reason(row.reason) if row.reason else None,
        ticket=row.ticket,
        request_id=row.request_id,
        received_at=row.received_at,
        hold_until=row.hold_until,
        priority=row.priority,
    )


_SEATED_SQL = ", ".join(f"'{state}'" for state in State if state.has_seat)
COUNTED = (
    f"SELECT session_id, CAST(count(*) FILTER (WHERE state IN ({_SEATED_SQL})) AS integer) AS enrolled, "  # noqa: S608
    "CAST(count(*) FILTER (WHERE state = 'offered') AS integer) AS offered, "
    "CAST(count(*) FILTER (WHERE state = 'waitlisted') AS integer) AS waiting, "
    "coalesce(max(ticket), 0) + 1 AS next_ticket FROM enrolment"
)
"""The counts in a row of ``session``, from its enrolments: to be narrowed and grouped."""

_LATEST = text(
    "SELECT DISTINCT ON (session_id, agent_id) enrolment.* "
    "FROM unnest(CAST(:sessions AS uuid[]), CAST(:agents AS text[])) AS asked (session_id, agent_id) "
    "JOIN enrolment USING (session_id, agent_id) "
    "ORDER BY session_id, agent_id, (state = ANY(CAST(:live AS text[]))) DESC, updated_at DESC, "
    "ticket DESC NULLS LAST"
)
_LINE = text(
    "SELECT head.* FROM unnest(CAST(:sessions AS uuid[]), CAST(:heads AS bigint[])) AS wanted (id, heads), "
    "LATERAL (SELECT * FROM enrolment WHERE session_id = wanted.id AND state = 'waitlisted' "
    "ORDER BY priority DESC, ticket LIMIT wanted.heads) AS head"
)
_LINE_BY_EMPLOYER = text(
    "SELECT * FROM (SELECT enrolment.*, wanted.heads, row_number() OVER (PARTITION BY session_id, "
    "agent->'employer'->>'delegation', agent->'employer'->>'siret' ORDER BY priority DESC, ticket) AS place "
    "FROM unnest(CAST(:sessions AS uuid[]), CAST(:heads AS bigint[])) AS wanted (id, heads) "
    "JOIN enrolment ON session_id = wanted.id AND state = 'waitlisted') AS line WHERE place <= heads"
)
_SEATS_BY_EMPLOYER = text(
    "SELECT session_id, agent->'employer'->>'siret' AS siret, "
    "agent->'employer'->>'delegation' AS delegation, count(*) AS number FROM enrolment "
    "WHERE session_id = ANY(CAST(:ids AS uuid[])) AND state = ANY(CAST(:holding AS text[])) GROUP BY 1, 2, 3"
)
_LIVE = text(
    "SELECT * FROM enrolment WHERE session_id = ANY(CAST(:ids AS uuid[])) "
    "AND state = ANY(CAST(:live AS text[])) ORDER BY session_id, ticket"
)
_PENDING = text(
    "SELECT * FROM enrolment WHERE session_id = ANY(CAST(:ids AS uuid[])) "
    "AND state IN ('pending_approval', 'pending_selection')"
)
_OFFERS = text(
    "SELECT enrolment.* "
    "FROM unnest(CAST(:ids AS uuid[]), CAST(:until AS timestamptz[])) AS wanted (id, until) "
    "JOIN enrolment ON session_id = wanted.id AND state = 'offered' AND hold_until <= wanted.until"
)
_MARKS = text(
    "SELECT enrolment_id, module, attendance FROM attendance WHERE enrolment_id = ANY(CAST(:ids AS uuid[]))"
)
_LOCK_AGENTS = text(
    "SELECT pg_advisory_xact_lock(hashtextextended(agent_id, 0)) "
    "FROM (SELECT unnest(CAST(:agents AS text[])) AS agent_id ORDER BY 1) AS agents"
)
_EXPECTED = text(
    "SELECT enrolment.agent_id, session.* FROM enrolment JOIN session USING (session_id) "
    "WHERE agent_id = ANY(CAST(:agents AS text[])) AND enrolment.state = ANY(CAST(:live AS text[]))"
)
