from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field

from shared.events.reasons import Reason

DetailRow = Mapping[str, str | int]
LetterDetails = Mapping[str, str | int | bool | Sequence[str] | Sequence[DetailRow] | None]
"""JSON, with moments as RFC 3339 text."""


class Priority(IntEnum):
    ANSWER = 0
    REMINDER = 1
    NEWS = 2


class CalendarAction(StrEnum):
    INVITE = "invite"
    CANCEL = "cancel"
    REMOVE = "remove"
    """Remove the séances named in the letter."""
    REPLACE = "replace"
    """Remove the former session, and add the new one."""


class Link(StrEnum):
    WITHDRAW = "withdraw"
    OFFER = "offer"
    CERTIFICATE = "certificate"
    CONFIRM = "confirm"
    CONFIRM_ADDRESS = "confirm_address"
    CONFIRM_CORRECTION = "confirm_correction"
    CONFIRM_LOG_IN = "confirm_log_in"
    ROSTER = "roster"
    LIST = "list"


class Tone(StrEnum):
    PLAIN = "accent"
    GOOD = "good"
    URGENT = "urgent"
    WAITING = "waiting"
    ENDED = "ended"


class LetterType(StrEnum):
    CONFIRMED = "enrolment-confirmed"
    SEAT_ASSIGNED = "seat-assigned"
    MOVED = "moved"
    WAITLISTED = "waitlisted"
    SEAT_OFFERED = "seat-offered"
    OFFER_LAPSED = "offer-lapsed"
    SEAT_NOT_OBTAINED = "seat-not-obtained"
    PENDING = "pending"
    REFUSED = "refused"
    ALREADY_ENROLLED = "already-enrolled"
    WITHDRAWAL_REFUSED = "withdrawal-refused"
    OFFER_REFUSED = "offer-refused"
    MOVE_REFUSED = "move-refused"
    WITHDRAWN = "withdrawn"
    SESSION_CANCELLED = "session-cancelled"
    JOINING = "joining-instructions"
    REMINDER_WEEK = "reminder-week"
    REMINDER_DAY = "reminder-day"
    SESSION_CHANGED = "session-changed"
    MODULE_CANCELLED = "module-cancelled"
    SESSION_CHANGED_WAITING = "session-changed-waiting"
    REPLAY_AVAILABLE = "replay-available"
    CERTIFICATE = "certificate"
    CERTIFICATE_VOID = "certificate-void"
    EVALUATION = "evaluation"
    BESPOKE_RECEIVED = "bespoke-received"
    BESPOKE_ANSWERED = "bespoke-answered"
    NEWS = "news"
    CONFIRM_SUBSCRIPTION = "confirm-subscription"
    MY_ENROLMENTS = "my-enrolments"
    CONFIRM_ADDRESS = "confirm-address"
    ADDRESS_GIVEN = "address-given"
    ADDRESS_CORRECTED = "address-corrected"
    MINIMUM_MISSED = "minimum-missed"
    SELECTION_DUE = "selection-due"
    ORGANISER_MESSAGE = "organiser-message"
    NOMINATION_ANSWERED = "nomination-answered"
    WEBHOOK_DISABLED = "webhook-disabled"
    MAILS_RETURNED = "mails-returned"
    DIGEST = "digest"
    TRAINER_NAMED = "trainer-named"
    TRAINER_CHANGED = "trainer-session-changed"
    TRAINER_CANCELLED = "trainer-session-cancelled"


class EnrolmentState(StrEnum):
    ENROLLED = "enrolled"
    WAITLISTED = "waitlisted"
    OFFERED = "offered"
    LAPSED = "lapsed"
    NOT_OBTAINED = "not_obtained"
    PENDING = "pending"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Kind:
    """The common traits of letters with one template.

    A letter is sent only while the enrolment is in the state ``valid_while``. ``access``: it shows how to
    connect. ``subscribed``: its reader may unsubscribe. ``as_given``: it is about the address that it goes
    to.
    """

    valid_while: EnrolmentState | None = None
    priority: Priority = Priority.ANSWER
    calendar: CalendarAction | None = None
    link: Link | None = None
    access: bool = False
    subscribed: bool = False
    as_given: bool = False
    tone: Tone = Tone.PLAIN


