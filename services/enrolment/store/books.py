"""Books of sessions: opened under lock, with all that the rules may come to need.

A batch costs a handful of statements, however many requests it holds. Sessions are locked in the order of
their ids, so that two batches never wait for each other in a circle.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from services.enrolment import tables
from services.enrolment.rules import (
    ApprovalDecision,
    Book,
    Enrolment,
    Line,
    Nomination,
    OfferAnswer,
    Policy,
    Request,
    Seats,
    State,
    Withdrawal,
    counts_by_employer,
)
from services.enrolment.store import facts
from services.enrolment.store import requests as kept
from services.enrolment.store.facts import Needs
from shared.database import Transaction, insert_many
from shared.events.catalogue import SessionState
from shared.events.enrolment import SessionOccupancyChanged
from shared.events.vocabulary import LATEST, ApprovalPolicy, Status


@dataclass(slots=True)
class Desk:
    """The books that a batch is about, what is asked of each, and what is asked of sessions unknown."""

    policy: Policy
    now: datetime
    books: dict[UUID, Book] = field(default_factory=dict)
    asked: dict[UUID, list[Request]] = field(default_factory=dict)
    without_session: list[Request] = field(default_factory=list)

    def by_book(self) -> Iterator[tuple[Book, list[Request]]]:
        """Each book with its requests, in the order of receipt."""
        for session_id, book in self.books.items():
            yield book, self.asked.get(session_id, [])

    def ask(self, requests: Iterable[Request], known: Collection[UUID]) -> None:
        """Sort requests by session."""
        for request in requests:
            if request.session_id in known:
                self.asked.setdefault(request.session_id, []).append(request)
            else:
                self.without_session.append(request)


async def open_books(tx: Transaction, asked: Sequence[Request], policy: Policy, now: datetime) -> Desk:
    """The books of the sessions that ``asked`` is about, locked, and those requests that are new.

    Requests that were waiting for one of these sessions come before those of this batch.
    """
    rows = await _lock_sessions(tx, {request.session_id for request in asked})
    fresh = await kept.unknown(tx, asked)
    desk = Desk(policy, now)
    desk.ask([*await kept.undecided(tx, list(rows)), *fresh], rows)
    await _fill(tx, desk, rows)
    return desk


async def open_books_of_undecided(tx: Transaction, policy: Policy, now: datetime) -> Desk:
    """The books of the sessions that are known now and that requests still wait for."""
    result = await tx.execute(_WAITED_FOR)
    rows = await _lock_sessions(tx, set(result.scalars()))
    desk = Desk(policy, now)
    desk.ask(await kept.undecided(tx, list(rows)), rows)
    await _fill(tx, desk, {key: row for key, row in rows.items() if key in desk.asked})
    return desk


async def sessions_due(tx: Transaction, over: datetime, now: datetime) -> list[UUID]:
    """Sessions for which the clock has something to do, at most a hundred.

    Offers and pending enrolments whose time was ``over``, reserved seats to release ``now``.
    """
    result = await tx.execute(_DUE, {"now": now, "over": over})
    return list(result.scalars())


async def open_due_book(
    tx: Transaction, session_id: UUID, over: datetime, policy: Policy, now: datetime
) -> Book | None:
    """The book of a session with what is over in it, locked; None: no such session."""
    rows = await _lock_sessions(tx, [session_id])
    desk = Desk(policy, now)
    for row in rows.values():
        needs = _needs(row, desk, None, {})
        needs.offers_until, needs.pending = over, True
        await _fill(tx, desk, rows, wanted=needs)
    return desk.books.get(session_id)


async def open_book(
    tx: Transaction,
    session_id: UUID,
    policy: Policy,
    now: datetime,
    *,
    needs: Needs,
    agent_ids: Collection[str],
) -> Book | None:
    """The book of one session, for an organiser, with what is known of these agents; None: no session."""
    rows = await _lock_sessions(tx, [session_id])
    desk = Desk(policy, now)
    asked_about = {(session_id, agent_id) for agent_id in agent_ids}
    await _fill(tx, desk, rows, wanted=needs, agents=asked_about)
    book = desk.books.get(session_id)
    if book is not None:
        enrolments = [one.enrolment_id for one in book.latest.values() if one.state.has_seat]
        for row in await facts.marks(tx, enrolments):
            book.marks.setdefault(row.enrolment_id, {})[row.module] = row.attendance
    return book


async def open_books_for_sessions(
    tx: Transaction,
    newest: Mapping[UUID, SessionState],
    policy: Policy,
    now: datetime,
    told: Mapping[UUID, SessionOccupancyChanged],
) -> Desk:
    """The books of the sessions that ``newest`` tells more of than we knew, locked; new ones are begun.

    A book of a session that is cancelled holds all its live enrolments; another holds its offers, and as much
    of the line as seats may be given away. Of sessions whose last occupancy that was ``told`` is not known
    any more, too.
    """
    inserted = await insert_many(
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
        then="ON CONFLICT (session_id) DO NOTHING RETURNING session_id",
    )
    # Of a session that is new there are none; of one whose row was lost, as many as there were.
    await tx.execute(_COUNT_ENROLMENTS, {"ids": list(inserted.scalars())})
    rows = {
        session_id: row
        for session_id, row in (await _lock_sessions(tx, newest)).items()
        if row.version < newest[session_id].version
        or (session_id in told and row.occupancy_version < told[session_id].version)
    }
    desk = Desk(policy, now)
    desk.ask(await kept.undecided(tx, list(rows)), rows)
    await _fill(tx, desk, rows, newest=newest)
    for session_id in desk.books.keys() & told.keys():
        desk.books[session_id].was_told(told[session_id])
    return desk


async def _lock_sessions(tx: Transaction, session_ids: Collection[UUID]) -> dict[UUID, Row[Any]]:
    if not session_ids:
        return {}
    result = await tx.execute(_LOCK_SESSIONS, {"ids": list(session_ids)})
    return {row.session_id: row for row in result}


async def _fill(
    tx: Transaction,
    desk: Desk,
    rows: Mapping[UUID, Row[Any]],
    *,
    newest: Mapping[UUID, SessionState] | None = None,
    wanted: Needs | None = None,
    agents: Collection[tuple[UUID, str]] = (),
) -> None:
    """Open a book per row, with what its requests, its newest state and the clock may come to need."""
    newest = newest or {}
    pairs = {
        *agents,
        *(
            (request.session_id, agent_id)
            for each in desk.asked.values()
            for request in each
            for agent_id in request.agent_ids
        ),
    }
    latest: dict[UUID, dict[str, Enrolment]] = {session_id: {} for session_id in rows}
    for enrolment in await facts.latest(tx, pairs):
        latest[enrolment.session_id][enrolment.agent.agent_id] = enrolment
    needs = {
        session_id: wanted or _needs(row, desk, newest.get(session_id), latest[session_id])
        for session_id, row in rows.items()
    }
    by_employer = [
        session_id for session_id, row in rows.items() if _counts_by_employer(row, newest.get(session_id))
    ]
    more = await facts.more(tx, needs)
    for enrolment in more:
        latest[enrolment.session_id][enrolment.agent.agent_id] = enrolment
        needs[enrolment.session_id].heads += (
            enrolment.state is State.OFFERED
        )  # it may be over: a seat is free
    lines = await facts.lines(tx, needs, by_employer)
    for session_id, row in rows.items():
        desk.books[session_id] = Book(
            session=facts.session_of(row),
            now=desk.now,
            policy=desk.policy,
            seats=_seats(row),
            line=Line(row.waiting, lines.get(session_id, ()), whole=needs[session_id].whole_line),
            next_ticket=row.next_ticket,
            occupancy_version=row.occupancy_version,
            latest=latest[session_id],
            is_begun=row.version == 0,
        )
    counted = [session_id for session_id in by_employer if rows[session_id].seats_by_employer is None]
    for session_id, employer, number in await facts.seats_by_employer(tx, counted):
        desk.books[session_id].seats.take(employer, number)
    if desk.policy.overlap_check and pairs:
        diary = await facts.diary(tx, {agent_id for _, agent_id in pairs})
        for book in desk.books.values():
            book.diary = diary


def _needs(row: Row[Any], desk: Desk, newest: SessionState | None, latest: Mapping[str, Enrolment]) -> Needs:
    """Each request frees a seat at most, or leaves the line: never both, so as many heads are enough."""
    needs = Needs()
    for request in desk.asked.get(row.session_id, ()):
        match request:
            case Withdrawal() | OfferAnswer(accepted=False):
                needs.heads += 1
            case ApprovalDecision(granted=True):
                pending = latest.get(request.agent_id)
                needs.whole_line |= pending is not None and pending.state is State.PENDING_APPROVAL
            case Nomination():
                needs.whole_line = needs.everybody = True
    released = row.next_release_at is not None and row.next_release_at <= desk.now
    if newest is not None:
        needs.offers_until = LATEST
        needs.everybody |= newest.status is Status.CANCELLED
        if newest.approval is not facts.session_of(row).approval:
            needs.whole_line = needs.everybody = True
        if row.version == 0 and newest.approval is ApprovalPolicy.NONE:
            needs.whole_line = needs.pending = True
    if newest is not None or released:
        capacity = facts.session_of(row).capacity if newest is None else newest.capacity
        free = row.waiting if capacity is None else capacity - row.enrolled - row.offered
        needs.heads += max(0, free)
    return needs


def _seats(row: Row[Any]) -> Seats:
    seats = Seats(row.enrolled, row.offered)
    if row.seats_by_employer is not None:
        seats.by_delegation.update(row.seats_by_employer["delegation"])
        seats.by_siret.update(row.seats_by_employer["siret"])
    return seats


def _counts_by_employer(row: Row[Any], newest: SessionState | None) -> bool:
    return counts_by_employer(facts.session_of(row)) or (newest is not None and counts_by_employer(newest))


_LOCK_SESSIONS = text(
    "SELECT * FROM session WHERE session_id = ANY(CAST(:ids AS uuid[])) ORDER BY session_id FOR UPDATE"
)
_COUNT_ENROLMENTS = text(
    f"""
    UPDATE session SET enrolled = counted.enrolled, offered = counted.offered, waiting = counted.waiting,
        next_ticket = counted.next_ticket, seat_ceiling = CASE WHEN seat_ceiling IS NOT NULL
            THEN greatest(seat_ceiling, counted.enrolled + counted.offered) END
    FROM ({facts.COUNTED} WHERE session_id = ANY(CAST(:ids AS uuid[])) GROUP BY session_id) AS counted
    WHERE session.session_id = counted.session_id
    """  # noqa: S608 our own words
)
_WAITED_FOR = text(
    "SELECT DISTINCT session_id FROM request JOIN session USING (session_id) WHERE decided_at IS NULL"
)
_DUE = text(
    "(SELECT session_id FROM enrolment WHERE state = 'offered' AND hold_until <= :over LIMIT 100) "
    "UNION (SELECT session_id FROM session WHERE next_release_at <= :now LIMIT 100) "
    "UNION (SELECT DISTINCT session_id FROM enrolment JOIN session USING (session_id) "
    "WHERE enrolment.state IN ('pending_approval', 'pending_selection') AND CASE enrolment.state "
    "WHEN 'pending_approval' THEN enrolment_closes_at "
    "ELSE CAST(session.state->>'ends_at' AS timestamptz) END <= :over LIMIT 100) LIMIT 100"
)
