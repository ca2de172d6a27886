from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

from services.enrolment.rules.enrolments import Enrolment, Place
from services.enrolment.rules.holds import line_ends_at
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import ByHand, Nomination, Request, SeatRequest
from services.enrolment.rules.seats import Seats, counts_by_employer
from services.enrolment.rules.session_changes import ends_line
from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.states import State
from services.enrolment.rules.waiting_list import END_OF_LIST, SessionWaitingList, WaitingGroup
from services.enrolment.store import attendance, last_nominations, roster_enrolments, sessions, waiting_lists
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
"""The most agents in one transaction who are notified of the waiting list's end."""


EnrolmentsOfAgents = dict[UUID, dict[AgentKey, Enrolment]]
"""The live enrolment, or else the last ended one, by session and agent."""


def by_session(requests: Iterable[Request]) -> dict[UUID, list[Request]]:
    """A move stands in both of its sessions."""
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
    """Load the rosters of locked sessions for these requests, newer states and the clock.

    ``requests`` are by session (:func:`by_session`). ``over_by`` also loads offers that ended by then,
    pending enrolments, and the first part of a waiting list that had ended by then.
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
    for session_id, state in newest.items():
        if session_id in rows and ends_line(rows[session_id].state, state, policy, now):
            plan, waiting = plans[session_id], rows[session_id].waiting
            plan.waiting, plan.in_order, plan.line_is_over = waiting, True, True
    if over_by is not None:
        for session_id, plan in plans.items():
            plan.offers_until, plan.pending = over_by, True
            plan.waiting = free_seats(rows[session_id], rows[session_id].state)
            if line_ends_at(rows[session_id].state, policy) <= over_by:
                # Nobody gets a seat any more: notify the first agents in line, whatever their employer.
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
        rosters[session_id] for session_id in rows if any(map(_names_trainees, requests.get(session_id, ())))
    ]
    await _load_vacancies(tx, nominated)
    await last_nominations.load(tx, nominated)
    return rosters


def _names_trainees(request: Request) -> bool:
    match request:
        case SeatRequest(by_hand=ByHand(officer_of=str())) | Nomination():
            return True
    return False


async def _load_vacancies(tx: Transaction, rosters: Sequence[SessionRoster]) -> None:
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
    rows = await sessions.lock(tx, [session_id])
    latest = await _load_named(tx, rows, {(session_id, agent) for agent in agents})
    state = rows[session_id].state
    free = free_seats(rows[session_id], state)
    # A seat freed by time is given in the new order, where the first agent may have become the last.
    waiting = free + 1 if free else 0
    plan = replace(plan, waiting=waiting, by_employer=counts_by_employer(state), groups=True)
    plans = {session_id: plan}
    loaded = await _load_planned(tx, rows, policy, now, latest=latest, plans=plans, agents=agents)
    roster = loaded[session_id]
    await _load_attendance(tx, [roster])
    return roster


async def _load_attendance(tx: Transaction, rosters: Sequence[SessionRoster]) -> None:
    for roster in rosters:
        seated = [enrolment.enrolment_id for enrolment in roster.latest.values() if enrolment.state.has_seat]
        roster.attendance = await attendance.of_enrolments(tx, seated)


async def _load_named(
    tx: Transaction, session_ids: Iterable[UUID], named: Collection[tuple[UUID, AgentKey]]
) -> EnrolmentsOfAgents:
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
    await _add_planned(tx, latest, plans)
    seats = await _load_seats(tx, rows, plans)
    lists = await _load_waiting_lists(tx, rows, plans=plans, latest=latest, seats=seats, newest=newest)
    rosters = {
        session_id: SessionRoster(
            session=row.state,
            now=now,
            policy=policy,
            seats=seats[session_id],
            waiting_list=lists[session_id],
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
    if agents:
        await _load_elsewhere(tx, rosters, agents, policy, newest)
    return rosters


async def _load_elsewhere(
    tx: Transaction,
    rosters: Mapping[UUID, SessionRoster],
    agents: Collection[AgentKey],
    policy: Policy,
    newest: Mapping[UUID, SessionState],
) -> None:
    if policy.overlap_check:
        schedule = await roster_enrolments.schedule(tx, agents)
        for roster in rosters.values():
            roster.schedule = schedule
    required = {
        state.prerequisite.offer_id
        for session_id, roster in rosters.items()
        for state in (roster.session, newest.get(session_id))
        if state is not None and state.prerequisite is not None
    }
    if required:
        certified = await roster_enrolments.certified(tx, agents, required)
        for roster in rosters.values():
            roster.certified = certified


async def _add_planned(tx: Transaction, latest: EnrolmentsOfAgents, plans: Mapping[UUID, LoadPlan]) -> None:
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
            if enrolment.state is State.OFFERED:  # the offer may be over, which frees its seat
                plans[enrolment.session_id].waiting += 1


async def _load_seats(
    tx: Transaction, rows: Mapping[UUID, LockedSession], plans: Mapping[UUID, LoadPlan]
) -> dict[UUID, Seats]:
    seats = {session_id: sessions.seats_of(row) for session_id, row in rows.items()}
    uncounted = [
        session_id
        for session_id, row in rows.items()
        if plans[session_id].by_employer and row.seats_by_employer is None
    ]
    for counted in await sessions.seats_by_employer(tx, uncounted):
        seats[counted.session_id].take(counted.employer, counted.number)
    return seats


async def _load_waiting_lists(
    tx: Transaction,
    rows: Mapping[UUID, LockedSession],
    *,
    plans: Mapping[UUID, LoadPlan],
    latest: EnrolmentsOfAgents,
    seats: Mapping[UUID, Seats],
    newest: Mapping[UUID, SessionState],
) -> dict[UUID, SessionWaitingList]:
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
    return {
        session_id: SessionWaitingList(
            row.waiting,
            waiting.get(session_id, ()),
            places.get(session_id, ()),
            known_from=places_from.get(session_id, place_of_newest(row)),
            groups=row.waiting_groups,
        )
        for session_id, row in rows.items()
    }


async def _load_groups(
    tx: Transaction, rows: Mapping[UUID, LockedSession], plans: Mapping[UUID, LoadPlan]
) -> dict[UUID, list[Enrolment]]:
    wanted = [
        (session_id, ticket)
        for session_id, plan in plans.items()
        for ticket in _groups_that_matter(rows[session_id], plan)
    ]
    together: dict[UUID, list[Enrolment]] = {}
    for enrolment in await waiting_lists.waiting_together(tx, wanted):
        together.setdefault(enrolment.session_id, []).append(enrolment)
    return together


def _groups_that_matter(row: LockedSession, plan: LoadPlan) -> Iterator[int]:
    """Yield the tickets of groups that may be seated or keep seats, in order.

    A large group that was passed over is left out. So are the groups behind one that keeps all free seats.
    """
    if plan.groups:
        yield from row.waiting_groups
    elif plan.waiting and not plan.line_is_over:
        nothing_else_changes = plan.offers_until is None and not plan.by_employer
        for ticket, group in sorted(row.waiting_groups.items(), key=_place_of_group):
            is_large = group.members - plan.named > plan.waiting
            if is_large and group.is_passed:
                continue
            yield ticket
            if is_large and nothing_else_changes and group.members <= (row.state.capacity or 0):
                return


def _place_of_group(item: tuple[int, WaitingGroup]) -> Place:
    ticket, group = item
    return -group.priority, ticket


async def _load_waiting(
    tx: Transaction, plans: Mapping[UUID, LoadPlan], searches: Sequence[LineSearch]
) -> dict[UUID, list[Enrolment]]:
    """Load the agents who may be next. Agents in groups are loaded only to publish the end of the list."""
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
