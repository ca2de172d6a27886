from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import IntEnum, StrEnum
from uuid import UUID
from zoneinfo import ZoneInfo

from shared.events.catalogue import SessionState
from shared.events.vocabulary import Format, Status

AHEAD = timedelta(days=7)
MISSING_BEFORE = timedelta(days=7)
"""Missing approvals and lists of trainees become tasks this long before the close."""


class OrganiserTask(StrEnum):
    HELD_TODAY = "held_today"
    MINIMUM_MISSED = "minimum_missed"
    RANKING_DUE = "ranking_due"
    ATTENDANCE_DUE = "attendance_due"
    BESPOKE_NEW = "bespoke_new"
    BESPOKE_PROPOSAL_DUE = "bespoke_proposal_due"
    NOMINATIONS_MISSING = "nominations_missing"
    APPROVALS_MISSING = "approvals_missing"
    OFFERS_OUT = "offers_out"
    ADDRESSES_BAD = "addresses_bad"


class OrganiserDate(StrEnum):
    OPENS = "opens"
    CLOSES = "closes"
    STARTS = "starts"
    ENDS = "ends"
    RELEASE = "release"
    LAPSE = "lapse"


@dataclass(frozen=True, slots=True)
class SessionNumbers:
    """``next_lapse``: the end of its first open offer.

    ``unrecorded``: some attendance is missing. ``bad_addresses``: live agents whose mails bounce.
    ``noted``: agents with a seat whose arrival or attendance at today's module is known.
    """

    session: SessionState
    enrolled: int
    offered: int
    waiting: int
    pending_approval: int
    pending_selection: int
    bad_addresses: int
    next_lapse: datetime | None
    unrecorded: bool
    noted: int = 0

    @property
    def taken(self) -> int:
        return self.enrolled + self.offered

    def kept(self, now: datetime) -> int:
        """Return the most free seats that may be reserved for delegations."""
        reserved = sum(reserve.seats for reserve in self.session.reserved_seats if reserve.release_at > now)
        free = max(0, (self.session.capacity or 0) - self.taken)
        return min(reserved, free)

    @property
    def expected(self) -> int:
        return self.enrolled - self.noted

    def module_today(self, now: datetime) -> int | None:
        """Return the number of today's module that is not over, from 0, or None."""
        today = self._day(now)
        held = enumerate(self._held())
        return next((module for module, (at, end) in held if self._day(at) == today and now < end), None)

    def held_today(self, now: datetime) -> datetime | None:
        """Return the start of :meth:`module_today`."""
        module = self.module_today(now)
        return None if module is None else self._held()[module][0]

    def _held(self) -> list[tuple[datetime, datetime]]:
        session = self.session
        return [(module.starts_at, module.ends_at) for module in session.modules] or [
            (session.starts_at, session.ends_at)
        ]

    def _day(self, moment: datetime) -> date:
        return moment.astimezone(ZoneInfo(self.session.timezone)).date()

    def tasks(self, now: datetime) -> list[OrganiserTask]:
        session = self.session
        if session.status is Status.CANCELLED:
            return []
        is_closed, is_over = session.enrolment_closes_at <= now, session.ends_at <= now
        is_closing = session.enrolment_closes_at - MISSING_BEFORE <= now
        is_empty = not (self.taken or self.waiting)
        misses = session.minimum is not None and self.taken < session.minimum
        due = {
            OrganiserTask.HELD_TODAY: self.expected > 0
            and session.format is not Format.MOOC
            and self.held_today(now),
            OrganiserTask.MINIMUM_MISSED: misses and is_closed and now < session.starts_at,
            OrganiserTask.RANKING_DUE: self.pending_selection and is_closed and not is_over,
            OrganiserTask.ATTENDANCE_DUE: self.unrecorded and is_over and session.format is not Format.MOOC,
            OrganiserTask.NOMINATIONS_MISSING: session.format is Format.BESPOKE
            and is_empty
            and is_closing
            and now < session.starts_at,
            OrganiserTask.APPROVALS_MISSING: self.pending_approval and is_closing and not is_closed,
            OrganiserTask.OFFERS_OUT: self.offered,
            OrganiserTask.ADDRESSES_BAD: self.bad_addresses and not is_over,
        }
        return [task for task in OrganiserTask if due.get(task)]

    def dates(self, since: datetime, until: datetime) -> Iterator[tuple[datetime, OrganiserDate]]:
        session = self.session
        if session.status is Status.CANCELLED:
            return
        releases = [(reserve.release_at, OrganiserDate.RELEASE) for reserve in session.reserved_seats]
        lapse = [] if self.next_lapse is None else [(self.next_lapse, OrganiserDate.LAPSE)]
        fixed = [
            (session.enrolment_opens_at, OrganiserDate.OPENS),
            (session.enrolment_closes_at, OrganiserDate.CLOSES),
        ]
        # The first module of a day is enough, and its end is not listed.
        first = {self._day(at): (at, OrganiserDate.STARTS) for at, _ in sorted(self._held(), reverse=True)}
        starts = [*first.values()]
        if self._day(session.ends_at) not in first:
            fixed.append((session.ends_at, OrganiserDate.ENDS))
        yield from (date for date in {*fixed, *starts, *releases, *lapse} if since <= date[0] < until)


class BespokeStep(IntEnum):
    NEW = 0
    TAKEN_ON = 1
    DONE = 2


@dataclass(frozen=True, slots=True)
class BespokeTask:
    request_id: UUID
    delegation: str
    authority: str
    trainees: int
    since: datetime
    step: BespokeStep

    @property
    def task(self) -> OrganiserTask:
        is_new = self.step is BespokeStep.NEW
        return OrganiserTask.BESPOKE_NEW if is_new else OrganiserTask.BESPOKE_PROPOSAL_DUE


WaitingTask = tuple[OrganiserTask, SessionNumbers | BespokeTask]


def waiting_tasks(
    sessions: Iterable[SessionNumbers], requests: Iterable[BespokeTask], now: datetime
) -> list[WaitingTask]:
    order = list(OrganiserTask)
    tasks: list[WaitingTask] = [(task, numbers) for numbers in sessions for task in numbers.tasks(now)]
    tasks += [(request.task, request) for request in requests]
    return sorted(tasks, key=lambda each: order.index(each[0]))


@dataclass(frozen=True, slots=True)
class ComingDate:
    at: datetime
    what: OrganiserDate
    session: SessionState


def coming_dates(sessions: Iterable[SessionNumbers], now: datetime, until: datetime) -> list[ComingDate]:
    coming = [
        ComingDate(at, what, numbers.session)
        for numbers in sessions
        for at, what in numbers.dates(now, until)
    ]
    return sorted(coming, key=lambda each: (each.at, each.session.starts_at, each.what))
