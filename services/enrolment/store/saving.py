"""Books written back: enrolments, seats, answers and events, each in one statement for the whole batch."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import text

from services.enrolment import tables
from services.enrolment.rules import (
    Answer,
    AsksForSeats,
    Book,
    Enrolment,
    Request,
    State,
    counts_by_employer,
    next_release,
    refusal,
    refused,
)
from services.enrolment.store import requests as kept
from shared.database import Transaction, insert_columns, insert_many, once
from shared.events.vocabulary import Reason
from shared.messaging.outbox import Caused, Outbox

outbox = Outbox("enrolment")


async def save(tx: Transaction, books: Iterable[Book]) -> None:
    """Write back what was decided: enrolments, seats, answers and events, in one statement each."""
    books = list(books)
    if not books:
        return
    now = books[0].now
    await _save_enrolments(tx, [one for book in books for one in book.changed.values()], now)
    await kept.save_answers(tx, [answer for book in books for answer in book.answers], now)
    await _save_changes(tx, books)
    occupancies = [event for book in books if (event := book.occupancy()) is not None]
    await _save_sessions(tx, books)
    decisions = [Caused(decision, trace) for book in books for decision, trace in book.decisions]
    await outbox.publish(tx, [*decisions, *occupancies])


async def save_refusals(tx: Transaction, requests: Sequence[Request], reason: Reason, now: datetime) -> None:
    """Refuse requests that no book could answer; without an agent's name there is nobody to tell by event."""
    asking = [
        (request, agent)
        for request in requests
        if isinstance(request, AsksForSeats)
        for agent in request.asked_for
    ]
    enrolments = [refused(request, agent, reason) for request, agent in asking]
    await _save_enrolments(tx, enrolments, now)
    await kept.save_answers(tx, [Answer(request, State.REFUSED, reason, {}) for request in requests], now)
    traces = {request.request_id: request.traceparent for request in requests}
    await outbox.publish(
        tx, [Caused(refusal(one, one.request_id), traces[one.request_id]) for one in enrolments]
    )


async def _save_enrolments(tx: Transaction, enrolments: Sequence[Enrolment], now: datetime) -> None:
    if not enrolments:
        return
    # In the order of change: an enrolment that ends is written before the one that takes its place.
    await insert_columns(
        tx,
        tables.enrolment,
        {
            "enrolment_id": [one.enrolment_id for one in enrolments],
            "version": [one.version for one in enrolments],
            "session_id": [one.session_id for one in enrolments],
            "agent_id": [one.agent.agent_id for one in enrolments],
            "agent": [one.agent.model_dump_json() for one in enrolments],
            "state": [one.state.value for one in enrolments],
            "reason": once([one.reason for one in enrolments]),
            "ticket": [one.ticket for one in enrolments],
            "priority": once([one.priority for one in enrolments]),
            "hold_until": once([one.hold_until for one in enrolments]),
            "request_id": [one.request_id for one in enrolments],
            "received_at": [one.received_at for one in enrolments],
            "updated_at": now,
        },
        then="ON CONFLICT (enrolment_id) DO UPDATE SET version = excluded.version, "
        "state = excluded.state, reason = excluded.reason, ticket = excluded.ticket, "
        "priority = excluded.priority, hold_until = excluded.hold_until, updated_at = excluded.updated_at",
    )


async def _save_changes(tx: Transaction, books: Sequence[Book]) -> None:
    changes = [
        {
            "enrolment_id": change.enrolment.enrolment_id,
            "version": change.enrolment.version,
            "session_id": change.enrolment.session_id,
            "agent_id": change.enrolment.agent.agent_id,
            "at": book.now,
            "state": change.enrolment.state.value,
            "cause": change.cause.value,
            "request_id": change.request_id,
            "facts": json.dumps(change.facts),
        }
        for book in books
        for change in book.changes
    ]
    if changes:
        await insert_many(tx, tables.enrolment_change, changes)
    marks = [
        {
            "enrolment_id": enrolment_id,
            "module": module,
            "attendance": attendance,
            "recorded_at": book.now,
        }
        for book in books
        for (enrolment_id, module), attendance in book.marked.items()
    ]
    if marks:
        await insert_many(
            tx,
            tables.attendance,
            marks,
            then="ON CONFLICT (enrolment_id, module) DO UPDATE SET attendance = excluded.attendance, "
            "recorded_at = excluded.recorded_at",
        )


async def _save_sessions(tx: Transaction, books: Sequence[Book]) -> None:
    columns = {
        "session_id": [book.session.session_id for book in books],
        "version": [book.session.version for book in books],
        "state": [book.session.model_dump_json() if book.session_is_new else None for book in books],
        "capacity": [book.session.capacity for book in books],
        "enrolled": [book.seats.enrolled for book in books],
        "offered": [book.seats.offered for book in books],
        "waiting": [len(book.line) for book in books],
        "next_ticket": [book.next_ticket for book in books],
        "occupancy_version": [book.occupancy_version for book in books],
        "enrolment_closes_at": [book.session.enrolment_closes_at for book in books],
        "next_release_at": [next_release(book.session, book.now) for book in books],
        "seats_by_employer": [
            json.dumps(book.seats.by_employer()) if counts_by_employer(book.session) else None
            for book in books
        ],
    }
    await tx.execute(_SAVE_SESSIONS, columns)


_SAVE_SESSIONS = text(
    """
    UPDATE session SET version = new.version, state = coalesce(new.state, session.state),
        enrolled = new.enrolled, offered = new.offered, waiting = new.waiting, next_ticket = new.next_ticket,
        occupancy_version = new.occupancy_version, enrolment_closes_at = new.enrolment_closes_at,
        next_release_at = new.next_release_at, seats_by_employer = new.seats_by_employer,
        -- Seats may stay above a lowered capacity, but only those that were taken then: as they are left,
        -- the ceiling comes down with them, and the CHECK refuses any that are added.
        seat_ceiling = CASE WHEN new.capacity IS NULL THEN NULL
            ELSE greatest(new.capacity, least(session.seat_ceiling, new.enrolled + new.offered)) END
    FROM unnest(CAST(:session_id AS uuid[]), CAST(:version AS integer[]), CAST(:state AS jsonb[]),
        CAST(:capacity AS integer[]), CAST(:enrolled AS integer[]), CAST(:offered AS integer[]),
        CAST(:waiting AS integer[]), CAST(:next_ticket AS bigint[]), CAST(:occupancy_version AS integer[]),
        CAST(:enrolment_closes_at AS timestamptz[]), CAST(:next_release_at AS timestamptz[]),
        CAST(:seats_by_employer AS jsonb[]))
        AS new (session_id, version, state, capacity, enrolled, offered, waiting, next_ticket,
            occupancy_version, enrolment_closes_at, next_release_at, seats_by_employer)
    WHERE session.session_id = new.session_id
    """
)
