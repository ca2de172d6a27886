"""What a plan must be, whatever the time."""

from collections.abc import Iterator

from services.catalogue.rules.facts import Plan, Problem, Refusal
from shared.events.vocabulary import (
    Delegation,
)

_DELEGATIONS = frozenset(code.value for code in Delegation)


def inconsistencies(plan: Plan) -> tuple[Problem, ...]:
    """What makes a plan impossible, whatever the time."""
    return tuple(_inconsistencies(plan))


def unpublishable(plan: Plan) -> tuple[Problem, ...]:
    """What keeps a plan from being published, whatever the time: nobody could go there, for one."""
    return (*_inconsistencies(plan), *nowhere(plan))


def _inconsistencies(plan: Plan) -> Iterator[Problem]:
    if plan.enrolment_opens_at >= plan.enrolment_closes_at:
        yield _out_of_order("enrolment_closes_at", "enrolment closes before it opens")
    if plan.starts_at >= plan.ends_at:
        yield _out_of_order("ends_at", "the session ends before it starts")
    if plan.enrolment_closes_at > plan.ends_at:
        yield _out_of_order("enrolment_closes_at", "enrolment closes after the session's end")
    for module in plan.modules:
        if module.starts_at >= module.ends_at:
            yield _out_of_order("modules", f"“{module.title}” ends before it starts")
        elif module.starts_at < plan.starts_at or module.ends_at > plan.ends_at:
            yield Problem(
                Refusal.MODULE_OUTSIDE_SESSION,
                "modules",
                f"“{module.title}” is not within the session's dates",
            )
    yield from _impossible_reservations(plan)
    named = [one.delegation for one in plan.reserved_seats] + list(plan.audience.delegations)
    for code in dict.fromkeys(named):
        if code not in _DELEGATIONS:
            yield Problem(Refusal.UNKNOWN_DELEGATION, None, f"{code!r} is not a delegation")


def _impossible_reservations(plan: Plan) -> Iterator[Problem]:
    delegations = [one.delegation for one in plan.reserved_seats]
    if len(set(delegations)) < len(delegations):
        detail = "a delegation has two reservations"
        yield Problem(Refusal.DELEGATION_RESERVED_TWICE, "reserved_seats", detail)
    reserved = sum(one.seats for one in plan.reserved_seats)
    if reserved and (plan.capacity is None or reserved > plan.capacity):
        limit = "no limit of seats" if plan.capacity is None else f"{plan.capacity} seats"
        detail = f"{reserved} seats are reserved out of {limit}"
        yield Problem(Refusal.TOO_MANY_RESERVED_SEATS, "reserved_seats", detail)


def _out_of_order(field: str, detail: str) -> Problem:
    return Problem(Refusal.DATES_OUT_OF_ORDER, field, detail)


def nowhere(plan: Plan) -> Iterator[Problem]:
    """What is wrong with a plan that names no place: a draft may, a published session may not."""
    if plan.venue is None and plan.join_url is None:
        yield Problem(Refusal.NO_PLACE, "venue", "a published session has a venue or a join_url")
