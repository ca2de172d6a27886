"""Rosters of sessions: loaded with all that the rules may come to need, and saved.

A batch costs a handful of statements, however many requests it holds.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

from sqlalchemy import text

from services.enrolment.rules.enrolments import Enrolment
from services.enrolment.rules.holds import line_ends_at
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import (
    Nomination,
    Request,
)
from services.enrolment.rules.seats import Seats, counts_by_employer, next_release
from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.states import State
from services.enrolment.rules.waiting_list import (
    END_OF_LIST,
    SessionWaitingList,
)
from services.enrolment.store import (
    attendance,
    changes,
    enrolments,
    last_nominations,
    outbox,
    question_answers,
    roster_enrolments,
    session_changes,
    sessions,
    waiting_lists,
)
from services.enrolment.store import requests as requests_store
from services.enrolment.store.load_plans import (
    LoadPlan,
    free_seats,
    in_force,
    line_searches,
    place_of_newest,
    plan_for,
)
from services.enrolment.store.sessions import LockedSession
from services.enrolment.store.waiting_lists import LineSearch
from shared.database import Transaction
from shared.events.catalogue import SessionState
from shared.events.vocabulary import AgentKey, Status

_NOTHING: Mapping[UUID, Any] = MappingProxyType({})
_LINE_SLICE = 1_000
"""How many who wait are notified in one transaction that the waiting list has ended."""


EnrolmentsOfAgents = dict[UUID, dict[AgentKey, Enrolment]]
"""By session and agent: the live enrolment, or else the last that ended."""


def by_session(requests: Iterable[Request]) -> dict[UUID, list[Request]]:
    """Return requests by session, a move in both of its sessions, in the same order."""
    found: dict[UUID, list[Request]] = {}
    for request in requests:
        for session_id in request.session_ids:
            found.setdefault(session_id, []).append(request)
    return found


async def load(
    tx: Transaction,
    rows: Mapping[UUID, LockedSession],
    policy: Policy,
    now: datetime,
    *,
    requests: Mapping[UUID, Sequence[Request]] = _NOTHING,
    newest: Mapping[UUID, SessionState] = _NOTHING,
    over_by: datetime | None = None,
) -> dict[UUID, SessionRoster]:
    """Load the rosters of locked sessions, with what follows from requests, newer states and the clock.

    ``requests`` are given by session (:func:`by_session`), ``newest`` are the states that the rosters will
    take over. ``over_by``: load also the offers whose time was over by then, those who are pending, and the
    first of a waiting list that had ended by then.
    """
    named = {
        (session_id, agent)
        for session_id in rows
        for request in requests.get(session_id, ())
        for agent in request.agent_keys
    }
    latest = await _load_named(tx, rows, named)
    plans = {
        session_id: plan_for(
            row, requests.get(session_id, ()), newest.get(session_id), latest[session_id], now
        )
        for session_id, row in rows.items()
    }
    if over_by is not None:
        for session_id, plan in plans.items():
            plan.offers_until, plan.pending = over_by, True
            plan.waiting = free_seats(rows[session_id], rows[session_id].state)
            if line_ends_at(rows[session_id].state, policy) <= over_by:
                # Nobody is given a seat any more: whoever is first is notified, of whichever employer.
                plan.waiting, plan.in_order, plan.line_is_over = _LINE_SLICE, True, True
    agents = {agent for _, agent in named}
    rosters = await _load_planned(
        tx, rows, policy, now, latest=latest, plans=plans, agents=agents, newest=newest
    )
    await _load_attendance(
        tx,
        [
            rosters[session_id]
            for session_id, state in newest.items()
            if state.status is Status.CANCELLED and session_id in rosters
        ],
    )
    nominated = [
        rosters[session_id]
        for session_id in rows
        if any(isinstance(request, Nomination) for request in requests.get(session_id, ()))
    ]
    await _load_vacancies(tx, nominated)
    await last_nominations.load(tx, nominated)
    return rosters


async def _load_vacancies(tx: Transaction, rosters: Sequence[SessionRoster]) -> None:
    """Load how many trainees have left since the close, where their authority may name others."""
    closes = {
        roster.session.session_id: roster.session.enrolment_closes_at
        for roster in rosters
        if roster.session.enrolment_closes_at <= roster.now
    }
    vacancies = await roster_enrolments.vacancies(tx, closes)
    for roster in rosters:
        roster.vacancies.update(vacancies.get(roster.session.session_id, {}))


async def load_for_organiser(
    tx: Transaction,
    session_id: UUID,
    policy: Policy,
    now: datetime,
    *,
    plan: LoadPlan,
    agents: Collection[AgentKey] = (),
) -> SessionRoster:
    """Lock and load the roster of a session that exists, with the attendance of those who have a seat."""
    rows = await sessions.lock(tx, [session_id])
    latest = await _load_named(tx, rows, {(session_id, agent) for agent in agents})
    state = rows[session_id].state
    free = free_seats(rows[session_id], state)
    # A seat that time has freed is given by the new order, in which the first may have become the last.
    waiting = free + 1 if free else 0
    plan = replace(plan, waiting=waiting, by_employer=counts_by_employer(state), groups=True)
    plans = {session_id: plan}
    loaded = await _load_planned(tx, rows, policy, now, latest=latest, plans=plans, agents=agents)
    roster = loaded[session_id]
    await _load_attendance(tx, [roster])
    return roster


async def _load_attendance(tx: Transaction, rosters: Sequence[SessionRoster]) -> None:
    """Load what was recorded of those who have a seat."""
    for roster in rosters:
        seated = [enrolment.enrolment_id for enrolment in roster.latest.values() if enrolment.state.has_seat]
        roster.attendance = await attendance.of_enrolments(tx, seated)


async def _load_named(
    tx: Transaction, session_ids: Iterable[UUID], named: Collection[tuple[UUID, AgentKey]]
) -> EnrolmentsOfAgents:
    """Load the enrolments of the agents who are named, each with the session."""
    latest: EnrolmentsOfAgents = {session_id: {} for session_id in session_ids}
    for enrolment in await roster_enrolments.latest(tx, named):
        latest[enrolment.session_id][enrolment.agent.key] = enrolment
    return latest


async def _load_planned(
    tx: Transaction,
    rows: Mapping[UUID, LockedSession],
    policy: Policy,
    now: datetime,
    *,
    latest: EnrolmentsOfAgents,
    plans: Mapping[UUID, LoadPlan],
    agents: Collection[AgentKey],
    newest: Mapping[UUID, SessionState] = _NOTHING,
) -> dict[UUID, SessionRoster]:
    """Load what the plans say beside ``latest``, and make the rosters."""
    await _add_planned(tx, latest, plans)
    seats = await _load_seats(tx, rows, plans)
    together = await _load_groups(tx, rows, plans)
    searches = [
        search
        for session_id, row in rows.items()
        for search in line_searches(
            row,
            in_force(row, newest.get(session_id)),
            plans[session_id],
            latest[session_id],
            seats[session_id],
            together=len(together.get(session_id, ())),
        )
    ]
    waiting = await _load_waiting(tx, plans, searches)
    for session_id, members in together.items():
        waiting.setdefault(session_id, []).extend(members)
    places_from = {key: plan.places_from for key, plan in plans.items() if plan.places_from < END_OF_LIST}
    places = await waiting_lists.places_in_line(tx, places_from)
    rosters = {
        session_id: SessionRoster(
            session=row.state,
            now=now,
            policy=policy,
            seats=seats[session_id],
            waiting_list=SessionWaitingList(
                row.waiting,
                waiting.get(session_id, ()),
                places.get(session_id, ()),
                known_from=places_from.get(session_id, place_of_newest(row)),
                groups=row.waiting_groups,
            ),
            next_ticket=row.next_ticket,
            newest_receipt=row.newest_receipt,
            occupancy_version=row.occupancy_version,
            latest=latest[session_id],
            close_judged_for=row.close_judged_for,
            is_new=row.version == 0,
            cancelled_at=row.cancelled_at,
        )
        for session_id, row in rows.items()
    }
    if policy.overlap_check and agents:
        schedule = await roster_enrolments.schedule(tx, agents)
        for roster in rosters.values():
            roster.schedule = schedule
    required = {
        state.prerequisite.offer_id
        for session_id, row in rows.items()
        for state in (row.state, newest.get(session_id))
        if state is not None and state.prerequisite is not None
    }
    if required and agents:
        certified = await roster_enrolments.certified(tx, agents, required)
        for roster in rosters.values():
            roster.certified = certified
    return rosters


async def _add_planned(tx: Transaction, latest: EnrolmentsOfAgents, plans: Mapping[UUID, LoadPlan]) -> None:
    """Add to ``latest`` the live enrolments that the plans say."""
    everybody = [session_id for session_id, plan in plans.items() if plan.everybody]
    others = {session_id: plan for session_id, plan in plans.items() if not plan.everybody}
    pending = [session_id for session_id, plan in others.items() if plan.pending]
    ends = {key: plan.offers_until for key, plan in others.items() if plan.offers_until is not None}
    for found in (
        await roster_enrolments.live(tx, everybody),
        await roster_enrolments.pending(tx, pending),
        await roster_enrolments.offers(tx, ends),
    ):
        for enrolment in found:
            latest[enrolment.session_id][enrolment.agent.key] = enrolment
            if enrolment.state is State.OFFERED:  # it may be over: its seat is free then
                plans[enrolment.session_id].waiting += 1


async def _load_seats(
    tx: Transaction, rows: Mapping[UUID, LockedSession], plans: Mapping[UUID, LoadPlan]
) -> dict[UUID, Seats]:
    """Return the seats that are taken, by employer where a plan says so."""
    seats = {session_id: sessions.seats_of(row) for session_id, row in rows.items()}
    uncounted = [
        session_id
        for session_id, row in rows.items()
        if plans[session_id].by_employer and row.seats_by_employer is None
    ]
    for counted in await sessions.seats_by_employer(tx, uncounted):
        seats[counted.session_id].take(counted.employer, counted.number)
    return seats


async def _load_groups(
    tx: Transaction, rows: Mapping[UUID, LockedSession], plans: Mapping[UUID, LoadPlan]
) -> dict[UUID, list[Enrolment]]:
    """Load the groups that may be seated, or keep seats: all but those that were passed and are too large."""
    wanted = [
        (session_id, ticket)
        for session_id, plan in plans.items()
        for ticket, group in rows[session_id].waiting_groups.items()
        if plan.groups
        or (
            plan.waiting
            and not plan.line_is_over
            and not (group.is_passed and group.members - plan.named > plan.waiting)
        )
    ]
    together: dict[UUID, list[Enrolment]] = {}
    for enrolment in await waiting_lists.waiting_together(tx, wanted):
        together.setdefault(enrolment.session_id, []).append(enrolment)
    return together


async def _load_waiting(
    tx: Transaction, plans: Mapping[UUID, LoadPlan], searches: Sequence[LineSearch]
) -> dict[UUID, list[Enrolment]]:
    """Load of each waiting list those who may be next, alone: of groups only where its end is published."""
    numbers = {
        session_id: (plan.waiting, plan.line_is_over)
        for session_id, plan in plans.items()
        if plan.in_order or not plan.by_employer
    }
    waiting: dict[UUID, list[Enrolment]] = {}
    for found in (
        await waiting_lists.first_waiting(tx, numbers),
        await waiting_lists.first_who_may_be_seated(tx, searches),
    ):
        for enrolment in found:
            waiting.setdefault(enrolment.session_id, []).append(enrolment)
    return waiting


async def save(tx: Transaction, rosters: Collection[SessionRoster]) -> None:
    """Save what was decided: enrolments, seats, answers and events, in one statement each."""
    if not rosters:
        return
    now = next(iter(rosters)).now
    changed = [enrolment for roster in rosters for enrolment in roster.changed.values()]
    await enrolments.save(tx, changed, now)
    await requests_store.save_answers(tx, [answer for roster in rosters for answer in roster.answers], now)
    await changes.save(tx, [change for roster in rosters for change in roster.changes], now)
    recorded = {key: mark for roster in rosters for key, mark in roster.recorded.items()}
    await attendance.save(tx, recorded, now)
    answered = {key: kept for roster in rosters for key, kept in roster.question_answers.items()}
    await question_answers.save(tx, answered)
    await last_nominations.save(tx, rosters)
    occupancies = [event for roster in rosters if (event := roster.occupancy()) is not None]
    await _save_sessions(tx, rosters)
    await session_changes.add(
        tx, {roster.session.session_id: roster.parts_changed for roster in rosters if roster.parts_changed}
    )
    decisions = [decision for roster in rosters for decision in roster.decisions]
    outcomes = [outcome for roster in rosters for outcome in roster.outcomes]
    notices = [notice for roster in rosters for notice in roster.notices]
    await outbox.publish(tx, [*decisions, *outcomes], [*occupancies, *notices])


async def _save_sessions(tx: Transaction, rosters: Collection[SessionRoster]) -> None:
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
    await tx.execute(_SAVE_SESSIONS, columns)


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
        -- Seats may stay above a lowered capacity, but only those that were taken then: as they are left,
        -- the ceiling comes down with them, and the CHECK refuses any that are added but by an organiser.
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
