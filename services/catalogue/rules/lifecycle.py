from dataclasses import asdict, fields, replace
from datetime import MAXYEAR, MINYEAR, UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from services.catalogue.rules.sessions import Announcement, Done, Plan, Session, ShownSession
from shared.events.catalogue import (
    SessionClosed,
    SessionCompleted,
    SessionOpened,
    SessionState,
    SessionTrainer,
    SessionTrainersChanged,
)
from shared.events.vocabulary import EnrolmentWindow, Phase, Status

_EVENT_OF: dict[Announcement, type[SessionState]] = {
    Announcement.OPENED: SessionOpened,
    Announcement.CLOSED: SessionClosed,
    Announcement.COMPLETED: SessionCompleted,
}


def instant(wall_clock: datetime, timezone: str) -> datetime:
    """Return the UTC instant of ``wall_clock``, a naive datetime in ``timezone``.

    An hour that comes twice counts the first time. A skipped hour is read as if it had not been skipped.
    Raises ValueError for a year without such an instant.
    """
    if not MINYEAR < wall_clock.year < MAXYEAR:
        raise ValueError(f"there is no instant of the year {wall_clock.year}")
    return wall_clock.replace(tzinfo=ZoneInfo(timezone)).astimezone(UTC)


def days_before(moment: datetime, days: int, timezone: str) -> datetime:
    return instant(
        moment.astimezone(ZoneInfo(timezone)).replace(tzinfo=None) - timedelta(days=days), timezone
    )


def shifted(plan: Plan, starts_at: datetime) -> Plan:
    """Move all moments with the start, on the clocks of the plan's zone.

    A moment of enrolment on a day before the start moves by whole days and keeps its time of day.
    """
    zone = ZoneInfo(plan.timezone)

    def on_the_wall(moment: datetime) -> datetime:
        return moment.astimezone(zone).replace(tzinfo=None)

    before, after = on_the_wall(plan.starts_at), on_the_wall(starts_at)
    by, days = after - before, after.date() - before.date()

    def moved(moment: datetime) -> datetime:
        return instant(on_the_wall(moment) + by, plan.timezone)

    def moved_by_days(moment: datetime) -> datetime:
        is_earlier = on_the_wall(moment).date() < before.date()
        return instant(on_the_wall(moment) + (days if is_earlier else by), plan.timezone)

    return replace(
        plan,
        enrolment_opens_at=moved_by_days(plan.enrolment_opens_at),
        enrolment_closes_at=moved_by_days(plan.enrolment_closes_at),
        starts_at=moved(plan.starts_at),
        ends_at=moved(plan.ends_at),
        modules=tuple(
            module.model_copy(update={"starts_at": moved(module.starts_at), "ends_at": moved(module.ends_at)})
            for module in plan.modules
        ),
        reserved_seats=tuple(
            reserved.model_copy(update={"release_at": moved_by_days(reserved.release_at)})
            for reserved in plan.reserved_seats
        ),
    )


def phase_at(plan: Plan, now: datetime) -> Phase:
    if now >= plan.ends_at:
        return Phase.OVER
    return Phase.RUNNING if now >= plan.starts_at else Phase.UPCOMING


def enrolment_at(plan: Plan, now: datetime) -> EnrolmentWindow:
    if now >= plan.enrolment_closes_at:
        return EnrolmentWindow.CLOSED
    return EnrolmentWindow.OPEN if now >= plan.enrolment_opens_at else EnrolmentWindow.NOT_YET_OPEN


def state_of(session: ShownSession, now: datetime) -> dict[str, Any]:
    """Trainers have only their ids, because the state stays on a compacted topic."""
    plan = session.plan
    return {
        "session_id": session.session_id,
        "version": session.version,
        "offer_id": session.offer_id,
        "format": session.format,
        "organiser": session.organiser,
        "status": session.status,
        "cancellation_reason": session.cancellation_reason,
        "phase": phase_at(plan, now),
        "enrolment": enrolment_at(plan, now),
        "trainer_ids": tuple(trainer.trainer_id for trainer in plan.trainers),
    } | {field.name: getattr(plan, field.name) for field in fields(Plan) if field.name != "trainers"}


def event_of(session: ShownSession, contract: type[SessionState], now: datetime) -> SessionState:
    return contract(**state_of(session, now))


def trainers_of(session: ShownSession) -> SessionTrainersChanged:
    return SessionTrainersChanged(
        session_id=session.session_id,
        session_version=session.version,
        trainers=tuple(SessionTrainer(**asdict(trainer)) for trainer in session.plan.trainers),
    )


def instant_of(plan: Plan, announcement: Announcement) -> datetime | None:
    return {
        Announcement.NOTHING: None,
        Announcement.OPENED: plan.enrolment_opens_at,
        Announcement.CLOSED: plan.enrolment_closes_at,
        Announcement.COMPLETED: plan.ends_at,
    }[announcement]


def due_announcements(session: Session, now: datetime) -> tuple[Announcement, ...]:
    """Return a published session's due announcements in order; each is made once.

    Enrolment that opened before the publication is announced just after it, so that every consumer gets each
    event once.
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
    if session.status is not Status.PUBLISHED or session.announced is Announcement.COMPLETED:
        return None
    return instant_of(session.plan, Announcement(session.announced + 1))


def announce(session: Session, now: datetime) -> Done:
    events: list[SessionState] = []
    for announcement in due_announcements(session, now):
        session = replace(session, version=session.version + 1, announced=announcement)
        events.append(event_of(session, _EVENT_OF[announcement], now))
    return Done(session, tuple(events))
