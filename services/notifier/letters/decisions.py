from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from services.notifier.letters.kinds import (
    EnrolmentState,
    KnownEnrolment,
    Letter,
    LetterDetails,
    LetterType,
    quoted_reason,
)
from shared.events.enrolment import (
    AgentEnrolled,
    AgentWaitlisted,
    Attendance,
    AttendanceRecorded,
    Decision,
    EndedBecause,
    EnrolmentPending,
    EnrolmentRefused,
    EnrolmentWithdrawn,
    SeatLeft,
    SeatNotObtained,
    SeatOffered,
    SeatOfferLapsed,
    WithdrawnBy,
)
from shared.events.reasons import Reason


def letters_for(decision: Decision, before: EnrolmentState | None) -> tuple[Letter, ...]:
    """Without a seat there is nothing to cancel in the calendar."""
    had_seat = before in (None, EnrolmentState.ENROLLED)
    match decision:
        case AgentEnrolled():
            return (_letter_of_seat(decision),)
        case AgentWaitlisted(position=position, together=together):
            group = {"together": together} if together is not None and together > 1 else {}
            return (Letter(LetterType.WAITLISTED, {"position": position, **group}),)
        case SeatOffered(hold_until=hold_until, shortened_from=promised):
            shortened = {} if promised is None else {"shortened_from": promised.isoformat()}
            return (Letter(LetterType.SEAT_OFFERED, {"hold_until": hold_until.isoformat(), **shortened}),)
        case SeatOfferLapsed(cause=cause, because=because):
            return (Letter(LetterType.OFFER_LAPSED, {"cause": cause.value, **_because(because)}),)
        case SeatNotObtained(because=because):
            return (Letter(LetterType.SEAT_NOT_OBTAINED, _because(because)),)
        case EnrolmentPending(awaiting=awaiting, version=version):
            # A later decision follows the employer's approval (rule 16).
            approved = {"approved": True} if version > 1 else {}
            return (Letter(LetterType.PENDING, {"awaiting": awaiting.value, **approved}),)
        case EnrolmentRefused():
            return _letters_of_refusal(decision)
        case EnrolmentWithdrawn():
            return _letters_of_end(decision, had_seat=had_seat)
        case AttendanceRecorded(certified=True):
            return (Letter(LetterType.CERTIFICATE),)
        case AttendanceRecorded(certificate_void=True):
            return (Letter(LetterType.CERTIFICATE_VOID),)
        case AttendanceRecorded(attendance=Attendance.ATTENDED):
            return (Letter(LetterType.EVALUATION, once=True),)
        case _:
            return ()  # attendance at some modules, or an event that only a later version knows


def _letter_of_seat(enrolled: AgentEnrolled) -> Letter:
    if enrolled.moved_from is not None:
        return Letter(LetterType.MOVED, _names_of(enrolled.moved_from))
    return Letter(LetterType.SEAT_ASSIGNED if enrolled.from_waiting_list else LetterType.CONFIRMED)


def _letters_of_end(withdrawn: EnrolmentWithdrawn, *, had_seat: bool) -> tuple[Letter, ...]:
    if withdrawn.moved_to is not None:
        return ()  # the letter about the new seat says so
    if withdrawn.by is WithdrawnBy.SESSION_CANCELLED:
        kept = withdrawn.attendance_kept
        seen = {"attendance_kept": True} if kept else {}
        return (
            Letter(
                LetterType.SESSION_CANCELLED,
                {"had_seat": had_seat or kept, **seen, **quoted_reason(withdrawn.reason)},
            ),
        )
    joined = {"joined": True} if withdrawn.joined_to is not None else {}
    return (Letter(LetterType.WITHDRAWN, {"by": withdrawn.by.value, "had_seat": had_seat, **joined}),)


def _names_of(left: SeatLeft) -> LetterDetails:
    """The letter removes the former session from the calendar."""
    return {
        "left_session": str(left.session_id),
        "left_enrolment": str(left.enrolment_id),
        "left_version": left.version,
    }


def _letters_of_refusal(refused: EnrolmentRefused) -> tuple[Letter, ...]:
    if refused.asked == "approval":
        return ()  # the employer asked, and reads the answer on the portal
    if refused.reason is Reason.NOT_ENROLLED:
        return ()  # there was nothing to withdraw: only the portal needs the answer
    if refused.reason is Reason.ALREADY_ENROLLED and refused.asked == "enrolment":
        return (Letter(LetterType.ALREADY_ENROLLED),)  # the agent keeps the first enrolment
    known = refused.reason is not Reason.UNKNOWN_SESSION
    details: dict[str, str | list[str]] = {"reason": refused.reason.value, **_because(refused.because)}
    if refused.outside:
        details["outside"] = [part.value for part in refused.outside]
    if refused.to_session_id is not None:
        details["to_session"] = str(refused.to_session_id)
    return (Letter(_REFUSALS[refused.asked], details, needs_session=known),)


def _because(because: EndedBecause | None) -> dict[str, str]:
    return {} if because is None else {"because": because.value}


_REFUSALS = {
    "enrolment": LetterType.REFUSED,
    "withdrawal": LetterType.WITHDRAWAL_REFUSED,
    "offer": LetterType.OFFER_REFUSED,
    "swap": LetterType.MOVE_REFUSED,
}


def state_after(decision: Decision) -> EnrolmentState | None:
    """Return None if the decision changes nothing."""
    match decision:
        case AgentEnrolled():
            return EnrolmentState.ENROLLED
        case AgentWaitlisted():
            return EnrolmentState.WAITLISTED
        case SeatOffered():
            return EnrolmentState.OFFERED
        case SeatOfferLapsed():
            return EnrolmentState.LAPSED
        case SeatNotObtained():
            return EnrolmentState.NOT_OBTAINED
        case EnrolmentPending():
            return EnrolmentState.PENDING
        case EnrolmentRefused(asked="enrolment", reason=reason) if not reason.refusal.changes_nothing:
            return EnrolmentState.REFUSED
        case EnrolmentWithdrawn():
            return EnrolmentState.WITHDRAWN
        case _:
            return None


@dataclass(frozen=True, slots=True)
class DecisionsRead:
    letters: list[tuple[int, Letter]] = field(default_factory=list)
    states: dict[UUID, tuple[int, EnrolmentState]] = field(default_factory=dict)


def read_decisions(known: Mapping[UUID, KnownEnrolment], decisions: Sequence[Decision]) -> DecisionsRead:
    """A decision older than the known state calls for no letter.

    A refusal that changes nothing has no version of its own, so it is never old.
    """
    latest = dict(known)
    read = DecisionsRead()
    for place, decision in enumerate(decisions):
        before = latest.get(decision.enrolment_id)
        after = state_after(decision)
        if after is not None:
            if before is not None and decision.version <= before.version:
                continue
            latest[decision.enrolment_id] = KnownEnrolment(decision.version, after)
            read.states[decision.enrolment_id] = place, after
        letters = letters_for(decision, before.state if before else None)
        read.letters.extend((place, letter) for letter in letters)
    return read
