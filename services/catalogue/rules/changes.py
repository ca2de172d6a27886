from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import datetime

from services.catalogue.rules.lifecycle import announce, event_of, instant_of, phase_at, trainers_of
from services.catalogue.rules.refusals import RefusalCode, RefusedByRule, Violation, refused
from services.catalogue.rules.sessions import Announcement, Done, Plan, Session, ShownSession
from services.catalogue.rules.validity import inconsistencies, not_private, unpublishable, without_place
from shared.events.catalogue import (
    Module,
    ReservedSeats,
    SessionCancelled,
    SessionChanged,
    SessionScheduled,
)
from shared.events.vocabulary import Phase, Status


def publish(session: Session, now: datetime) -> Done | RefusedByRule:
    """Publish a draft that has a place or link and is not over, and announce the events already due."""
    if session.status is Status.CANCELLED:
        return refused(RefusalCode.ALREADY_CANCELLED, "the session is cancelled, which is final")
    if session.status is Status.PUBLISHED:
        return refused(RefusalCode.ALREADY_PUBLISHED, "the session is published already")
    violations = list(unpublishable(session.plan, session.format))
    if phase_at(session.plan, now) is Phase.OVER:
        violations.append(Violation(RefusalCode.SESSION_OVER, "ends_at", "the session would be over already"))
    return RefusedByRule(tuple(violations)) if violations else schedule(session, now)


def schedule(session: Session, now: datetime) -> Done:
    """Publish a draft without any check: an offer from files may lie in the past."""
    session = replace(session, status=Status.PUBLISHED, version=session.version + 1)
    caught_up = announce(session, now)
    named = trainers_of(session) if session.plan.trainers else None
    return Done(caught_up.session, (event_of(session, SessionScheduled, now), *caught_up.events), named)


def change(session: Session, plan: Plan, now: datetime) -> Done | RefusedByRule:
    """Give the session another plan.

    A draft may become anything consistent, without an event. Once published, the past stays: no past date
    moves, except a close of enrolment, which reopens it; no date moves into the past, no module that has
    begun changes, nor released seats, nor the approval once enrolment is open, nor anything once the session
    is over or cancelled. Capacity may go down: enrolment evicts nobody.
    """
    if session.status is Status.CANCELLED:
        return refused(RefusalCode.ALREADY_CANCELLED, "the session is cancelled, which is final")
    if plan == session.plan:
        return Done(session)
    violations = list(inconsistencies(plan, now))
    if session.status is Status.PUBLISHED:
        if phase_at(session.plan, now) is Phase.OVER:
            return refused(RefusalCode.SESSION_OVER, "the session is over: nothing of it can change")
        violations += [
            *without_place(plan),
            *not_private(plan, session.format),
            *_rewritten_past(session.plan, plan, now),
        ]
    return RefusedByRule(tuple(violations)) if violations else amend(session, plan, now)


def unchangeable(session: ShownSession, now: datetime) -> frozenset[str]:
    if session.status is not Status.PUBLISHED:
        return frozenset()
    plan = session.plan
    passed = {field for field in _FIXED_ONCE_PAST if getattr(plan, field) <= now}
    come = {
        f"{field}.{number}"
        for field, moment in _ROWS
        for number, row in enumerate(getattr(plan, field))
        if getattr(row, moment) <= now
    }
    return frozenset(passed | come | ({"approval"} if now >= plan.enrolment_opens_at else set()))


def amend(session: Session, plan: Plan, now: datetime) -> Done:
    """Change the plan without any check.

    Announcements due before the change come before it. An announced instant that moves into the future (only
    a load can move it) is announced again when it comes.
    """
    if session.status is not Status.PUBLISHED:
        return Done(replace(session, plan=plan, version=session.version + 1))
    before = announce(session, now)
    session = before.session
    session = replace(
        session, plan=plan, version=session.version + 1, announced=_still_true(session, plan, now)
    )
    after = announce(session, now)
    # Repeated with each change, because no compacted topic has the names: a service that lost them gets them
    # back.
    named = trainers_of(session) if plan.trainers or before.session.plan.trainers else None
    events = (*before.events, event_of(session, SessionChanged, now), *after.events)
    return Done(after.session, events, named)


