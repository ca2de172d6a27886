from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID
from zoneinfo import ZoneInfo

from services.enrolment.rules.policy import Policy
from services.enrolment.rules.states import State
from shared.events.catalogue import SessionState
from shared.events.enrolment import MessageAudience
from shared.events.vocabulary import Status

PAUSE = timedelta(minutes=1)
"""A message sent at once waits this long: it can be taken back, and earlier decisions are read first."""
LONGEST = timedelta(days=365)

STATES: Mapping[MessageAudience, frozenset[State]] = {
    MessageAudience.ENROLLED: frozenset(state for state in State if state.has_seat),
    MessageAudience.WAITLISTED: frozenset({State.WAITLISTED}),
    MessageAudience.OFFERED: frozenset({State.OFFERED}),
    MessageAudience.PENDING: frozenset({State.PENDING_APPROVAL, State.PENDING_SELECTION}),
}


@dataclass(frozen=True, slots=True)
class OrganiserMessage:
    """``audience`` has states of recipients. ``enrolment_ids`` restricts the recipients; None means all."""

    text: str
    link: str | None
    audience: tuple[MessageAudience, ...]
    enrolment_ids: tuple[UUID, ...] | None

    @property
    def states(self) -> list[State]:
        return sorted(state for audience in self.audience for state in STATES[audience])


class MessageFault(StrEnum):
    SESSION_IS_CANCELLED = "session_is_cancelled"
    IS_PAST = "is_past"
    TOO_FAR = "too_far"
    ENOUGH_THAT_DAY = "enough_that_day"
    NOT_OF_THE_SESSION = "not_of_the_session"


def moment_of(send_at: datetime | None, now: datetime) -> datetime:
    return now + PAUSE if send_at is None else max(send_at, now + PAUSE)


def judge_message(
    session: SessionState, send_at: datetime | None, others: Sequence[datetime], policy: Policy, now: datetime
) -> MessageFault | None:
    """Return why the message is refused, or None if it is accepted.

    ``others`` are the times of the session's other messages. Days are those of its time zone.
    """
    if session.status is Status.CANCELLED:
        return MessageFault.SESSION_IS_CANCELLED
    if send_at is not None and send_at < now:
        return MessageFault.IS_PAST
    if send_at is not None and send_at > now + LONGEST:
        return MessageFault.TOO_FAR
    zone = ZoneInfo(session.timezone)
    day = moment_of(send_at, now).astimezone(zone).date()
    if sum(other.astimezone(zone).date() == day for other in others) >= policy.messages_a_day:
        return MessageFault.ENOUGH_THAT_DAY
    return None
