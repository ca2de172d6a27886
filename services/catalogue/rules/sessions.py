"""What a session is: its plan, what people see of it, and how full it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
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
"""The audience that restricts nothing."""


class Announcement(IntEnum):
    """What the clock has announced of a session: this and all that is smaller."""

    NOTHING = 0
    OPENED = 1
    CLOSED = 2
    COMPLETED = 3


@dataclass(frozen=True, slots=True)
class Trainer:
    """Who speaks or teaches in a session, as a person: their name is public, their address never is.

    ``trainer_id`` stands for them in this session and at this address: another address is another one.
    """

    trainer_id: UUID
    name: str
    email: str | None = None

    def is_still(self, other: "Trainer") -> bool:
        """Whether ``other`` is the same: by the address, or by the name where neither has one."""
        if self.email is None or other.email is None:
            return self.email is other.email and self.name == other.name
        return self.email.lower() == other.email.lower()


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
    join_url: str | None = None
    questions: tuple[Question, ...] = ()
    prerequisite: Prerequisite | None = None
    evaluation_url: str | None = None
    trainers: tuple[Trainer, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Presentation:
    """What people see of a session besides its plan; no event says it.

    ``source`` is where the offer's files have the session from; None: an organiser made it here. ``choices``
    names the fields that the announcement does not state.
    """

    summary: str | None = None
    experts: tuple[str, ...] = ()
    source: str | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the offer's files last gave of a session."""

    plan: Plan
    presentation: Presentation


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSession:
    """A session of the catalogue, to look at. ``offer_id``, ``format`` and ``organiser`` never change.

    ``version`` is 0 for what is not stored yet, and one more with each change and each announcement.
    ``reference`` is the organiser's own name for it, which no other session of theirs has.
    ``cancellation_reason`` is what the organiser wrote when they cancelled it, for everybody to read.
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

    @property
    def speakers(self) -> tuple[str, ...]:
        """Whom its page names: who was announced, then the trainers, each name once."""
        trainers = (trainer.name for trainer in self.plan.trainers)
        return tuple(dict.fromkeys((*self.presentation.experts, *trainers)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Session(ShownSession):
    """A session as it is stored, to change and save it.

    ``loaded`` is None where the session is not of the offer's files.
    """

    loaded: Loaded | None = None


@dataclass(frozen=True, slots=True)
class SessionTemplate:
    """A session that has a ``name``, unique among its organiser's, to begin others from it."""

    session_id: UUID
    name: str
    organiser: str
    title: str


@dataclass(frozen=True, slots=True)
class Occupancy:
    """How full a session is, as the enrolment service last counted. ``capacity`` None: no limit."""

    version: int
    capacity: int | None
    enrolled: int
    waiting: int
    offered: int


@dataclass(frozen=True, slots=True)
class CalendarSession:
    """A session as a calendar has it, which may show hundreds: when, where, and whether a seat is left."""

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
    """A session as a list has it. ``occupancy`` None: the enrolment service has not counted it yet.

    ``changed_at`` is when the session was last stored, ``filled_at`` when its occupancy was; what only the
    clock changes is in neither.
    """

    session: ShownSession
    occupancy: Occupancy | None
    changed_at: datetime
    filled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """The session as it is now and the events to publish, in order; who speaks in it, where that is said."""

    session: Session
    events: tuple[SessionState, ...] = ()
    trainers: SessionTrainersChanged | None = None


def id_from_form(key: UUID, *content: str) -> UUID:
    """The id of a session that the form of this key makes: the same each time that it sends this content."""
    return uuid5(key, "\n".join(content))
