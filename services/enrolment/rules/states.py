from collections.abc import Mapping
from enum import StrEnum
from typing import Self


class State(StrEnum):
    PENDING_APPROVAL = "pending_approval"
    PENDING_SELECTION = "pending_selection"
    WAITLISTED = "waitlisted"
    OFFERED = "offered"
    ENROLLED = "enrolled"
    ATTENDED = "attended"
    ABSENT = "absent"
    ABSENT_JUSTIFIED = "absent_justified"
    CERTIFIED = "certified"
    REFUSED = "refused"
    LAPSED = "lapsed"
    NOT_OBTAINED = "not_obtained"
    WITHDRAWN = "withdrawn"
    SESSION_CANCELLED = "session_cancelled"

    @property
    def is_live(self) -> bool:
        """A live enrolment has not ended. Its agent may not ask for the session again."""
        return self not in _ENDED

    @property
    def has_seat(self) -> bool:
        return self in _WITH_SEAT

    @property
    def holds_seat(self) -> bool:
        return self is State.OFFERED or self in _WITH_SEAT


_ENDED = frozenset(
    {State.REFUSED, State.LAPSED, State.NOT_OBTAINED, State.WITHDRAWN, State.SESSION_CANCELLED}
)
_SEEN = frozenset({State.ATTENDED, State.ABSENT, State.ABSENT_JUSTIFIED, State.CERTIFIED})
_WITH_SEAT = _SEEN | {State.ENROLLED}
SEATED = tuple(state for state in State if state in _WITH_SEAT)
_GIVEN_UP = frozenset({State.WITHDRAWN, State.SESSION_CANCELLED})
_PLACED = frozenset({State.ENROLLED, State.WAITLISTED, State.REFUSED}) | _GIVEN_UP

TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.PENDING_APPROVAL: _PLACED | {State.PENDING_SELECTION},
    State.PENDING_SELECTION: _PLACED,
    # WAITLISTED to itself: another place in line.
    State.WAITLISTED: frozenset({State.WAITLISTED, State.OFFERED, State.ENROLLED, State.NOT_OBTAINED})
    | _GIVEN_UP,
    # OFFERED to itself: the session was moved, and the end of the offer with it.
    State.OFFERED: frozenset({State.OFFERED, State.ENROLLED, State.LAPSED}) | _GIVEN_UP,
    # ENROLLED to itself: attendance at one module of several. Attendance can be corrected.
    State.ENROLLED: frozenset({State.ENROLLED}) | _SEEN | _GIVEN_UP,
    State.ATTENDED: _SEEN | {State.ENROLLED},
    State.ABSENT: _SEEN | {State.ENROLLED},
    State.ABSENT_JUSTIFIED: _SEEN | {State.ENROLLED},
    State.CERTIFIED: _SEEN | {State.ENROLLED},
    **dict.fromkeys(_ENDED, frozenset()),
}


class Cause(StrEnum):
    explanation: str

    def __new__(cls, value: str, explanation: str = "") -> Self:
        if not explanation:
            raise ValueError(f"{value} needs an explanation")
        member = str.__new__(cls, value)
        member._value_ = value
        member.explanation = explanation
        return member

    WITHDRAWAL = "withdrawal", "withdrawn on request"
    EMPLOYER = "employer", "withdrawn on request of the employer"
    MOVED = "moved", "got a seat in another session of the same offer instead"
    JOINED = "joined", "the same person has another enrolment in the session, which stays"
    REPLACED = "replaced", "left out of a newer list of trainees"
    SEAT_FREED = "seat_freed", "first in line that may take the seat that was free"
    OFFER_ACCEPTED = "offer_accepted", "answered yes in time"
    OFFER_DECLINED = "offer_declined", "answered no"
    OFFER_EXPIRED = "offer_expired", "did not answer in time"
    OFFER_CUT = "offer_cut", "the session was brought forward, and no time was left for an answer"
    LINE_ENDED = "line_ended", "waited until no seat could be given any more"
    LINE_ENDED_AT_QUOTA = "line_ended_at_quota", "waited while the authority had all seats of its quota"
    LINE_CUT = "line_cut", "the session was brought forward, and no seat could be given any more"
    OFFER_SHORTENED = "offer_shortened", "the session was brought forward, and the offer ends sooner"
    APPROVAL_GRANTED = "approval_granted", "the employer agreed"
    APPROVAL_DENIED = "approval_denied", "the employer did not agree"
    APPROVAL_MISSING = "approval_missing", "the employer had said nothing when enrolment closed"
    APPROVAL_DROPPED = "approval_dropped", "the session needs nobody's agreement any more"
    SELECTION = "selection", "the organiser decided about the candidates"
    SELECTION_MISSING = "selection_missing", "the organiser had not decided when the session was over"
    PRIORITY = "priority", "an organiser changed the place in line"
    ATTENDANCE = "attendance", "attendance was recorded"
    SESSION_CANCELLED = "session_cancelled", "the session was cancelled"
