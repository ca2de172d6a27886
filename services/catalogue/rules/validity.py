from collections.abc import Iterator
from datetime import datetime

from services.catalogue.rules.refusals import RefusalCode, Violation
from services.catalogue.rules.sessions import Plan
from shared.events.vocabulary import EARLIEST, LATEST, Delegation, Format, QuestionKind

_DELEGATIONS = frozenset(code.value for code in Delegation)
ADJUSTMENT_KEPT_DAYS = 30
"""A need for an adjustment may be kept this long after a session [choice]."""


def inconsistencies(plan: Plan, now: datetime = EARLIEST) -> tuple[Violation, ...]:
    """Reserved seats that are released by ``now`` bind nothing."""
    return tuple(_inconsistencies(plan, now))


def unpublishable(plan: Plan, session_format: Format) -> tuple[Violation, ...]:
    return (*_inconsistencies(plan, EARLIEST), *without_place(plan), *not_private(plan, session_format))


def not_private(plan: Plan, session_format: Format) -> Iterator[Violation]:
    audience = plan.audience
    alone = len(audience.sirets) == 1 and not audience.functions and not audience.delegations
    if session_format is Format.BESPOKE and not alone:
        detail = "a bespoke session is for one authority: the audience names its SIRET and nothing else"
        yield Violation(RefusalCode.NOT_PRIVATE, "audience", detail)


def _inconsistencies(plan: Plan, now: datetime) -> Iterator[Violation]:
    if plan.enrolment_opens_at >= plan.enrolment_closes_at:
        yield _out_of_order("enrolment_closes_at", "enrolment closes before it opens")
    if plan.starts_at >= plan.ends_at:
        yield _out_of_order("ends_at", "the session ends before it starts")
    if plan.enrolment_closes_at > plan.ends_at:
        yield _out_of_order("enrolment_closes_at", "enrolment closes after the session's end")
    yield from _impossible_modules(plan)
    yield from _impossible_reservations(plan, now)
    if plan.minimum is not None and plan.capacity is not None and plan.minimum > plan.capacity:
        detail = f"{plan.minimum} must take part, and there are {plan.capacity} seats"
        yield Violation(RefusalCode.MINIMUM_ABOVE_CAPACITY, "minimum", detail)
    yield from _impossible_questions(plan)
    for path, code in _named_delegations(plan):
        if code not in _DELEGATIONS:
            yield Violation(RefusalCode.UNKNOWN_DELEGATION, path, f"{code!r} is not a delegation")
    for path, moment in _moments(plan):
        if not EARLIEST <= moment < LATEST:
            detail = f"{moment:%Y-%m-%d} is not between {EARLIEST:%Y} and {LATEST:%Y}"
            yield Violation(RefusalCode.NOT_THIS_CENTURY, path, detail)


def _impossible_modules(plan: Plan) -> Iterator[Violation]:
    for number, module in enumerate(plan.modules):
        path, outside = f"modules.{number}", f"“{module.title}” is not within the session's dates"
        if module.starts_at >= module.ends_at:
            yield _out_of_order(f"{path}.ends_at", f"“{module.title}” ends before it starts")
        elif not plan.starts_at <= module.starts_at < plan.ends_at:
            yield Violation(RefusalCode.MODULE_OUTSIDE_SESSION, f"{path}.starts_at", outside)
        elif module.ends_at > plan.ends_at:
            yield Violation(RefusalCode.MODULE_OUTSIDE_SESSION, f"{path}.ends_at", outside)


def _impossible_reservations(plan: Plan, now: datetime) -> Iterator[Violation]:
    seen: set[str] = set()
    for number, reserved in enumerate(plan.reserved_seats):
        if reserved.delegation in seen:
            path = f"reserved_seats.{number}.delegation"
            yield Violation(
                RefusalCode.DELEGATION_RESERVED_TWICE, path, "the delegation has a reservation already"
            )
        seen.add(reserved.delegation)
    seats = sum(reserved.seats for reserved in plan.reserved_seats if reserved.release_at > now)
    if seats and (plan.capacity is None or seats > plan.capacity):
        limit = "no limit of seats" if plan.capacity is None else f"{plan.capacity} seats"
        detail = f"{seats} seats are reserved out of {limit}"
        yield Violation(RefusalCode.TOO_MANY_RESERVED_SEATS, "reserved_seats", detail)


def _impossible_questions(plan: Plan) -> Iterator[Violation]:
    seen: set[str] = set()
    for number, question in enumerate(plan.questions):
        path = f"questions.{number}"
        if question.question_id in seen:
            detail = f"{question.question_id} is asked already"
            field = "kind" if question.kind is QuestionKind.ADJUSTMENT else "question_id"
            yield Violation(RefusalCode.QUESTION_ASKED_TWICE, f"{path}.{field}", detail)
        seen.add(question.question_id)
        choices = question.choices
        if question.kind is QuestionKind.CHOICE and (len(choices) < 2 or len(set(choices)) < len(choices)):
            detail = "a choice has two answers at least, each once"
            yield Violation(RefusalCode.CHOICES_DO_NOT_FIT, f"{path}.choices", detail)
        elif choices and question.kind is not QuestionKind.CHOICE:
            detail = f"only a choice has answers to choose from, and this is {question.kind}"
            yield Violation(RefusalCode.CHOICES_DO_NOT_FIT, f"{path}.choices", detail)
        if question.kind is not QuestionKind.ADJUSTMENT:
            continue
        if question.required:
            detail = "nobody has to say what they need"
            yield Violation(RefusalCode.ADJUSTMENT_IS_VOLUNTARY, f"{path}.required", detail)
        if question.kept_days > ADJUSTMENT_KEPT_DAYS:
            detail = f"what somebody needed is kept {ADJUSTMENT_KEPT_DAYS} days after the session at most"
            yield Violation(RefusalCode.KEPT_TOO_LONG, f"{path}.kept_days", detail)


def _named_delegations(plan: Plan) -> Iterator[tuple[str, str]]:
    for number, reserved in enumerate(plan.reserved_seats):
        yield f"reserved_seats.{number}.delegation", reserved.delegation
    for number, code in enumerate(plan.audience.delegations):
        yield f"audience.delegations.{number}", code


def _moments(plan: Plan) -> Iterator[tuple[str, datetime]]:
    for name in ("enrolment_opens_at", "enrolment_closes_at", "starts_at", "ends_at"):
        yield name, getattr(plan, name)
    for number, module in enumerate(plan.modules):
        yield f"modules.{number}.starts_at", module.starts_at
        yield f"modules.{number}.ends_at", module.ends_at
    for number, reserved in enumerate(plan.reserved_seats):
        yield f"reserved_seats.{number}.release_at", reserved.release_at


def _out_of_order(path: str, detail: str) -> Violation:
    return Violation(RefusalCode.DATES_OUT_OF_ORDER, path, detail)


def without_place(plan: Plan) -> Iterator[Violation]:
    if plan.venue is None and plan.join_url is None:
        yield Violation(RefusalCode.NO_PLACE, "venue", "a published session has a venue or a join_url")
