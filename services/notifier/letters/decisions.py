"""Which letters an event calls for, to whom. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from services.notifier.letters.kinds import (
    DetailRow,
    EnrolmentState,
    Letter,
    LetterDetails,
    LetterType,
    Mail,
    Standing,
    rows_of,
)
from shared.events.catalogue import (
    BespokeRequestAnswered,
    BespokeRequestReceived,
    ReplayPublished,
    SessionState,
)
from shared.events.enrolment import (
    AgentEnrolled,
    AgentWaitlisted,
    Attendance,
    AttendanceRecorded,
    Decision,
    EnrolmentPending,
    EnrolmentRefused,
    EnrolmentWithdrawn,
    NominationAnswered,
    SeatLeft,
    SeatNotObtained,
    SeatOffered,
    SeatOfferLapsed,
    WithdrawnBy,
)
from shared.events.seances import NumberedModule, NumberedSession, dropped
from shared.events.vocabulary import Reason, Status


def letters_for(decision: Decision, before: Standing | None) -> tuple[Letter, ...]:
    """The letters that a decision calls for.

    ``before`` is where the agent stood, None where that is not known. Without a seat there is nothing in
    their calendar to cancel.
    """
    had_seat = before in (None, Standing.ENROLLED)
    match decision:
        case AgentEnrolled():
            return (_letter_of_seat(decision),)
        case AgentWaitlisted(position=position, together=together):
            group = {"together": together} if together is not None and together > 1 else {}
            return (Letter(LetterType.WAITLISTED, {"position": position, **group}),)
        case SeatOffered(hold_until=hold_until):
            return (Letter(LetterType.SEAT_OFFERED, {"hold_until": hold_until.isoformat()}),)
        case SeatOfferLapsed(cause=cause):
            return (Letter(LetterType.OFFER_LAPSED, {"cause": cause.value}),)
        case SeatNotObtained():
            return (Letter(LetterType.SEAT_NOT_OBTAINED),)
        case EnrolmentPending(awaiting=awaiting):
            return (Letter(LetterType.PENDING, {"awaiting": awaiting.value}),)
        case EnrolmentRefused():
            return _letters_of_refusal(decision)
        case EnrolmentWithdrawn():
            return _letters_of_end(decision, had_seat=had_seat)
        case AttendanceRecorded(certified=True):
            return (Letter(LetterType.CERTIFICATE),)
        case AttendanceRecorded(attendance=Attendance.ATTENDED):
            return (Letter(LetterType.EVALUATION, once=True),)
        case _:
            return ()  # attendance alone, and what later versions publish


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
                {"had_seat": had_seat or kept, **seen, **_said_of_it(withdrawn.reason)},
            ),
        )
    joined = {"joined": True} if withdrawn.joined_to is not None else {}
    return (Letter(LetterType.WITHDRAWN, {"by": withdrawn.by.value, "had_seat": had_seat, **joined}),)


def _said_of_it(reason: str | None) -> LetterDetails:
    """What a letter quotes of why a session was cancelled."""
    return {} if reason is None else {"said": reason}


def _names_of(left: SeatLeft) -> LetterDetails:
    """What a letter needs of the enrolment that its reader left, to take it out of their calendar."""
    return {
        "left_session": str(left.session_id),
        "left_enrolment": str(left.enrolment_id),
        "left_version": left.version,
    }


def _letters_of_refusal(refused: EnrolmentRefused) -> tuple[Letter, ...]:
    if refused.asked == "approval":
        return ()  # the employer asked, and reads the answer on their portal
    if refused.reason is Reason.NOT_ENROLLED:
        return ()  # there was nothing to withdraw: the portal has its answer, the agent needs none
    if refused.reason is Reason.ALREADY_ENROLLED and refused.asked == "enrolment":
        return (Letter(LetterType.ALREADY_ENROLLED),)  # a refusal, but not one of the seat they have
    known = refused.reason is not Reason.UNKNOWN_SESSION
    details = {"reason": refused.reason.value}
    if refused.to_session_id is not None:
        details["to_session"] = str(refused.to_session_id)
    return (Letter(_REFUSALS[refused.asked], details, needs_session=known),)


_REFUSALS = {
    "enrolment": LetterType.REFUSED,
    "withdrawal": LetterType.WITHDRAWAL_REFUSED,
    "offer": LetterType.OFFER_REFUSED,
    "swap": LetterType.MOVE_REFUSED,
}
"""The letter of refusal, by what was requested."""


def standing_after(decision: Decision) -> Standing | None:
    """Where the agent stands once ``decision`` is taken; None where it leaves them as they were."""
    match decision:
        case AgentEnrolled():
            return Standing.ENROLLED
        case AgentWaitlisted():
            return Standing.WAITLISTED
        case SeatOffered():
            return Standing.OFFERED
        case SeatOfferLapsed():
            return Standing.LAPSED
        case SeatNotObtained():
            return Standing.NOT_OBTAINED
        case EnrolmentPending():
            return Standing.PENDING
        case EnrolmentRefused(asked="enrolment", reason=reason) if reason not in _CHANGE_NOTHING:
            return Standing.REFUSED
        case EnrolmentWithdrawn():
            return Standing.WITHDRAWN
        case _:
            return None


_CHANGE_NOTHING = frozenset({Reason.ALREADY_ENROLLED, Reason.NOT_ENROLLED})


@dataclass(frozen=True, slots=True)
class DecisionsRead:
    """What a batch of decisions amounts to; each is named by its place in the batch.

    ``letters`` are those that the decisions call for; ``standings`` hold the last decision about each
    enrolment that changed, and where the agent stands by it.
    """

    letters: list[tuple[int, Letter]] = field(default_factory=list)
    standings: dict[UUID, tuple[int, Standing]] = field(default_factory=dict)


def read_decisions(known: Mapping[UUID, EnrolmentState], decisions: Sequence[Decision]) -> DecisionsRead:
    """Read decisions in order. One that is older than what is known calls for nothing: it is history.

    A refusal that leaves an enrolment as it was has no version of its own, so it is never old.
    """
    latest = dict(known)
    read = DecisionsRead()
    for place, decision in enumerate(decisions):
        before = latest.get(decision.enrolment_id)
        after = standing_after(decision)
        if after is not None:
            if before is not None and decision.version <= before.version:
                continue
            latest[decision.enrolment_id] = EnrolmentState(decision.version, after)
            read.standings[decision.enrolment_id] = place, after
        letters = letters_for(decision, before.standing if before else None)
        read.letters.extend((place, letter) for letter in letters)
    return read


@dataclass(frozen=True, slots=True)
class SessionConsequences:
    """What a new state of a session means to those who are in it.

    ``reschedule``: its letters to come are due at other times, or for the first time, or not any more.
    """

    letters: tuple[Letter, ...] = ()
    reschedule: bool = False


def change_of(before: NumberedSession | None, after: NumberedSession, now: datetime) -> SessionConsequences:
    """Compare the newest state of a session with the one that was known, None where none was.

    What is taken out of calendars has a letter of its own: a mail can do one thing to a calendar.
    """
    if before is not None and after.version <= before.version:
        return SessionConsequences()
    if before is None or after.status is not before.status:
        return SessionConsequences(reschedule=True)
    if after.status is not Status.PUBLISHED or now >= after.ends_at:
        return SessionConsequences()
    details: dict[str, str | bool | Sequence[DetailRow] | None] = {}
    if _period(before) != _period(after):
        details |= {
            "starts_before": before.starts_at.isoformat(),
            "ends_before": before.ends_at.isoformat(),
            "timezone_before": before.timezone,
        }
    if after.modules and (rows := _moved_or_new(before, after)):
        details["modules"] = rows
    if before.venue != after.venue:
        details["venue_before"] = before.venue
    if before.join_url != after.join_url:
        details["link_changed"] = True
    called_for = [Letter(LetterType.SESSION_CHANGED, details)] if details else []
    gone = [{"title": module.title or after.title, **_row(module)} for module in dropped(before, after)]
    if gone:
        called_for.append(Letter(LetterType.MODULE_CANCELLED, {"modules": gone}))
    # Who has no seat has no link, and no calendar from which something must be taken.
    to_who_waits = {name: value for name, value in details.items() if name != "link_changed"}
    if to_who_waits or gone:
        to_who_waits |= {"gone": gone} if gone else {}
        called_for.append(Letter(LetterType.SESSION_CHANGED_WAITING, to_who_waits))
    moved = (before.starts_at, before.timezone) != (after.starts_at, after.timezone)
    return SessionConsequences(tuple(called_for), reschedule=moved)


def _period(session: SessionState) -> tuple[datetime, datetime, str]:
    return session.starts_at, session.ends_at, session.timezone


def _moved_or_new(before: NumberedSession, after: NumberedSession) -> list[DetailRow]:
    """The séances with other dates than before, which the row has, and the new ones."""
    old = {module.number: module for module in before.numbered_modules}
    return [
        _row(old[module.number]) if module.number in old else {"number": module.number}
        for module in after.numbered_modules
        if module.number not in old or _dates(old[module.number]) != _dates(module)
    ]


def _dates(module: NumberedModule) -> tuple[datetime, datetime]:
    return module.starts_at, module.ends_at


def _row(module: NumberedModule) -> DetailRow:
    return {
        "number": module.number,
        "starts_at": module.starts_at.isoformat(),
        "ends_at": module.ends_at.isoformat(),
    }


def modules_in(details: LetterDetails, name: str = "modules") -> list[NumberedModule]:
    """The séances that a letter says are cancelled, as :func:`change_of` wrote them into its details."""
    return [
        NumberedModule(
            int(row["number"]),
            str(row["title"]),
            datetime.fromisoformat(str(row["starts_at"])),
            datetime.fromisoformat(str(row["ends_at"])),
        )
        for row in rows_of(details, name)
    ]


def modules_after(session: NumberedSession, moment: datetime) -> list[NumberedModule]:
    """The séances that had not ended by then, also those that were dropped."""
    return [module for module in (*session.numbered_modules, *session.gone) if module.ends_at > moment]


def bespoke_receipt(received: BespokeRequestReceived) -> Letter:
    """The letter to the officer whose request for bespoke training is with the delegation: what it says."""
    wished = {"wished_from": received.wished_from, "wished_until": received.wished_until}
    details: dict[str, str | int | None] = {
        "authority": received.authority,
        "delegation": received.delegation,
        "theme": received.theme,
        "trainees": received.trainees,
        "reference": str(received.request_id),
        **{name: None if day is None else day.isoformat() for name, day in wished.items()},
    }
    return Letter(LetterType.BESPOKE_RECEIVED, details, needs_session=False)


def bespoke_letter(answered: BespokeRequestAnswered) -> Letter:
    """The letter to the officer who requested bespoke training."""
    details: dict[str, str | None] = {
        "answer": answered.answer.value,
        "message": answered.message,
        "advisor": answered.advisor.name,
        "advisor_address": answered.advisor.email,
        "reference": str(answered.request_id),
    }
    return Letter(LetterType.BESPOKE_ANSWERED, details, needs_session=False)


def nomination_letter(answered: NominationAnswered) -> Letter:
    """The letter to who sent a list of trainees. It has no names: they are looked up when it is written."""
    trainees: list[DetailRow] = [
        {"enrolment": str(trainee.enrolment_id), "outcome": trainee.outcome.value}
        | ({"reason": trainee.reason.value} if trainee.reason is not None else {})
        for trainee in answered.trainees
    ]
    return Letter(
        LetterType.NOMINATION_ANSWERED,
        {
            "session_version": answered.session_version,
            "trainees": trainees,
            "replaced": [str(enrolment_id) for enrolment_id in answered.replaced],
        },
    )


def trainer_letter(trainer_id: UUID, session_version: int, event_id: UUID) -> Letter:
    """The letter to who was named as a trainer of a session, by that state of it and that event."""
    details: LetterDetails = {"session_version": session_version, "cause_id": str(event_id)}
    return to_trainer(Letter(LetterType.TRAINER_NAMED, details), trainer_id)


def change_for_trainers(
    before: NumberedSession | None, after: NumberedSession, change: SessionConsequences
) -> Letter | None:
    """The letter to each trainer of a session that has changed so, or was cancelled; None: there is none."""
    if before is None or after.version <= before.version:
        return None
    if after.status is Status.CANCELLED and before.status is Status.PUBLISHED:
        return Letter(LetterType.TRAINER_CANCELLED, _said_of_it(after.cancellation_reason))
    details_of = {letter.template: letter.details for letter in change.letters}
    details = dict(details_of.get(LetterType.SESSION_CHANGED, {}))
    if LetterType.MODULE_CANCELLED in details_of:
        details["gone"] = details_of[LetterType.MODULE_CANCELLED]["modules"]
    return Letter(LetterType.TRAINER_CHANGED, details) if details else None


def to_trainer(letter: Letter, trainer_id: UUID) -> Letter:
    """The letter as it is to one of the trainers."""
    return replace(letter, details={**letter.details, "trainer": str(trainer_id)})


def trainer_of(mail: Mail) -> UUID:
    """The trainer to whom a letter is written as such."""
    return UUID(str(mail.details["trainer"]))


def trainees_of(mail: Mail) -> list[UUID]:
    """The enrolments that a letter names to who sent a list of trainees."""
    replaced = mail.details.get("replaced")
    named = [str(row["enrolment"]) for row in rows_of(mail.details, "trainees")]
    return [UUID(str(enrolment)) for enrolment in (*named, *(replaced if isinstance(replaced, list) else ()))]


def replay_letter(replay: ReplayPublished) -> Letter | None:
    """The letter to everyone enrolled in the session that was recorded; None where there was none here."""
    if replay.session_id is None:
        return None
    return Letter(LetterType.REPLAY_AVAILABLE, {"replay_title": replay.title, "replay_url": replay.url})
