import json
from collections.abc import Collection

from sqlalchemy import text

from services.enrolment.rules.seats import counts_by_employer, next_release
from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.store import (
    attendance,
    certificates,
    changes,
    enrolments,
    last_nominations,
    outbox,
    question_answers,
    session_changes,
    sessions,
)
from services.enrolment.store import requests as requests_store
from shared.database import Statement, Transaction


async def save(tx: Transaction, rosters: Collection[SessionRoster]) -> None:
    if not rosters:
        return
    now = next(iter(rosters)).now
    changed = [enrolment for roster in rosters for enrolment in roster.changed.values()]
    await changes.save(tx, [change for roster in rosters for change in roster.changes], now)
    recorded = {key: mark for roster in rosters for key, mark in roster.recorded.items()}
    await attendance.save(tx, recorded, now)
    await certificates.make_void(tx, [void for roster in rosters for void in roster.void_certificates])
    answered = {key: kept for roster in rosters for key, kept in roster.question_answers.items()}
    await question_answers.save(tx, answered)
    await last_nominations.save(tx, rosters)
    occupancies = [event for roster in rosters if (event := roster.occupancy()) is not None]
    await session_changes.add(
        tx, {roster.session.session_id: roster.parts_changed for roster in rosters if roster.parts_changed}
    )
    decisions = [decision for roster in rosters for decision in roster.decisions]
    outcomes = [outcome for roster in rosters for outcome in roster.outcomes]
    notices = [notice for roster in rosters for notice in roster.notices]
    statements = [
        *enrolments.insertions(changed, now),
        _update_of_sessions(rosters),
        *outbox.insertions(tx, [*decisions, *outcomes], [*occupancies, *notices]),
    ]
    results = [result for roster in rosters for result in roster.results]
    await requests_store.save_results(tx, results, now, statements)


def _update_of_sessions(rosters: Collection[SessionRoster]) -> Statement:
    columns = {
        "session_id": [roster.session.session_id for roster in rosters],
        "version": [roster.session.version for roster in rosters],
        "state": [
            roster.session.model_dump_json() if roster.session_has_changed else None for roster in rosters
        ],
        "capacity": [roster.session.capacity for roster in rosters],
        "seats_were_added": [roster.seats_were_added for roster in rosters],
        "enrolled": [roster.seats.enrolled for roster in rosters],
        "offered": [roster.seats.offered for roster in rosters],
        "waiting": [len(roster.waiting_list) for roster in rosters],
        "next_ticket": [roster.next_ticket for roster in rosters],
        "newest_receipt": [roster.newest_receipt for roster in rosters],
        "occupancy_version": [roster.occupancy_version for roster in rosters],
        "enrolment_closes_at": [roster.session.enrolment_closes_at for roster in rosters],
        "line_ends_at": [roster.line_ends_at() for roster in rosters],
        "close_due_at": [roster.close_due_at() for roster in rosters],
        "close_judged_for": [roster.close_judged_for for roster in rosters],
        "cancelled_at": [roster.cancelled_at for roster in rosters],
        "next_release_at": [next_release(roster.session, roster.now) for roster in rosters],
        "waiting_groups": [sessions.groups_json(roster.waiting_list.groups) for roster in rosters],
        "groups_kept_until": [roster.groups_kept_until() for roster in rosters],
        "seats_by_employer": [
            json.dumps(roster.seats.by_employer()) if counts_by_employer(roster.session) else None
            for roster in rosters
        ],
    }
    return Statement(_SAVE_SESSIONS, columns)


_SAVE_SESSIONS = text(
    """
    UPDATE session SET version = new.version, state = coalesce(new.state, session.state),
        enrolled = new.enrolled, offered = new.offered, waiting = new.waiting, next_ticket = new.next_ticket,
        newest_receipt = new.newest_receipt,
        occupancy_version = new.occupancy_version, enrolment_closes_at = new.enrolment_closes_at,
        line_ends_at = new.line_ends_at, next_release_at = new.next_release_at,
        close_due_at = new.close_due_at, close_judged_for = new.close_judged_for,
        cancelled_at = new.cancelled_at, waiting_groups = new.waiting_groups,
        groups_kept_until = new.groups_kept_until,
        seats_by_employer = new.seats_by_employer,
        -- A lowered capacity takes no seat away. The ceiling falls with each seat that is given up, so the
        -- CHECK refuses every new seat above the capacity, except those that an organiser adds.
        seat_ceiling = CASE WHEN new.capacity IS NULL THEN NULL
            WHEN new.seats_were_added THEN greatest(new.capacity, new.enrolled + new.offered)
            ELSE greatest(new.capacity, least(session.seat_ceiling, new.enrolled + new.offered)) END
    FROM unnest(CAST(:session_id AS uuid[]), CAST(:version AS integer[]), CAST(:state AS jsonb[]),
        CAST(:capacity AS integer[]), CAST(:seats_were_added AS boolean[]),
        CAST(:enrolled AS integer[]), CAST(:offered AS integer[]),
        CAST(:waiting AS integer[]), CAST(:next_ticket AS bigint[]),
        CAST(:newest_receipt AS timestamptz[]), CAST(:occupancy_version AS integer[]),
        CAST(:enrolment_closes_at AS timestamptz[]), CAST(:line_ends_at AS timestamptz[]),
        CAST(:next_release_at AS timestamptz[]), CAST(:close_due_at AS timestamptz[]),
        CAST(:close_judged_for AS timestamptz[]), CAST(:cancelled_at AS timestamptz[]),
        CAST(:seats_by_employer AS jsonb[]), CAST(:waiting_groups AS jsonb[]),
        CAST(:groups_kept_until AS timestamptz[]))
        AS new (session_id, version, state, capacity, seats_were_added, enrolled, offered, waiting,
            next_ticket, newest_receipt, occupancy_version, enrolment_closes_at, line_ends_at,
            next_release_at, close_due_at, close_judged_for, cancelled_at, seats_by_employer,
            waiting_groups, groups_kept_until)
    WHERE session.session_id = new.session_id
    """
)
