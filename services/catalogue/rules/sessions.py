from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any
from uuid import UUID, uuid5

from shared.events.catalogue import (
    Audience,
    Module,
    Prerequisite,
    Question,
    ReservedSeats,
    SessionState,
    SessionTrainersChanged,
)
from shared.events.vocabulary import (
    ApprovalPolicy,
    Format,
    Status,
    WaitingList,
)

EVERYONE = Audience()


class Announcement(IntEnum):
    """What the clock has announced of a session: this and every smaller value."""

    NOTHING = 0
    OPENED = 1
    CLOSED = 2
    COMPLETED = 3


@dataclass(frozen=True, slots=True)
class Trainer:
    """The name is public, the address never.

    Another address gives another ``trainer_id``.
    """

    trainer_id: UUID
    name: str
    email: str | None = None

    def is_still(self, other: "Trainer") -> bool:
        if self.email is None or other.email is None:
            return self.email is other.email and self.name == other.name
        return self.email.lower() == other.email.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The decisions about a session. All moments are instants; ends are exclusive."""

    title: str
    enrolment_opens_at: datetime
    enrolment_closes_at: datetime
    starts_at: datetime
    ends_at: datetime
    timezone: str
    modules: tuple[Module, ...] = ()
    capacity: int | None = None
    minimum: int | None = None
    waiting_list: WaitingList = WaitingList.NONE
    offer_hold_hours: int = 48
    approval: ApprovalPolicy = ApprovalPolicy.NONE
    audience: Audience = EVERYONE
    reserved_seats: tuple[ReservedSeats, ...] = ()
    quota_per_authority: int | None = None
    joining_days_before: int = 15
    reminder_days_before: int = 7
    last_reminder_days_before: int = 1
    venue: str | None = None
    directions: str | None = None
    join_url: str | None = None
    questions: tuple[Question, ...] = ()
    prerequisite: Prerequisite | None = None
    evaluation_url: str | None = None
    trainers: tuple[Trainer, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Presentation:
    """``source`` is None if the session was not in the offer's files.

    No event contains the presentation. ``choices`` names the fields that the announcement does not state.
    """

    summary: str | None = None
    experts: tuple[str, ...] = ()
    source: str | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Loaded:
    plan: Plan
    presentation: Presentation


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSession:
    """``offer_id``, ``format`` and ``organiser`` never change.

    ``version`` is 0 before it is stored. ``reference`` is unique among the organiser's sessions.
    """

    session_id: UUID
    offer_id: str
    format: Format
    organiser: str
    reference: str | None = None
    plan: Plan
    presentation: Presentation = Presentation()
    version: int = 0
    status: Status = Status.DRAFT
    cancellation_reason: str | None = None
    announced: Announcement = Announcement.NOTHING

    def value_of(self, field: str) -> Any:
        parts = (self.plan, self.presentation, self)
        return getattr(next(part for part in parts if hasattr(part, field)), field)

    @property
    def speakers(self) -> tuple[str, ...]:
        trainers = (trainer.name for trainer in self.plan.trainers)
        return tuple(dict.fromkeys((*self.presentation.experts, *trainers)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Session(ShownSession):
    """``loaded`` is None if the session is not from the offer's files."""

    loaded: Loaded | None = None


@dataclass(frozen=True, slots=True)
class SessionTemplate:
    session_id: UUID
    name: str
    organiser: str
    title: str


@dataclass(frozen=True, slots=True)
class Occupancy:
    version: int
    capacity: int | None
    enrolled: int
    waiting: int
    offered: int


@dataclass(frozen=True, slots=True)
class CalendarSession:
    session_id: UUID
    format: Format
    title: str
    venue: str | None
    timezone: str
    starts_at: datetime
    ends_at: datetime
    modules: Sequence[Module]
    source: str | None
    status: Status
    is_full: bool


@dataclass(frozen=True, slots=True)
class ListedSession:
    """``occupancy`` is None if it is not counted yet. ``filled_at`` is when it was last stored.

    ``kilometres`` are to the place that was searched for, if the session has a known place.
    """

    session: ShownSession
    occupancy: Occupancy | None
    changed_at: datetime
    filled_at: datetime | None = None
    kilometres: int | None = None


@dataclass(frozen=True, slots=True)
class Done:
    session: Session
    events: tuple[SessionState, ...] = ()
    trainers: SessionTrainersChanged | None = None


def id_from_form(key: UUID, *content: str) -> UUID:
    return uuid5(key, "\n".join(content))
