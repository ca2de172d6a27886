"""Every query of the enrolment service: opens the books of sessions, under lock, and writes them back.

A batch costs a handful of statements, however many requests it holds. Sessions are locked in the order of
their ids, so that two batches never wait for each other in a circle.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import Row, text

from services.enrolment import tables
from services.enrolment.rules import (
    Answer,
    Book,
    Enrolment,
    Request,
    SeatRequest,
    State,
    Withdrawal,
    refusal,
    refused,
)
from shared.database import Transaction, insert_many
from shared.events.catalogue import SessionState
from shared.events.portal import EnrolmentRequested, WithdrawalRequested
from shared.events.vocabulary import Agent, Reason
from shared.messaging.decoding import Received
from shared.messaging.outbox import Caused, Outbox

outbox = Outbox("enrolment")

LIVE = [state.value for state in State if state.is_live]


@dataclass(slots=True)
class Desk:
    """The books that a batch is about, what is asked of each, and what is asked of sessions unknown."""

    books: dict[UUID, Book] = field(default_factory=dict)
    asked: dict[UUID, list[Request]] = field(default_factory=dict)
    without_session: list[Request] = field(default_factory=list)

    def by_book(self) -> Iterator[tuple[Book, list[Request]]]:
        """Each book with its requests, in the order of receipt."""
        for session_id, book in self.books.items():
            yield book, self.asked.get(session_id, [])


def request_of(received: Received[EnrolmentRequested | WithdrawalRequested]) -> Request:
    """The request that an event makes, as the rules want it."""
    return _request(received.event, received.id, received.received_at, received.envelope.traceparent)


def _request(
    event: EnrolmentRequested | WithdrawalRequested,
    request_id: UUID,
    received_at: datetime,
    traceparent: str | None,
) -> Request:
    if isinstance(event, WithdrawalRequested):
        return Withdrawal(
            request_id, received_at, event.session_id, event.agent_id, event.reason, traceparent
        )
    return SeatRequest(
        request_id, received_at, event.session_id, event.agent, event.approval is not None, traceparent
    )


# ------------------------------------------------------------------------------------- opening books


async def open_books(tx: Transaction, asked: Sequence[Request]) -> Desk:
    """The books of the sessions that ``asked`` is about, locked.

    Requests that were waiting for one of these sessions come before those of this batch.
    """
    rows = await _lock_sessions(tx, {request.session_id for request in asked})
    earlier = await _undecided(tx, list(rows))
    desk = Desk()
    for request in (*earlier, *asked):
        if request.session_id in rows:
            desk.asked.setdefault(request.session_id, []).append(request)
        else:
            desk.without_session.append(request)
    await _fill(tx, desk, rows)
    return desk


async def open_books_of_undecided(tx: Transaction) -> Desk:
    """The books of the sessions that are known now and that requests still wait for."""
    result = await tx.execute(
        text(
            "SELECT DISTINCT session_id FROM request JOIN session USING (session_id) WHERE decided_at IS NULL"
        )
    )
    session_ids = set(result.scalars())
    rows = await _lock_sessions(tx, session_ids)
    desk = Desk()
    for request in await _undecided(tx, list(rows)):
        desk.asked.setdefault(request.session_id, []).append(request)
    await _fill(tx, desk, {key: row for key, row in rows.items() if key in desk.asked})
    return desk


async def open_books_for_sessions(tx: Transaction, newest: Mapping[UUID, SessionState]) -> Desk:
    """The books of the sessions that ``newest`` tells more of than we knew, locked; new ones are begun.

    A book of a session that is cancelled holds all its live enrolments; another holds as much of the line
    as seats may be given away.
    """
    await insert_many(
        tx,
        tables.session,
        [
            {
                "session_id": session_id,
                "version": 0,
                "state": state.model_dump_json(),
                "enrolled": 0,
                "offered": 0,
                "waiting": 0,
                "seat_ceiling": state.capacity,
                "next_ticket": 1,
                "occupancy_version": 0,
            }
            for session_id, state in sorted(newest.items())
        ],
        then="ON CONFLICT (session_id) DO NOTHING",
    )
    rows = {
        session_id: row
        for session_id, row in (await _lock_sessions(tx, newest)).items()
        if row.version < newest[session_id].version
    }
    desk = Desk()
    for request in await _undecided(tx, list(rows)):
        desk.asked.setdefault(request.session_id, []).append(request)
    await _fill(tx, desk, rows, newest)
    return desk


async def _lock_sessions(tx: Transaction, session_ids: Collection[UUID]) -> dict[UUID, Row[Any]]:
    if not session_ids:
        return {}
    result = await tx.execute(_LOCK_SESSIONS, {"ids": list(session_ids)})
    return {row.session_id: row for row in result}


async def _undecided(tx: Transaction, session_ids: list[UUID]) -> list[Request]:
    """Requests that wait for these sessions, in the order in which they came, locked."""
    if not session_ids:
        return []
    result = await tx.execute(_UNDECIDED, {"ids": session_ids})
    return [_request_from(row) for row in result]


async def _fill(
    tx: Transaction,
    desk: Desk,
    rows: Mapping[UUID, Row[Any]],
    newest: Mapping[UUID, SessionState] | None = None,
) -> None:
    """Open a book per row: with the enrolments its requests are about, and the head of its line."""
    for session_id, row in rows.items():
        desk.books[session_id] = Book(
            session=SessionState.model_validate(row.state),
            enrolled=row.enrolled,
            offered=row.offered,
            waiting=row.waiting,
            next_ticket=row.next_ticket,
            occupancy_version=row.occupancy_version,
        )
    pairs = {(request.session_id, request.agent_id) for each in desk.asked.values() for request in each}
    for enrolment in await _latest(tx, pairs):
        desk.books[enrolment.session_id].latest[enrolment.agent.agent_id] = enrolment
    heads = {session_id: _seats_that_may_free(desk.asked.get(session_id, ())) for session_id in rows}
    for session_id, state in (newest or {}).items():
        if session_id in heads:
            row = rows[session_id]
            free = row.waiting if state.capacity is None else state.capacity - row.enrolled - row.offered
            heads[session_id] += max(0, free)
    for enrolment in await _line(tx, heads):
        desk.books[enrolment.session_id].line[enrolment.agent.agent_id] = enrolment
    cancelled = [key for key, state in (newest or {}).items() if key in rows and state.status == "cancelled"]
    for enrolment in await _live(tx, cancelled):
        desk.books[enrolment.session_id].latest[enrolment.agent.agent_id] = enrolment


def _seats_that_may_free(requests: Iterable[Request]) -> int:
    """Each withdrawal frees a seat or leaves the line: never both, so as many heads are enough."""
    return sum(isinstance(request, Withdrawal) for request in requests)


async def _latest(tx: Transaction, pairs: Collection[tuple[UUID, str]]) -> list[Enrolment]:
    """Of each session and agent the live enrolment, or else the last that ended."""
    if not pairs:
        return []
    session_ids, agent_ids = zip(*pairs, strict=True)
    result = await tx.execute(
        _LATEST, {"sessions": list(session_ids), "agents": list(agent_ids), "live": LIVE}
    )
    return [_enrolment_from(row) for row in result]


async def _line(tx: Transaction, heads: Mapping[UUID, int]) -> list[Enrolment]:
    """The first of each waiting list, in order; ``heads`` says how many of each."""
    wanted = {session_id: number for session_id, number in heads.items() if number}
    if not wanted:
        return []
    result = await tx.execute(_LINE, {"sessions": list(wanted), "heads": list(wanted.values())})
    return [_enrolment_from(row) for row in result]


async def _live(tx: Transaction, session_ids: list[UUID]) -> list[Enrolment]:
    if not session_ids:
        return []
    result = await tx.execute(_LIVE, {"ids": session_ids, "live": LIVE})
    return [_enrolment_from(row) for row in result]


# ------------------------------------------------------------------------------------- writing back


async def save(tx: Transaction, books: Iterable[Book], now: datetime) -> None:
    """Write back what was decided: enrolments, seats, answers and events, in one statement each."""
    books = list(books)
    if not books:
        return
    await _save_enrolments(tx, [one for book in books for one in book.changed.values()], now)
    await _save_answers(tx, [answer for book in books for answer in book.answers], now)
    occupancies = [event for book in books if (event := book.occupancy()) is not None]
    await _save_sessions(tx, books)
    decisions = [Caused(decision, trace) for book in books for decision, trace in book.decisions]
    await outbox.publish(tx, [*decisions, *occupancies])


async def keep_for_later(tx: Transaction, requests: Sequence[Request]) -> None:
    """Keep requests whose session is unknown until it comes, or patience ends."""
    if requests:
        await insert_many(tx, tables.request, [_undecided_row(request) for request in requests])


async def undecided_since(tx: Transaction, moment: datetime) -> list[Request]:
    """Requests that have waited since before ``moment`` for a session that is still unknown, locked."""
    result = await tx.execute(_WAITED, {"moment": moment})
    return [_request_from(row) for row in result]


async def save_refusals(tx: Transaction, requests: Sequence[Request], reason: Reason, now: datetime) -> None:
    """Refuse requests that no book could answer. A withdrawal has nobody who could be told by event."""
    enrolments = [refused(request, reason) for request in requests if isinstance(request, SeatRequest)]
    await _save_enrolments(tx, enrolments, now)
    await _save_answers(tx, [Answer(request, State.REFUSED, reason) for request in requests], now)
    traces = {request.request_id: request.traceparent for request in requests}
    await outbox.publish(tx, [Caused(refusal(one), traces[one.request_id]) for one in enrolments])


async def request_outcome(tx: Transaction, request_id: UUID) -> Row[Any] | None:
    """The row of one request, or None."""
    result = await tx.execute(
        text(
            "SELECT request_id, received_at, decided_at, outcome, reason FROM request WHERE request_id = :id"
        ),
        {"id": request_id},
    )
    return result.one_or_none()


async def _save_enrolments(tx: Transaction, enrolments: Sequence[Enrolment], now: datetime) -> None:
    if not enrolments:
        return
    # In the order of change: an enrolment that ends is written before the one that takes its place.
    rows = [
        {
            "enrolment_id": one.enrolment_id,
            "version": one.version,
            "session_id": one.session_id,
            "agent_id": one.agent.agent_id,
            "agent": one.agent.model_dump_json(),
            "state": one.state.value,
            "reason": one.reason,
            "ticket": one.ticket,
            "request_id": one.request_id,
            "received_at": one.received_at,
            "updated_at": now,
        }
        for one in enrolments
    ]
    await insert_many(
        tx,
        tables.enrolment,
        rows,
        then="ON CONFLICT (enrolment_id) DO UPDATE SET version = excluded.version, "
        "state = excluded.state, updated_at = excluded.updated_at",
    )


async def _save_answers(tx: Transaction, answers: Sequence[Answer], now: datetime) -> None:
    if not answers:
        return
    rows = [
        {
            "request_id": answer.request.request_id,
            "session_id": answer.request.session_id,
            "agent_id": answer.request.agent_id,
            "received_at": answer.request.received_at,
            "decided_at": now,
            "outcome": answer.outcome.value,
            "reason": answer.reason,
        }
        for answer in answers
    ]
    await insert_many(
        tx,
        tables.request,
        rows,
        # One that waited for its session has a row already; what was asked is not kept once answered.
        then="ON CONFLICT (request_id) DO UPDATE SET decided_at = excluded.decided_at, "
        "outcome = excluded.outcome, reason = excluded.reason, asked = NULL",
    )


async def _save_sessions(tx: Transaction, books: Sequence[Book]) -> None:
    columns = {
        "session_id": [book.session.session_id for book in books],
        "version": [book.session.version for book in books],
        "state": [book.session.model_dump_json() for book in books],
        "capacity": [book.session.capacity for book in books],
        "enrolled": [book.enrolled for book in books],
        "offered": [book.offered for book in books],
        "waiting": [book.waiting for book in books],
        "next_ticket": [book.next_ticket for book in books],
        "occupancy_version": [book.occupancy_version for book in books],
    }
    await tx.execute(_SAVE_SESSIONS, columns)


# ------------------------------------------------------------------------------------- rows and rules


_request_json: TypeAdapter[Request] = TypeAdapter(Request)


def _undecided_row(request: Request) -> dict[str, Any]:
    return {
        "request_id": request.request_id,
        "session_id": request.session_id,
        "agent_id": request.agent_id,
        "received_at": request.received_at,
        "asked": _request_json.dump_json(request).decode(),
    }


def _request_from(row: Row[Any]) -> Request:
    return _request_json.validate_python(row.asked)


def _enrolment_from(row: Row[Any]) -> Enrolment:
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
    )


# ------------------------------------------------------------------------------------- statements


_LOCK_SESSIONS = text(
    "SELECT * FROM session WHERE session_id = ANY(CAST(:ids AS uuid[])) ORDER BY session_id FOR UPDATE"
)
_UNDECIDED = text(
    "SELECT * FROM request WHERE session_id = ANY(CAST(:ids AS uuid[])) AND decided_at IS NULL "
    "ORDER BY number FOR UPDATE"
)
_WAITED = text(
    "SELECT * FROM request WHERE decided_at IS NULL AND created_at < :moment "
    "AND NOT EXISTS (SELECT FROM session WHERE session.session_id = request.session_id) "
    "ORDER BY number LIMIT 5000 FOR UPDATE SKIP LOCKED"
)
_LATEST = text(
    "SELECT DISTINCT ON (session_id, agent_id) enrolment.* "
    "FROM unnest(CAST(:sessions AS uuid[]), CAST(:agents AS text[])) AS asked (session_id, agent_id) "
    "JOIN enrolment USING (session_id, agent_id) "
    "ORDER BY session_id, agent_id, (state = ANY(CAST(:live AS text[]))) DESC, updated_at DESC"
)
_LINE = text(
    "SELECT head.* FROM unnest(CAST(:sessions AS uuid[]), CAST(:heads AS bigint[])) AS wanted (id, heads), "
    "LATERAL (SELECT * FROM enrolment WHERE session_id = wanted.id AND state = 'waitlisted' "
    "ORDER BY ticket LIMIT wanted.heads) AS head ORDER BY head.session_id, head.ticket"
)
_LIVE = text(
    "SELECT * FROM enrolment WHERE session_id = ANY(CAST(:ids AS uuid[])) "
    "AND state = ANY(CAST(:live AS text[])) ORDER BY session_id, ticket"
)
_SAVE_SESSIONS = text(
    """
    UPDATE session SET version = new.version, state = new.state, enrolled = new.enrolled,
        offered = new.offered, waiting = new.waiting, next_ticket = new.next_ticket,
        occupancy_version = new.occupancy_version,
        -- Seats may stay above a lowered capacity, but only those that were taken then: as they are left,
        -- the ceiling comes down with them, and the CHECK refuses any that are added.
        seat_ceiling = CASE WHEN new.capacity IS NULL THEN NULL
            ELSE greatest(new.capacity, least(session.seat_ceiling, new.enrolled + new.offered)) END
    FROM unnest(CAST(:session_id AS uuid[]), CAST(:version AS integer[]), CAST(:state AS jsonb[]),
        CAST(:capacity AS integer[]), CAST(:enrolled AS integer[]), CAST(:offered AS integer[]),
        CAST(:waiting AS integer[]), CAST(:next_ticket AS bigint[]), CAST(:occupancy_version AS integer[]))
        AS new (session_id, version, state, capacity, enrolled, offered, waiting, next_ticket,
            occupancy_version)
    WHERE session.session_id = new.session_id
    """
)