def cancel(session: Session, now: datetime, reason: str | None = None) -> Done | RefusedByRule:
    """Nothing more is announced of a cancelled session."""
    if (why_not := uncancellable(session, now)) is not None:
        return why_not
    before = announce(session, now)
    session = replace(
        before.session,
        status=Status.CANCELLED,
        cancellation_reason=reason,
        version=before.session.version + 1,
    )
    return Done(session, (*before.events, event_of(session, SessionCancelled, now)))


def uncancellable(session: ShownSession, now: datetime) -> RefusedByRule | None:
    if session.status is Status.CANCELLED:
        return refused(RefusalCode.ALREADY_CANCELLED, "the session is cancelled already")
    if session.status is Status.DRAFT:
        return refused(
            RefusalCode.NOT_PUBLISHED, "a draft was never announced, so there is nothing to cancel"
        )
    if phase_at(session.plan, now) is Phase.OVER:
        return refused(RefusalCode.SESSION_OVER, "the session is over: it cannot be cancelled any more")
    return None


def undeletable(session: ShownSession) -> RefusedByRule | None:
    if session.status is Status.DRAFT:
        return None
    return refused(
        RefusalCode.ANNOUNCED,
        "the session was published: it can be cancelled while it is not over, not deleted",
    )


def without_recording(session: Session, now: datetime) -> RefusedByRule | None:
    """Return None if the session can have a replay."""
    if session.status is Status.DRAFT:
        return refused(
            RefusalCode.NOT_PUBLISHED, "a draft was never announced, so there is nothing to replay"
        )
    if session.status is Status.CANCELLED:
        return refused(
            RefusalCode.ALREADY_CANCELLED, "the session was cancelled, so there is nothing to replay"
        )
    if phase_at(session.plan, now) is Phase.UPCOMING:
        return refused(
            RefusalCode.NOT_STARTED, "the session has not started, so there is nothing to replay yet"
        )
    return None


def differences(before: Plan, after: Plan) -> tuple[str, ...]:
    return tuple(
        field.name for field in fields(Plan) if getattr(before, field.name) != getattr(after, field.name)
    )


_FIXED_ONCE_PAST = ("enrolment_opens_at", "starts_at", "ends_at")
_DATES = (*_FIXED_ONCE_PAST, "enrolment_closes_at")
_ROWS = (("modules", "starts_at"), ("reserved_seats", "release_at"))


def _rewritten_past(old: Plan, new: Plan, now: datetime) -> Iterator[Violation]:
    for field in _DATES:
        was, becomes = getattr(old, field), getattr(new, field)
        if was != becomes and was <= now and field in _FIXED_ONCE_PAST:
            yield Violation(RefusalCode.IN_THE_PAST, field, "this moment has passed: it cannot move any more")
        elif was != becomes and becomes < now:
            yield Violation(RefusalCode.IN_THE_PAST, field, "it cannot move into the past")
    for field, moment in _ROWS:
        yield from _rewritten_rows(field, moment, old, new, now)
    if old.approval is not new.approval and now >= old.enrolment_opens_at:
        yield Violation(RefusalCode.FIXED_ONCE_OPEN, "approval", "agents have asked under the present rule")


def _rewritten_rows(field: str, moment: str, old: Plan, new: Plan, now: datetime) -> Iterator[Violation]:
    was, becomes = getattr(old, field), getattr(new, field)
    for row in was:
        if getattr(row, moment) <= now and row not in becomes:
            detail = f"{_name_of(row)}: this moment has passed, so it cannot change any more"
            yield Violation(RefusalCode.IN_THE_PAST, field, detail)
    for number, row in enumerate(becomes):
        if getattr(row, moment) <= now and row not in was:
            detail = f"{_name_of(row)}: it cannot be in the past"
            yield Violation(RefusalCode.IN_THE_PAST, f"{field}.{number}.{moment}", detail)


def _name_of(row: Module | ReservedSeats) -> str:
    return f"“{row.title}”" if isinstance(row, Module) else f"the seats of {row.delegation}"


def _still_true(session: Session, plan: Plan, now: datetime) -> Announcement:
    """Return the announcements that the new plan does not move into the future.

    An unmoved instant stays announced, even if this clock is behind the clock that announced it.
    """
    true = Announcement.NOTHING
    for announcement in Announcement:
        due_at = instant_of(plan, announcement)
        moved = due_at != instant_of(session.plan, announcement)
        if due_at is not None and (announcement > session.announced or (moved and due_at > now)):
            break
        true = announcement
    return true
