"""What a session is at a given moment, what may be done to it, and what the clock owes it.

Owns the lifecycle of DOMAIN's sessions: one decision (``status``), two facts derived from the dates and
the clock (``phase``, ``enrolment``). Pure and total: time is an argument, a refusal is a value. No query,
no clock, no broker may enter.

Every event has a version of its own, the clock's too, so that "older than what I know" is one comparison
for whoever reads.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import Field

from shared.events.catalogue import (
    Audience,
    Module,
    ReservedSeats,
    SessionCancelled,
    SessionChanged,
    SessionClosed,
    SessionCompleted,
    SessionOpened,
    SessionScheduled,
    SessionState,
)
from shared.events.vocabulary import (
    ApprovalPolicy,
    Delegation,
    EnrolmentWindow,
    Fact,
    Format,
    Phase,
    Status,
    Timezone,
    WaitingList,
)

EVERYONE = Audience()
"""The audience that restricts nothing."""

_DELEGATIONS = frozenset(code.value for code in Delegation)


class Announcement(IntEnum):
    """What the clock has told of a session: this and all that is smaller."""

    NOTHING = 0
    OPENED = 1
    CLOSED = 2
    COMPLETED = 3


_EVENT_OF: dict[Announcement, type[SessionState]] = {
    Announcement.OPENED: SessionOpened,
    Announcement.CLOSED: SessionClosed,
    Announcement.COMPLETED: SessionCompleted,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What somebody decides about a session. All moments are instants; ends are exclusive."""

    title: str
    enrolment_opens_at: datetime
    enrolment_closes_at: datetime
    starts_at: datetime
    ends_at: datetime
    timezone: str
    modules: tuple[Module, ...] = ()
    capacity: int | None = None
    waiting_list: WaitingList = WaitingList.NONE
    offer_hold_hours: int = 48
    approval: ApprovalPolicy = ApprovalPolicy.NONE
    audience: Audience = EVERYONE
    reserved_seats: tuple[ReservedSeats, ...] = ()
    venue: str | None = None
    join_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session of the catalogue. ``offer_id``, ``format`` and ``organiser`` never change.

    ``version`` is 0 for what nobody has seen yet, and one more with each change and each announcement.
    """

    session_id: UUID
    offer_id: str
    format: Format
    organiser: str
    plan: Plan
    version: int = 0
    status: Status = Status.DRAFT
    announced: Announcement = Announcement.NOTHING


class Terms(Fact):
    """What the sessions of an offer have unless they say otherwise.

    The formats' rules of DOMAIN are data, here: none of them is decided in code.
    """

    timezone: Timezone = "Europe/Paris"
    closes_days_before: int = Field(default=0, ge=0, description="Days from enrolment's end to the start.")
    capacity: int | None = Field(default=None, ge=0)
    waiting_list: WaitingList = WaitingList.NONE
    offer_hold_hours: int = Field(default=48, ge=1)
    approval: ApprovalPolicy = ApprovalPolicy.NONE
    audience: Audience = EVERYONE


class Refusal(StrEnum):
    """Why something may not be done to a session."""

    DATES_OUT_OF_ORDER = "dates_out_of_order"
    MODULE_OUTSIDE_SESSION = "module_outside_session"
    TOO_MANY_RESERVED_SEATS = "too_many_reserved_seats"
    DELEGATION_RESERVED_TWICE = "delegation_reserved_twice"
    UNKNOWN_DELEGATION = "unknown_delegation"
    NO_PLACE = "no_place"
    ALREADY_PUBLISHED = "already_published"
    NOT_PUBLISHED = "not_published"
    ALREADY_CANCELLED = "already_cancelled"
    SESSION_OVER = "session_over"
    IN_THE_PAST = "in_the_past"
    FIXED_ONCE_OPEN = "fixed_once_open"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that stands in the way. ``field`` is a field of the plan, or None for the whole session."""

    refusal: Refusal
    field: str | None
    detail: str