KINDS: Mapping[LetterType, Kind] = {
    LetterType.CONFIRMED: Kind(
        valid_while=EnrolmentState.ENROLLED,
        calendar=CalendarAction.INVITE,
        link=Link.WITHDRAW,
        access=True,
        tone=Tone.GOOD,
    ),
    LetterType.SEAT_ASSIGNED: Kind(
        valid_while=EnrolmentState.ENROLLED,
        calendar=CalendarAction.INVITE,
        link=Link.WITHDRAW,
        access=True,
        tone=Tone.GOOD,
    ),
    LetterType.MOVED: Kind(
        valid_while=EnrolmentState.ENROLLED,
        calendar=CalendarAction.REPLACE,
        link=Link.WITHDRAW,
        access=True,
        tone=Tone.GOOD,
    ),
    LetterType.WAITLISTED: Kind(valid_while=EnrolmentState.WAITLISTED, link=Link.WITHDRAW, tone=Tone.WAITING),
    LetterType.SEAT_OFFERED: Kind(valid_while=EnrolmentState.OFFERED, link=Link.OFFER, tone=Tone.URGENT),
    LetterType.OFFER_LAPSED: Kind(valid_while=EnrolmentState.LAPSED, tone=Tone.ENDED),
    # A waiting list of thousands ends at once: answers to recent requests go first.
    LetterType.SEAT_NOT_OBTAINED: Kind(
        valid_while=EnrolmentState.NOT_OBTAINED, priority=Priority.REMINDER, tone=Tone.ENDED
    ),
    LetterType.PENDING: Kind(valid_while=EnrolmentState.PENDING, link=Link.WITHDRAW, tone=Tone.WAITING),
    LetterType.REFUSED: Kind(valid_while=EnrolmentState.REFUSED, tone=Tone.ENDED),
    LetterType.ALREADY_ENROLLED: Kind(),
    LetterType.WITHDRAWAL_REFUSED: Kind(tone=Tone.ENDED),
    LetterType.OFFER_REFUSED: Kind(tone=Tone.ENDED),
    LetterType.MOVE_REFUSED: Kind(tone=Tone.ENDED),
    LetterType.WITHDRAWN: Kind(valid_while=EnrolmentState.WITHDRAWN, calendar=CalendarAction.CANCEL),
    # A cancellation may concern 100,000 agents: answers to recent requests go first.
    LetterType.SESSION_CANCELLED: Kind(
        calendar=CalendarAction.CANCEL, priority=Priority.REMINDER, tone=Tone.ENDED
    ),
    LetterType.JOINING: Kind(
        valid_while=EnrolmentState.ENROLLED,
        priority=Priority.REMINDER,
        calendar=CalendarAction.INVITE,
        link=Link.WITHDRAW,
        access=True,
    ),
    LetterType.REMINDER_WEEK: Kind(
        valid_while=EnrolmentState.ENROLLED,
        priority=Priority.REMINDER,
        link=Link.WITHDRAW,
        access=True,
    ),
    LetterType.REMINDER_DAY: Kind(
        valid_while=EnrolmentState.ENROLLED,
        priority=Priority.REMINDER,
        link=Link.WITHDRAW,
        access=True,
    ),
    LetterType.SESSION_CHANGED: Kind(
        valid_while=EnrolmentState.ENROLLED,
        priority=Priority.REMINDER,
        calendar=CalendarAction.INVITE,
        link=Link.WITHDRAW,
        access=True,
    ),
    LetterType.MODULE_CANCELLED: Kind(
        valid_while=EnrolmentState.ENROLLED,
        priority=Priority.REMINDER,
        calendar=CalendarAction.REMOVE,
        link=Link.WITHDRAW,
        access=True,
    ),
    LetterType.SESSION_CHANGED_WAITING: Kind(priority=Priority.REMINDER, link=Link.WITHDRAW),
    LetterType.REPLAY_AVAILABLE: Kind(priority=Priority.NEWS),
    LetterType.CERTIFICATE: Kind(link=Link.CERTIFICATE, tone=Tone.GOOD),
    LetterType.CERTIFICATE_VOID: Kind(tone=Tone.ENDED),
    LetterType.EVALUATION: Kind(priority=Priority.REMINDER),
    LetterType.BESPOKE_RECEIVED: Kind(tone=Tone.WAITING),
    LetterType.BESPOKE_ANSWERED: Kind(link=Link.LIST),
    LetterType.NEWS: Kind(priority=Priority.NEWS, subscribed=True),
    LetterType.CONFIRM_SUBSCRIPTION: Kind(link=Link.CONFIRM, tone=Tone.URGENT),
    LetterType.MY_ENROLMENTS: Kind(link=Link.CONFIRM_LOG_IN),
    LetterType.CONFIRM_ADDRESS: Kind(link=Link.CONFIRM_ADDRESS, as_given=True, tone=Tone.URGENT),
    LetterType.ADDRESS_GIVEN: Kind(as_given=True),
    LetterType.ADDRESS_CORRECTED: Kind(link=Link.CONFIRM_CORRECTION, as_given=True, tone=Tone.URGENT),
    LetterType.MINIMUM_MISSED: Kind(tone=Tone.URGENT),
    LetterType.SELECTION_DUE: Kind(tone=Tone.URGENT),
    # It goes to all participants of a session: answers to recent requests go first.
    LetterType.ORGANISER_MESSAGE: Kind(priority=Priority.REMINDER),
    LetterType.NOMINATION_ANSWERED: Kind(),
    LetterType.WEBHOOK_DISABLED: Kind(tone=Tone.URGENT),
    LetterType.MAILS_RETURNED: Kind(priority=Priority.REMINDER, tone=Tone.URGENT),
    LetterType.TRAINER_NAMED: Kind(calendar=CalendarAction.INVITE, link=Link.ROSTER, access=True),
    LetterType.TRAINER_CHANGED: Kind(
        priority=Priority.REMINDER, calendar=CalendarAction.INVITE, link=Link.ROSTER, access=True
    ),
    LetterType.TRAINER_CANCELLED: Kind(
        priority=Priority.REMINDER, calendar=CalendarAction.CANCEL, tone=Tone.ENDED
    ),
    LetterType.DIGEST: Kind(priority=Priority.REMINDER, subscribed=True),
}


