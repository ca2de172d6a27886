from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from services.catalogue.rules.lifecycle import enrolment_at, phase_at
from services.catalogue.rules.sessions import Occupancy, Plan, ShownSession
from shared.events.catalogue import ReservedSeats
from shared.events.vocabulary import EnrolmentWindow, Phase, Status, WaitingList


class Access(StrEnum):
    CANCELLED = "cancelled"
    OVER = "over"
    NOT_YET_OPEN = "not_yet_open"
    CLOSED = "closed"
    APPLICATION = "application"
    UNLIMITED = "unlimited"
    SEATS = "seats"
    RESERVED = "reserved"
    QUEUE = "queue"
    FULL = "full"

    @property
    def takes_requests(self) -> bool:
        return self.has_seats or self is Access.QUEUE

    @property
    def has_seats(self) -> bool:
        return self in (Access.APPLICATION, Access.UNLIMITED, Access.SEATS, Access.RESERVED)


@dataclass(frozen=True, slots=True)
class SeatAvailability:
    """``seats`` is None if they are not counted.

    Enrolment does not report how many taken seats are reserved ones. So between ``reserved_at_least`` and
    ``reserved`` free seats are only for agents of ``delegations``. ``yours`` are the free seats that an agent
    of the reader's delegation can surely take, if it is known and seats are reserved.
    """

    access: Access
    seats: int | None = None
    waiting: int = 0
    reserved: int = 0
    reserved_at_least: int = 0
    delegations: tuple[str, ...] = ()
    yours: int | None = None
    running: bool = False

    @property
    def maybe_all_reserved(self) -> bool:
        return self.access is Access.SEATS and self.reserved == self.seats


def availability(
    session: ShownSession, occupancy: Occupancy | None, now: datetime, reader: str | None = None
) -> SeatAvailability:
    """Return the availability for an agent who is not in the session. ``reader`` is the agent's delegation.

    The plan's seats count, because the plan is newer than enrolment's figures. An offered seat is not free.
    If agents wait beside free seats, these are reserved, and other agents join the waiting list.
    """
    known = _of_its_seats(session, occupancy, now)
    if reader and known.reserved and known.seats:
        known = replace(known, yours=_surely_for(reader, known, session.plan, now))
    running = session.status is Status.PUBLISHED and phase_at(session.plan, now) is Phase.RUNNING
    return replace(known, running=running)


def _of_its_seats(session: ShownSession, occupancy: Occupancy | None, now: datetime) -> SeatAvailability:
    plan = session.plan
    if session.status is Status.CANCELLED:
        return SeatAvailability(Access.CANCELLED)
    if phase_at(plan, now) is Phase.OVER:
        return SeatAvailability(Access.OVER)
    window = enrolment_at(plan, now)
    if window is not EnrolmentWindow.OPEN:
        closed = window is EnrolmentWindow.CLOSED
        return SeatAvailability(Access.CLOSED if closed else Access.NOT_YET_OPEN)
    if plan.approval.by_selection:
        return SeatAvailability(Access.APPLICATION, plan.capacity)
    if plan.capacity is None:
        return SeatAvailability(Access.UNLIMITED)
    taken = occupancy or Occupancy(0, plan.capacity, 0, 0, 0)
    left = max(0, plan.capacity - taken.enrolled - taken.offered)
    reservations = list(reserved_at(plan, now))
    held = sum(reserved.seats for reserved in reservations)
    delegations = tuple(reserved.delegation for reserved in reservations)
    if left and not taken.waiting:
        reserved_at_least = max(0, held - (plan.capacity - left))
        return SeatAvailability(Access.SEATS, left, 0, min(left, held), reserved_at_least, delegations)
    if left and reservations:
        return SeatAvailability(Access.RESERVED, left, taken.waiting, left, left, delegations)
    queue = plan.waiting_list is not WaitingList.NONE
    return SeatAvailability(Access.QUEUE if queue else Access.FULL, 0, taken.waiting)


def _surely_for(delegation: str, known: SeatAvailability, plan: Plan, now: datetime) -> int:
    """Where agents wait, only seats reserved for the delegation are sure."""
    seats = known.seats or 0
    if known.access is Access.RESERVED and delegation not in known.delegations:
        return 0
    others = sum(kept.seats for kept in reserved_at(plan, now) if kept.delegation != delegation)
    return max(0, seats - others)


def misses_minimum(session: ShownSession, occupancy: Occupancy | None, now: datetime) -> bool:
    """Return whether too few agents take part, so that the organiser must decide (rule 15).

    This counts from the close of enrolment to the start. Offered seats count. With a selection nothing is
    known before the first candidate has a seat.
    """
    plan = session.plan
    taken = 0 if occupancy is None else occupancy.enrolled + occupancy.offered
    return (
        plan.minimum is not None
        and session.status is Status.PUBLISHED
        and phase_at(plan, now) is Phase.UPCOMING
        and enrolment_at(plan, now) is EnrolmentWindow.CLOSED
        and taken < plan.minimum
        and (taken > 0 or not plan.approval.by_selection)
    )


def reserved_at(plan: Plan, now: datetime) -> Iterator[ReservedSeats]:
    return (reserved for reserved in plan.reserved_seats if reserved.release_at > now)