@dataclass(frozen=True, slots=True)
class Done:
    """The session as it is now and the events that tell of it, in order. No event: nothing to tell."""

    session: Session
    events: tuple[SessionState, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """It may not be done; every reason at once."""

    problems: tuple[Problem, ...]


# ------------------------------------------------------------------------------------------------ its dates


def instant(wall_clock: datetime, timezone: str) -> datetime:
    """The UTC instant at which the clocks of ``timezone`` show ``wall_clock``, a naive datetime.

    Of an hour that comes twice, the first; an hour that a clock change skips is read as if it had not.
    """
    return wall_clock.replace(tzinfo=ZoneInfo(timezone)).astimezone(UTC)


def days_before(moment: datetime, days: int, timezone: str) -> datetime:
    """The same time of day ``days`` earlier, on the clocks of ``timezone``."""
    return instant(
        moment.astimezone(ZoneInfo(timezone)).replace(tzinfo=None) - timedelta(days=days), timezone
    )


# ---------------------------------------------------------------------------------------- what it is now


def phase_at(plan: Plan, now: datetime) -> Phase:
    """Where ``now`` stands relative to the session. At ``starts_at`` it runs, at ``ends_at`` it is over."""
    if now >= plan.ends_at:
        return Phase.OVER
    return Phase.RUNNING if now >= plan.starts_at else Phase.UPCOMING


def enrolment_at(plan: Plan, now: datetime) -> EnrolmentWindow:
    """Where ``now`` stands relative to enrolment. At ``enrolment_closes_at`` it is closed."""
    if now >= plan.enrolment_closes_at:
        return EnrolmentWindow.CLOSED
    return EnrolmentWindow.OPEN if now >= plan.enrolment_opens_at else EnrolmentWindow.NOT_YET_OPEN


def state_of(session: Session, now: datetime) -> dict[str, Any]:
    """The whole state of ``session``, as the contract names it; ``now`` derives phase and enrolment."""
    plan = session.plan
    return {
        "session_id": session.session_id,
        "version": session.version,
        "offer_id": session.offer_id,
        "format": session.format,
        "organiser": session.organiser,
        "status": session.status,
        "phase": phase_at(plan, now),
        "enrolment": enrolment_at(plan, now),
    } | {field.name: getattr(plan, field.name) for field in fields(Plan)}


def _event(session: Session, contract: type[SessionState], now: datetime) -> SessionState:
    return contract(**state_of(session, now))


# ------------------------------------------------------------------------------------ what the clock owes


def instant_of(plan: Plan, announcement: Announcement) -> datetime | None:
    """When ``announcement`` is to be made."""
    return {
        Announcement.NOTHING: None,
        Announcement.OPENED: plan.enrolment_opens_at,
        Announcement.CLOSED: plan.enrolment_closes_at,
        Announcement.COMPLETED: plan.ends_at,
    }[announcement]


def owed(session: Session, now: datetime) -> tuple[Announcement, ...]:
    """What the clock has to announce of a published session by ``now``, in order.

    Each of opened, closed, completed is announced once, if its instant is reached; a session published
    when enrolment is already open is announced as opened right after it was scheduled, so whoever counts
    on one of each gets one of each. The plan keeps the three instants in this order.
    """
    if session.status is not Status.PUBLISHED:
        return ()
    due = []
    for announcement in Announcement:
        due_at = instant_of(session.plan, announcement)
        if announcement > session.announced and due_at is not None:
            if due_at > now:
                break
            due.append(announcement)
    return tuple(due)


def next_announcement_at(session: Session) -> datetime | None:
    """When the clock next owes the session an event; None when it never will."""
    if session.status is not Status.PUBLISHED or session.announced is Announcement.COMPLETED:
        return None
    return instant_of(session.plan, Announcement(session.announced + 1))


def announce(session: Session, now: datetime) -> Done:
    """Announce what is owed by ``now``: one event and one version each."""
    events: list[SessionState] = []
    for announcement in owed(session, now):
        session = replace(session, version=session.version + 1, announced=announcement)
        events.append(_event(session, _EVENT_OF[announcement], now))
    return Done(session, tuple(events))


# --------------------------------------------------------------------------------------- what may be done


def inconsistencies(plan: Plan) -> tuple[Problem, ...]:
    """What makes a plan impossible, whatever the time."""
    return tuple(_inconsistencies(plan))


def unpublishable(plan: Plan) -> tuple[Problem, ...]:
    """What keeps a plan from being published, whatever the time: nobody could go there, for one."""
    return (*_inconsistencies(plan), *_nowhere(plan))


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


def publish(session: Session, now: datetime) -> Done | Refused:
    """Publish a draft: it is scheduled, and what the clock already owes it follows at once.

    A session is published once, has a place or a link, and is not over yet.
    """
    if session.status is Status.CANCELLED:
        return _refused(Refusal.ALREADY_CANCELLED, "the session is cancelled, which is final")
    if session.status is Status.PUBLISHED:
        return _refused(Refusal.ALREADY_PUBLISHED, "the session is published already")
    problems = list(unpublishable(session.plan))
    if phase_at(session.plan, now) is Phase.OVER:
        problems.append(Problem(Refusal.SESSION_OVER, "ends_at", "the session would be over already"))
    return Refused(tuple(problems)) if problems else schedule(session, now)


def schedule(session: Session, now: datetime) -> Done:
    """Publish a draft without asking whether one may: the offer that is loaded may tell of the past."""
    session = replace(session, status=Status.PUBLISHED, version=session.version + 1)
    caught_up = announce(session, now)
    return Done(caught_up.session, (_event(session, SessionScheduled, now), *caught_up.events))


def change(session: Session, plan: Plan, now: datetime) -> Done | Refused:
    """Give the session another plan.

    A draft may become anything that is consistent, and nobody is told. Once published, the past stays:
    a date that has passed cannot move, no date can move into the past, a module that has begun cannot
    change, nor how approval is given once enrolment is open, nor anything once the session is over or
    cancelled. Capacity may go down: enrolment evicts nobody. The same plan again changes nothing.
    """
    if session.status is Status.CANCELLED:
        return _refused(Refusal.ALREADY_CANCELLED, "the session is cancelled, which is final")
    if plan == session.plan:
        return Done(session)
    problems = list(inconsistencies(plan))
    if session.status is Status.PUBLISHED:
        if phase_at(session.plan, now) is Phase.OVER:
            return _refused(Refusal.SESSION_OVER, "the session is over: nothing of it can change")
        problems += [*_nowhere(plan), *_rewritten_past(session.plan, plan, now)]
    return Refused(tuple(problems)) if problems else amend(session, plan, now)


def amend(session: Session, plan: Plan, now: datetime) -> Done:
    """Give the session another plan without asking whether one may; tell of it if it is published.

    What the clock owed before the change is announced before it. Where an instant that was announced
    moves into the future (only the loaded offer can do that), it will be announced again when it comes.
    """
    if session.status is not Status.PUBLISHED:
        return Done(replace(session, plan=plan, version=session.version + 1))
    before = announce(session, now)
    session = before.session
    session = replace(
        session, plan=plan, version=session.version + 1, announced=_still_true(session.announced, plan, now)
    )
    after = announce(session, now)
    return Done(after.session, (*before.events, _event(session, SessionChanged, now), *after.events))


def cancel(session: Session, now: datetime) -> Done | Refused:
    """Cancel a published session that is not over. Final; the clock owes it nothing any more."""
    if session.status is Status.CANCELLED:
        return _refused(Refusal.ALREADY_CANCELLED, "the session is cancelled already")
    if session.status is Status.DRAFT:
        return _refused(Refusal.NOT_PUBLISHED, "a draft was never announced, so there is nothing to cancel")
    if phase_at(session.plan, now) is Phase.OVER:
        return _refused(Refusal.SESSION_OVER, "the session is over: it cannot be cancelled any more")
    before = announce(session, now)
    session = replace(before.session, status=Status.CANCELLED, version=before.session.version + 1)
    return Done(session, (*before.events, _event(session, SessionCancelled, now)))


def differences(before: Plan, after: Plan) -> tuple[str, ...]:
    """The fields of the plan that differ, in the plan's order."""
    return tuple(
        field.name for field in fields(Plan) if getattr(before, field.name) != getattr(after, field.name)
    )


_DATES = ("enrolment_opens_at", "enrolment_closes_at", "starts_at", "ends_at")


def _rewritten_past(old: Plan, new: Plan, now: datetime) -> Iterator[Problem]:
    for field in _DATES:
        was, becomes = getattr(old, field), getattr(new, field)
        if was != becomes and was <= now:
            yield Problem(Refusal.IN_THE_PAST, field, "this moment has passed: it cannot move any more")
        elif was != becomes and becomes < now:
            yield Problem(Refusal.IN_THE_PAST, field, "it cannot move into the past")
    for module in _begun(old.modules, now):
        if module not in new.modules:
            detail = f"“{module.title}” has begun: it cannot change any more"
            yield Problem(Refusal.IN_THE_PAST, "modules", detail)
    for module in _begun(new.modules, now):
        if module not in old.modules:
            yield Problem(Refusal.IN_THE_PAST, "modules", f"“{module.title}” would begin in the past")
    if old.approval is not new.approval and now >= old.enrolment_opens_at:
        yield Problem(Refusal.FIXED_ONCE_OPEN, "approval", "agents have asked under the present rule")


def _begun(modules: Sequence[Module], now: datetime) -> list[Module]:
    return [module for module in modules if module.starts_at <= now]


def _nowhere(plan: Plan) -> Iterator[Problem]:
    if plan.venue is None and plan.join_url is None:
        yield Problem(Refusal.NO_PLACE, "venue", "a published session has a venue or a join_url")


def _still_true(announced: Announcement, plan: Plan, now: datetime) -> Announcement:
    """The part of what was announced that the new plan has behind it."""
    true = Announcement.NOTHING
    for announcement in Announcement:
        due_at = instant_of(plan, announcement)
        if due_at is not None and (announcement > announced or due_at > now):
            break
        true = announcement
    return true


def _refused(refusal: Refusal, detail: str) -> Refused:
    return Refused((Problem(refusal, None, detail),))