@dataclass(frozen=True, slots=True)
class Letter:
    """Without ``needs_session`` the letter does not wait until its session is known.

    ``once``: an enrolment gets it only once.
    """

    template: LetterType
    details: LetterDetails = field(default_factory=dict)
    needs_session: bool = True
    once: bool = False


@dataclass(frozen=True, slots=True)
class Mail:
    mail_id: UUID
    template: LetterType
    details: LetterDetails
    message_id: str
    address: str
    given_name: str
    family_name: str
    session_id: UUID | None
    enrolment_id: UUID | None
    version: int
    called_for_at: datetime

    @property
    def name(self) -> str:
        return f"{self.given_name} {self.family_name}".strip()


@dataclass(frozen=True, slots=True)
class KnownEnrolment:
    version: int
    state: Annotated[EnrolmentState, Field(alias="standing")]
    """Stored letters have it as ``standing`` in JSON."""


def items_of(mail: Mail) -> tuple[UUID, ...]:
    items = mail.details.get("items")
    return tuple(UUID(str(item)) for item in items) if isinstance(items, Sequence) else ()


def quoted_reason(reason: str | None) -> LetterDetails:
    return {} if reason is None else {"said": reason}


def rows_of(details: LetterDetails, name: str) -> tuple[DetailRow, ...]:
    rows = details.get(name)
    return tuple(row for row in rows if isinstance(row, Mapping)) if isinstance(rows, Sequence) else ()


def sessions_listed(mail: Mail) -> tuple[UUID, ...]:
    return tuple(UUID(str(row["session"])) for row in rows_of(mail.details, "sessions"))


def hold_until(mail: Mail) -> datetime:
    return datetime.fromisoformat(str(mail.details["hold_until"]))


def other_session(mail: Mail) -> UUID | None:
    """Return the session that the agent left, or the session without a seat."""
    other = mail.details.get("left_session") or mail.details.get("to_session")
    return UUID(str(other)) if other else None


def suggests_others(mail: Mail) -> bool:
    if mail.template is LetterType.REFUSED:
        reason = mail.details.get("reason")
        return reason in set(Reason) and Reason(str(reason)).refusal.others_may_help
    return mail.template in (
        LetterType.SESSION_CANCELLED,
        LetterType.SEAT_NOT_OBTAINED,
        LetterType.OFFER_LAPSED,
    )
