"""What the rules speak of: a session and its plan, and what may be answered."""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from uuid import UUID

from pydantic import Field

from shared.events.catalogue import (
    Audience,
    Module,
    ReservedSeats,
    SessionState,
)
from shared.events.vocabulary import (
    ApprovalPolicy,
    Fact,
    Format,
    Status,
    Timezone,
    WaitingList,
)

EVERYONE = Audience()
"""The audience that restricts nothing."""


class Announcement(IntEnum):
    """What the clock has told of a session: this and all that is smaller."""

    NOTHING = 0
    OPENED = 1
    CLOSED = 2
    COMPLETED = 3


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
    quota_per_authority: int | None = None
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


@dataclass(frozen=True, slots=True)
class Occupancy:
    """How full a session is, as the enrolment service said last. ``capacity`` None: no limit."""

    version: int
    capacity: int | None
    enrolled: int
    waiting: int
    offered: int


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
    quota_per_authority: int | None = Field(default=None, ge=1, le=1_000_000)


class Refusal(StrEnum):
    """Why something may not be done to a session, a request or a resource."""

    DATES_OUT_OF_ORDER = "dates_out_of_order"
    NOT_THIS_CENTURY = "not_this_century"
    MODULE_OUTSIDE_SESSION = "module_outside_session"
    TOO_MANY_RESERVED_SEATS = "too_many_reserved_seats"
    DELEGATION_RESERVED_TWICE = "delegation_reserved_twice"
    UNKNOWN_DELEGATION = "unknown_delegation"
    NO_PLACE = "no_place"
    NOT_PRIVATE = "not_private"
    ALREADY_PUBLISHED = "already_published"
    NOT_PUBLISHED = "not_published"
    ALREADY_CANCELLED = "already_cancelled"
    ANNOUNCED = "announced"
    SESSION_OVER = "session_over"
    IN_THE_PAST = "in_the_past"
    FIXED_ONCE_OPEN = "fixed_once_open"
    NOT_STARTED = "not_started"
    NOT_ANSWERABLE = "not_answerable"
    NO_SESSION = "no_session"
    OF_THE_FILES = "of_the_files"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that stands in the way.

    ``field`` is where in the plan, as a path such as ``modules.0.ends_at``; None for the whole session.
    """

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
