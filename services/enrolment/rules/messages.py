"""What an organiser may write to who is in a session, when, and how often."""

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
"""What is to leave at once waits so long: it can be taken back, and decisions of before are heard first."""
LONGEST = timedelta(days=365)

STATES: Mapping[MessageAudience, frozenset[State]] = {
    MessageAudience.ENROLLED: frozenset(state for state in State if state.has_seat),
    MessageAudience.WAITLISTED: frozenset({State.WAITLISTED}),
    MessageAudience.OFFERED: frozenset({State.OFFERED}),
    MessageAudience.PENDING: frozenset({State.PENDING_APPROVAL, State.PENDING_SELECTION}),
}


@dataclass(frozen=True, slots=True)
class OrganiserMessage:
    """A message of an organiser to the people of a session.

    ``audience``: in which states their enrolments are. ``enrolment_ids``: only these; None: all of them.
    """

    text: str
    link: str | None
    audience: tuple[MessageAudience, ...]
    enrolment_ids: tuple[UUID, ...] | None

    @property
    def states(self) -> list[State]:
        """The states of the enrolments that are meant."""
        return sorted(state for audience in self.audience for state in STATES[audience])


class MessageFault(StrEnum):
    """Why a message is not taken."""

    SESSION_IS_CANCELLED = "session_is_cancelled"
    IS_PAST = "is_past"
    TOO_FAR = "too_far"
    ENOUGH_THAT_DAY = "enough_that_day"
    NOT_OF_THE_SESSION = "not_of_the_session"


def moment_of(send_at: datetime | None, now: datetime) -> datetime:
    """When a message leaves: at the time that was asked for, or at once, after the pause."""
    return now + PAUSE if send_at is None else max(send_at, now + PAUSE)


def judge_message(
    session: SessionState, send_at: datetime | None, others: Sequence[datetime], policy: Policy, now: datetime
) -> MessageFault | None:
    """Why a message to who is in a session is not taken; None: it is.

    ``others``: when those of the session leave, or have left. Days are those of the session's zone.
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
