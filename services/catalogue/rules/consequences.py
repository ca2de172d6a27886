from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from services.catalogue.rules.lifecycle import shifted
from services.catalogue.rules.sessions import ListedSession, Occupancy, Plan
from shared.events.catalogue import Module
from shared.events.vocabulary import ApprovalPolicy, Status, WaitingList

TOLD = frozenset(("starts_at", "ends_at", "timezone", "modules", "venue"))
"""A change of these fields is notified to everybody in the session."""
TOLD_TO_ENROLLED = TOLD | {"join_url"}
"""Only agents with a seat have the link, so only they are notified."""


@dataclass(frozen=True, slots=True)
class SeatConsequences:
    """``to_seat`` counts waiting agents who get a seat, or an offer if ``by_offer``.

    ``above`` counts seats taken beyond the new capacity: nobody loses one.
    """

    to_seat: int
    by_offer: bool
    above: int
    still_waiting: int


def of_capacity(plan: Plan, occupancy: Occupancy | None, capacity: int | None) -> SeatConsequences:
    """Return the consequences of another capacity (None: no limit), for the known seats.

    Reservations, quotas and groups may leave fewer agents served.
    """
    taken = 0 if occupancy is None else occupancy.enrolled + occupancy.offered
    waiting = 0 if occupancy is None else occupancy.waiting
    free = waiting if capacity is None else max(0, capacity - taken)
    to_seat = min(waiting, free) if plan.waiting_list is not WaitingList.NONE else 0
    return SeatConsequences(
        to_seat=to_seat,
        by_offer=plan.waiting_list is WaitingList.OFFER,
        above=0 if capacity is None else max(0, taken - capacity),
        still_waiting=waiting - to_seat,
    )


def without_new_names(
    before: Sequence[Module], after: Sequence[Module], changed: Collection[str]
) -> frozenset[str]:
    """Leave out modules that are only renamed, because no letter reports that."""
    first, second = (
        [(module.starts_at, module.ends_at) for module in modules] for modules in (before, after)
    )
    return frozenset(changed) - ({"modules"} if first == second else frozenset())


def reaches_people(listed: ListedSession, changed: Collection[str]) -> bool:
    session, occupancy = listed.session, listed.occupancy
    if session.status is not Status.PUBLISHED or not (TOLD_TO_ENROLLED | {"capacity"}) & set(changed):
        return False
    counted = occupancy is not None and occupancy.enrolled + occupancy.waiting + occupancy.offered > 0
    undecided = session.plan.approval is not ApprovalPolicy.NONE
    return counted or undecided or any(trainer.email for trainer in session.plan.trainers)


def postponed(plan: Plan, starts_at: datetime, now: datetime) -> Plan:
    moved = shifted(plan, starts_at)
    return replace(
        moved,
        enrolment_opens_at=_moved(plan.enrolment_opens_at, moved.enrolment_opens_at, now),
        enrolment_closes_at=_moved(plan.enrolment_closes_at, moved.enrolment_closes_at, now),
        reserved_seats=tuple(
            before if before.release_at <= now else after
            for before, after in zip(plan.reserved_seats, moved.reserved_seats, strict=True)
        ),
    )


def _moved(before: datetime, after: datetime, now: datetime) -> datetime:
    return before if before <= now else after
