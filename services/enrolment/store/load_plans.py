from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.enrolment.rules.eligibility import takes_nominations
from services.enrolment.rules.enrolments import Enrolment, Place
from services.enrolment.rules.requests import (
    ApprovalDecision,
    GroupRequest,
    Nomination,
    OfferAnswer,
    Request,
    SeatRequest,
    Swap,
    Withdrawal,
)
from services.enrolment.rules.seats import Seats, counts_by_employer
from services.enrolment.rules.states import State
from services.enrolment.rules.waiting_list import END_OF_LIST, FIRST_PLACE, first_ticket
from services.enrolment.store.sessions import LockedSession
from services.enrolment.store.waiting_lists import LineSearch
from shared.events.catalogue import SessionState
from shared.events.vocabulary import EARLIEST, LATEST, AgentKey, ApprovalPolicy, Status

_SEARCHED = 4
"""For each agent sought, first search this many places of the waiting list, then all."""


@dataclass(slots=True)
class LoadPlan:
    """The enrolments to load besides those of the named agents.

    ``waiting``: how many waiting agents may be next. ``named``: how many agents the requests name.
    ``places_from``: load the places in line (not the enrolments) from this one on, because an agent may join
    there. ``offers_until``: load the offers that end by then. ``by_employer``: seats are counted by employer,
    so the next agent may not be among the first; ``in_order``: load the first agents nevertheless.
    ``groups``: load all waiting groups; otherwise only groups that may be seated or keep seats.
    ``line_is_over``: nobody gets a seat any more, so groups need no special treatment.
    """

    waiting: int = 0
    named: int = 0
    places_from: Place = END_OF_LIST
    everybody: bool = False
    offers_until: datetime | None = None
    pending: bool = False
    by_employer: bool = False
    in_order: bool = False
    groups: bool = False
    line_is_over: bool = False


def plan_for(
    row: LockedSession,
    requests: Sequence[Request],
    newest: SessionState | None,
    latest: Mapping[AgentKey, Enrolment],
    now: datetime,
) -> LoadPlan:
    plan = LoadPlan(
        by_employer=counts_by_employer(row.state), named=sum(len(request.agent_keys) for request in requests)
    )
    leaving = 0
    released = row.next_release_at is not None and row.next_release_at <= now
    # Seats may be free beside a waiting group, and a group gets smaller when an agent leaves it.
    frees_seats = newest is not None or released or bool(row.waiting_groups)
    states = [row.state] if newest is None else [row.state, newest]
    for request in requests:
        match request:
            case Withdrawal() | OfferAnswer(accepted=False):
                leaving += 1
                frees_seats |= _holds_seat(latest.get(request.agent_key))
            case Swap(session_id=left) if left == row.state.session_id:
                leaving += 1
                frees_seats |= _holds_seat(latest.get(request.agent_key))
            case ApprovalDecision(granted=True):
                pending = latest.get(request.agent_key)
                if pending is not None and pending.state is State.PENDING_APPROVAL:
                    plan.places_from = min(plan.places_from, pending.place)
            case SeatRequest() | GroupRequest() | Nomination():
                if row.newest_receipt is not None and request.received_at < row.newest_receipt:
                    plan.places_from = min(plan.places_from, _place_at(request.received_at))
        if isinstance(request, Nomination) and any(
            takes_nominations(state, request.siret) for state in states
        ):
            plan.everybody, plan.in_order, plan.waiting = True, True, row.waiting
    if newest is not None:
        plan.by_employer |= counts_by_employer(newest)
        plan.offers_until = LATEST
        plan.everybody |= newest.status is Status.CANCELLED
        approval_changes = row.version == 0 or newest.approval is not row.state.approval
        if newest.approval is ApprovalPolicy.NONE and approval_changes:
            plan.pending, plan.places_from = True, FIRST_PLACE
    if frees_seats:
        # A waiting agent may be seated and then leave. Without a freed seat no waiting agent gets one.
        plan.waiting += free_seats(row, in_force(row, newest)) + leaving
    return plan


def in_force(row: LockedSession, newest: SessionState | None) -> SessionState:
    is_older = newest is not None and (row.version == 0 or row.version < newest.version)
    return newest if newest is not None and is_older else row.state


def _holds_seat(latest: Enrolment | None) -> bool:
    return latest is not None and latest.state.holds_seat


def free_seats(row: LockedSession, state: SessionState) -> int:
    free = row.waiting if state.capacity is None else state.capacity - row.enrolled - row.offered
    return min(max(0, free), row.waiting)


def _place_at(moment: datetime) -> Place:
    return 0, first_ticket(moment)


def place_of_newest(row: LockedSession) -> Place:
    """Return the place of a request that was received after all others."""
    return _place_at(row.newest_receipt or EARLIEST)


def line_searches(
    row: LockedSession,
    state: SessionState,
    plan: LoadPlan,
    latest: Mapping[AgentKey, Enrolment],
    seats: Seats,
    *,
    together: int,
) -> list[LineSearch]:
    """Return the searches that find all agents who may be next, if seats are counted by employer.

    A delegation's next agent is its first in line, unless the authority has reached its quota. Each agent
    named by a request may free or take a seat of the authority, so as many more agents are sought. Agents who
    wait ``together`` are loaded apart, so their number is added.
    """
    if not plan.by_employer or plan.in_order or not plan.waiting or state.status is Status.CANCELLED:
        return []
    quota = state.quota_per_authority
    may_leave = Counter(
        enrolment.agent.employer.siret
        for enrolment in latest.values()
        if enrolment.state.holds_seat or enrolment.state is State.WAITLISTED
    )
    room = {
        siret: quota - seats.by_siret[siret] + may_leave[siret]
        for siret in {*seats.by_siret, *may_leave}
        if quota is not None
    }
    number = plan.waiting + plan.named + len(latest) + together
    reserved = sorted({reservation.delegation for reservation in state.reserved_seats})
    return [
        LineSearch(
            row.state.session_id,
            delegation,
            reserved,
            number=number,
            quota=quota,
            room=room,
            within=number if quota is None else _SEARCHED * number,
            waiting=row.waiting,
        )
        for delegation in ("", *reserved)
    ]
